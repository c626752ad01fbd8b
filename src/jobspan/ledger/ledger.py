"""One ledger as a process sees it: folding into it, reading from it, and what to do when it is broken."""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from pathlib import Path

from jobspan import _clock
from jobspan._guard import guard
from jobspan.exceptions import LedgerError
from jobspan.journal.place import Place
from jobspan.ledger.connection import (
    BrokenLedgerError,
    BusyLedgerError,
    connect,
    connect_copy,
    fork_gate,
    inode_of,
    set_aside,
    translated,
)
from jobspan.ledger.folder import Folded, Folder, forget_pruned
from jobspan.ledger.reading import LedgerReader

_KEEP_SECONDS = 7 * 24 * 3600
_KEEP_BYTES = 256 * 1024 * 1024

_ledgers: weakref.WeakSet[Ledger] = weakref.WeakSet()
_abandoned: list[sqlite3.Connection] = []
"""Connections inherited through a fork no hook was told of: neither used nor closed, for good."""


class Ledger:
    """The ledger file at `path`, fed by the journals beside it.

    Args:
        path: The SQLite file; made when it is missing.
        claim: Gives a job with a provisional id a real one (see `Folder`).
        zone: The zone in which notes show instants.
    """

    def __init__(self, path: Path, claim: Callable[[int], str | None], zone: tzinfo) -> None:
        self.path = path
        self.place = Place(path)
        self._zone = zone
        self._claim = claim
        self._folder = Folder(self.place, claim)
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None
        self._pid = os.getpid()
        _ledgers.add(self)

    def fold(
        self,
        *,
        seconds: float,
        busy_seconds: float = 0.0,
        extra: Callable[[], Sequence[tuple[str, str]]] = tuple,
        sweep: bool = True,
    ) -> bool:
        """Fold what the journals hold, batch by batch, for about `seconds`; True when nothing is left.

        A damaged ledger is set aside and a new one folded from the journals that are kept.

        Args:
            seconds: After this no new batch is begun.
            busy_seconds: How long to wait for another process that is folding.
            extra: Gives events that are in no file.
            sweep: Also look for dead processes and passed deadlines.

        Raises:
            BusyLedgerError: Another process is at it.
            LedgerError: The ledger cannot be used.
        """
        until = _clock.monotonic() + seconds
        try:
            return self._fold_until(until, busy_seconds, extra, sweep)
        except BrokenLedgerError as error:
            self._replace(error)
            return self._fold_until(until, busy_seconds, extra, sweep)

    def _fold_until(
        self,
        until: float,
        busy_seconds: float,
        extra: Callable[[], Sequence[tuple[str, str]]],
        sweep: bool,
    ) -> bool:
        while True:
            with fork_gate, translated(self.path):
                folded: Folded = self._folder.fold(self._open(busy_seconds), extra=extra(), sweep=sweep)
            if not folded.more:
                return True
            if _clock.monotonic() >= until:
                return False

    @contextmanager
    def reading(
        self, *, seconds: float = 2.0, extra: Callable[[], Sequence[tuple[str, str]]] = tuple
    ) -> Iterator[LedgerReader]:
        """Give a reader that sees the ledger and what the live journals hold, after folding them.

        Where the ledger cannot be written now (locked, read-only), a copy in memory is folded instead.

        Raises:
            LedgerError: It can neither be written nor read.
        """
        try:
            self.fold(seconds=seconds, busy_seconds=min(seconds, 1.0), extra=extra)
        except LedgerError:
            with fork_gate:
                copy = connect_copy(self.path)
                try:
                    with translated(self.path):
                        while self._folder.fold(copy, extra=extra(), retire=False).more:
                            pass
                        yield LedgerReader(copy, self._zone)
                finally:
                    copy.close()
            return
        with fork_gate, translated(self.path):
            yield LedgerReader(self._open(seconds), self._zone)

    @contextmanager
    def using(self, *, busy_seconds: float = 0.1) -> Iterator[sqlite3.Connection]:
        """Give the open ledger for something short; forks and all other uses in this process wait.

        Raises:
            BusyLedgerError: Another process holds it for longer than `busy_seconds`.
            LedgerError: It cannot be used.
        """
        with fork_gate, translated(self.path):
            yield self._open(busy_seconds)

    def records(self, connection: sqlite3.Connection) -> LedgerReader:
        """Return a reader of what `connection`, got from `using`, holds; nothing is folded before."""
        return LedgerReader(connection, self._zone)

    def claim(self, start_ns: int) -> str | None:
        """Return a run id nobody of this ledger has, for a job that started at `start_ns`; None: not now."""
        return self._claim(start_ns)

    def tidy(self) -> None:
        """Delete journals set aside long ago.

        Raises:
            LedgerError: The ledger cannot be used.
        """
        with fork_gate, translated(self.path):
            forget_pruned(self._open(0.0), self.place, _KEEP_SECONDS, _KEEP_BYTES)

    def close(self) -> None:
        """Close the connection; the next use opens another one."""
        with fork_gate:
            self._drop()

    def _open(self, busy_seconds: float) -> sqlite3.Connection:
        if self._pid != os.getpid() or (self._connection and inode_of(self.path) != self._inode):
            self._drop()
        if self._connection is None:
            self._connection = connect(self.path, busy_seconds=busy_seconds)
            self._inode = inode_of(self.path)
        self._connection.execute(f"PRAGMA busy_timeout = {round(busy_seconds * 1000)}")
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            if self._pid == os.getpid():
                connection.close()
            else:
                _abandoned.append(connection)
        self._pid = os.getpid()

    def _replace(self, error: BrokenLedgerError) -> None:
        """Set a damaged ledger aside; the journals that are kept fill the new one."""
        with fork_gate:
            inode = self._inode if self._connection is not None else inode_of(self.path)
            self._drop()
            target = set_aside(self.path, inode)
        if target is not None:
            guard.note(
                "ledger.replaced",
                f"{error}; it was moved to {target.name}, and a new ledger is filled from the journals kept"
                " (7 days); what is older is only in the file moved away",
            )


def _before_fork() -> None:
    fork_gate.acquire()
    for ledger in list(_ledgers):
        ledger.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=fork_gate.release, after_in_child=fork_gate.release
    )

__all__ = ["BusyLedgerError", "Ledger"]
