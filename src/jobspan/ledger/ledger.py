"""One ledger as a process sees it: folding into it, reading from it, and what to do when it is broken."""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from jobspan import _clock
from jobspan._guard import guard
from jobspan.exceptions import LedgerError
from jobspan.journal.given import Claim, GivenIds
from jobspan.journal.place import Place
from jobspan.ledger.connection import connect, connect_copy, inode_of, set_aside
from jobspan.ledger.gate import fork_gate
from jobspan.ledger.trouble import BrokenLedgerError, BusyLedgerError, translated

if TYPE_CHECKING:
    from jobspan.ledger.folder import Folded, Folder
    from jobspan.ledger.reading import LedgerReader
    from jobspan.ledger.reaping import Reaped

# What folds and reads is loaded with the fork gate held, when it is first needed: opening a run needs none
# of it, and a child forked while another thread loads a module could never load it.

_KEEP_SECONDS = 7 * 24 * 3600
_KEEP_BYTES = 256 * 1024 * 1024
_PAUSE_SECONDS = 0.02
_CLOSE_SECONDS = 0.1

_ledgers: weakref.WeakSet[Ledger] = weakref.WeakSet()
_abandoned: list[sqlite3.Connection] = []
"""Connections inherited through a fork no hook was told of: neither used nor closed, for good."""


class Unwritten(Protocol):
    """Events of this process that are in no file: the disk would not take them."""

    def events(self) -> Sequence[tuple[str, str]]:
        """Return (process uid, payload) of each."""
        ...

    def forget(self, events: Sequence[tuple[str, str]]) -> None:
        """Let go of events that are in the ledger now."""
        ...


class Nothing:
    """No such events."""

    def events(self) -> Sequence[tuple[str, str]]:
        return ()

    def forget(self, events: Sequence[tuple[str, str]]) -> None:
        return


class Ledger:
    """The ledger file at `path`, fed by the journals beside it.

    Args:
        path: The SQLite file; made when it is missing.
        claim: Gives a new run id: (start in ns) -> run id, or None.
        zone: The zone in which notes show instants.
        unwritten: Events that are in no file; folded as if they were.
    """

    def __init__(self, path: Path, claim: Claim, zone: tzinfo, unwritten: Unwritten | None = None) -> None:
        self.path = path
        self.place = Place(path)
        self._zone = zone
        self.ids = GivenIds(self.place, claim)
        """Gives jobs other run ids."""
        self._folder: Folder | None = None
        self._unwritten: Unwritten = unwritten or Nothing()
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None
        self._pid = os.getpid()
        _ledgers.add(self)

    def fold(
        self,
        *,
        seconds: float,
        busy_seconds: float = 0.0,
        sweep: bool = True,
        events: int | None = None,
        only: str | None = None,
    ) -> bool:
        """Fold what the journals hold, batch by batch, for about `seconds`; True when nothing is left.

        A damaged ledger is set aside and a new one folded from the journals that are kept.

        Args:
            seconds: No further batch is begun that would not be folded by then, if it takes as long as the
                one before.
            busy_seconds: How long to wait for another process that is folding.
            sweep: Also look for dead processes and passed deadlines.
            events: How many make a batch: fewer take longer in all, and end more punctually.
            only: Leave the journals of live processes to them, but for that of this writer.

        Raises:
            BusyLedgerError: Another process is at it.
            LedgerError: The ledger cannot be used.
        """
        now = _clock.monotonic()
        until, patience = now + seconds, now + busy_seconds
        while True:
            begun = _clock.monotonic()
            try:
                folded = self._fold_batch(patience, sweep, events, only)
            except BrokenLedgerError as error:
                self._replace(error)
                folded = self._fold_batch(patience, sweep, events, only)
            if not folded.more:
                return True
            ended = _clock.monotonic()
            if ended + (ended - begun) > until:
                return False

    def _fold_batch(self, patience: float, sweep: bool, events: int | None, only: str | None) -> Folded:
        while True:
            left = patience - _clock.monotonic()
            try:
                with fork_gate.held(max(0.0, left)), translated(self.path):
                    return self._fold_held(sweep, events, only)
            except BusyLedgerError:
                if left <= 0:
                    raise
            _clock.sleep(_PAUSE_SECONDS)  # without the gate: a fork need not wait for another program

    def _fold_held(self, sweep: bool, events: int | None, only: str | None) -> Folded:
        connection = self._open()
        if connection.in_transaction:  # a signal handler came in while this thread folds
            raise BusyLedgerError("the interrupted thread is busy with the ledger; try again later")
        extra = self._unwritten.events()
        if self._folder is None:
            self._folder = _new_folder(self.place, self.ids)
        folded = self._folder.fold(connection, extra=extra, sweep=sweep, events=events, only=only)
        if extra and folded.is_applied:
            self._unwritten.forget(extra)
        return folded

    def reap(self, seconds: float) -> list[Reaped]:
        """Fold everything within about `seconds`, and return the runs that were closed for want of an owner.

        Raises:
            BusyLedgerError: Another process kept it locked.
            LedgerError: It cannot be used.
        """
        with fork_gate.held(seconds), translated(self.path):
            from jobspan.ledger import reaping

            earlier = reaping.before(self._open())
        self.fold(seconds=seconds, busy_seconds=seconds)
        with fork_gate.held(seconds), translated(self.path):
            return reaping.reaped(self._open(), earlier, self._zone)

    @contextmanager
    def reading(self, *, seconds: float = 2.0) -> Generator[LedgerReader]:
        """Give a reader that sees the ledger and what the live journals hold, after folding them.

        Where the ledger cannot be written now (locked, read-only), a copy in memory is folded instead.
        A fork waits until the reader is given back.

        Raises:
            LedgerError: It can neither be written nor read.
        """
        try:
            self.fold(seconds=seconds, busy_seconds=min(seconds, 1.0))
        except LedgerError:
            with self._copy() as copy:
                yield self.records(copy)
            return
        with fork_gate.held(seconds), translated(self.path):
            yield self.records(self._open())

    @contextmanager
    def _copy(self) -> Generator[sqlite3.Connection]:
        with fork_gate.held():
            copy = connect_copy(self.path, trust_locks=not _is_forked_unseen())
            folder = _new_folder(self.place, GivenIds(self.place, lambda start_ns: None))
            try:
                with translated(self.path):
                    extra = self._unwritten.events()
                    while folder.fold(copy, extra=extra, retire=False).more:
                        extra = ()
                    yield copy
            finally:
                copy.close()

    def change_count(self) -> int | None:
        """Return a number that changes when another process commits; None where it cannot be read."""
        try:
            with fork_gate.held(0.0), translated(self.path):
                (count,) = self._open().execute("PRAGMA data_version").fetchone()
                return int(count)
        except LedgerError:
            return None

    @contextmanager
    def using(self, *, gate_seconds: float = 0.1) -> Generator[sqlite3.Connection]:
        """Give the open ledger for something short; forks and all other uses in this process wait.

        Raises:
            BusyLedgerError: Another thread keeps it for longer than `gate_seconds`, another process
                holds it now, or the interrupted thread is in a transaction.
            LedgerError: It cannot be used.
        """
        with fork_gate.held(gate_seconds), translated(self.path):
            connection = self._open()
            if connection.in_transaction:
                raise BusyLedgerError("the interrupted thread is busy with the ledger; try again later")
            yield connection

    def records(self, connection: sqlite3.Connection) -> LedgerReader:
        """Return a reader of what `connection`, got from `using`, holds; nothing is folded before."""
        from jobspan.ledger.reading import LedgerReader

        return LedgerReader(connection, self._zone)

    def tidy(self) -> None:
        """Delete journals set aside long ago, and requests to cancel what has ended long ago.

        Raises:
            LedgerError: The ledger cannot be used.
        """
        with fork_gate.held(), translated(self.path):
            from jobspan.ledger.tidying import forget_cancels, forget_pruned

            forget_pruned(self._open(), self.place, _KEEP_SECONDS, _KEEP_BYTES)
            forget_cancels(self._open(), _KEEP_SECONDS)

    def close(self) -> None:
        """Close the connection; the next use opens another one.

        Raises:
            BusyLedgerError: Another thread is using it: it is left to the end of the process.
        """
        with fork_gate.held(_CLOSE_SECONDS):
            self._drop()

    def _open(self) -> sqlite3.Connection:
        if _is_forked_unseen():
            raise LedgerError(
                "this process was forked by C code while the ledger was open; another one folds its journal"
            )
        if self._connection is not None and inode_of(self.path) != self._inode:
            self._drop()
        if self._connection is None:
            known, self._inode = self._inode, None
            self._connection = connect(
                self.place, is_known=known is not None and known == inode_of(self.path)
            )
            self._inode = inode_of(self.path)
            self._pid = os.getpid()
        elif not self._connection.in_transaction and self.path.stat().st_size == 0:
            raise BrokenLedgerError(f"{self.path} was emptied")
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abandon(self) -> bool:
        """Let go, unclosed, of a connection made in the parent of this process; True if there was one."""
        if self._connection is None or self._pid == os.getpid():
            return False
        _abandoned.append(self._connection)
        self._connection = None
        return True

    def _replace(self, error: BrokenLedgerError) -> None:
        """Set a damaged ledger aside; the journals that are kept fill the new one."""
        with fork_gate.held():
            inode = self._inode if self._connection is not None else inode_of(self.path)
            self._drop()
            self._inode = None
            target = set_aside(self.place, inode)
        if target is not None:
            guard.note(
                "ledger.replaced",
                f"{error}; it was moved to {target.name}, and a new ledger is filled from the journals kept"
                " (7 days); what is older is only in the file moved away",
            )


def _new_folder(place: Place, ids: GivenIds) -> Folder:
    from jobspan.ledger.folder import Folder

    return Folder(place, ids)


def _is_forked_unseen() -> bool:
    """Whether this process, or one before it, was forked without hooks while a ledger was open.

    It then has SQLite's table of locks without the locks, and must leave the files alone for good.
    """
    for ledger in list(_ledgers):
        ledger.abandon()
    return bool(_abandoned)


def _close_all() -> None:
    for ledger in list(_ledgers):
        ledger.close()


fork_gate.watch_forks(_close_all)

__all__ = ["BusyLedgerError", "Ledger", "Unwritten"]
