"""Opens a ledger file: checks that it is one, brings it up to date, sets a broken one aside."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from jobspan import _clock
from jobspan._guard import guard
from jobspan.exceptions import LedgerError
from jobspan.journal.lock import locked
from jobspan.journal.mount import network_file_system
from jobspan.journal.place import Place, open_new
from jobspan.ledger.migrations import APPLICATION_ID, MIGRATIONS
from jobspan.ledger.trouble import BrokenLedgerError, busy, translated

_CHECKED_BYTES = 8 * 1024 * 1024
"""A ledger up to this size is checked whole when it is opened; a larger one only where it is read."""

_told_of: set[Path] = set()
"""Ledgers on file systems of other machines."""
_CACHE_KIB = 16_000
"""Of pages kept in memory, at most. Names of parts are random, so their index is written all over: with
SQLite's 2,000 KiB a fold into 300,000 client runs is a tenth slower."""

_SUFFIXES = ("-wal", "-shm", "")


def connect(place: Place, *, is_known: bool = False) -> sqlite3.Connection:
    """Open the ledger for reading and writing, making or migrating it; the caller holds `fork_gate`.

    Never waits: what is locked is told.

    Args:
        place: Where it is.
        is_known: This process has opened this very file before, so it is not checked whole again.

    Raises:
        BrokenLedgerError: The file is damaged, or was emptied.
        BusyLedgerError: It is locked.
        LedgerError: It belongs to another program or a newer jobspan, or cannot be opened.
    """
    path = place.ledger
    with _alone(place) as made:
        size = _size_or_create(path)
        if made and size == 0:
            raise BrokenLedgerError(f"{path} was emptied")
        connection = _opened(path, is_known)
        if made and size is None:
            guard.note("ledger.missing", f"{path} was deleted; a new one is filled from the journals kept")
        _mark_made(place)
        return connection


def _size_or_create(path: Path) -> int | None:
    """Return the bytes of a file; None if it was missing and is made now."""
    try:
        with suppress(FileNotFoundError):
            return path.stat().st_size
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(open_new(path))
    except FileExistsError:
        return path.stat().st_size if path.exists() else 0
    except OSError as error:
        raise LedgerError(
            f"{path} cannot be made ({error}); choose another place with JOBSPAN_LEDGER"
        ) from error
    return None


def _opened(path: Path, is_known: bool) -> sqlite3.Connection:
    with translated(path):
        connection = sqlite3.connect(path, timeout=0.0, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            _check(connection, path, whole=not is_known)
            connection.execute(f"PRAGMA journal_mode = {_journal_mode(path)}")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            _migrate(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def _journal_mode(path: Path) -> str:
    """Return how SQLite keeps its transactions: a WAL needs memory shared by all who write."""
    kind = network_file_system(path.parent)
    if not kind:
        return "WAL"
    if path not in _told_of:
        _told_of.add(path)
        guard.note(
            "ledger.network",
            f"{path} is on {kind}: it is used without a WAL, more slowly; processes of several machines must"
            " not share it; choose a disk of this machine with JOBSPAN_LEDGER",
        )
    return "DELETE"


def connect_copy(path: Path, *, trust_locks: bool = True) -> sqlite3.Connection:
    """Return a copy of the ledger in memory, for reading when the file cannot be written.

    Of a damaged ledger the copy is empty: what the journals keep fills it.

    Args:
        path: The ledger.
        trust_locks: Ask for SQLite's locks first; without them a write under way may spoil the copy.

    Raises:
        LedgerError: The file exists and cannot be read either.
    """
    for mode in ("mode=ro", "mode=ro&immutable=1") if trust_locks else ("mode=ro&immutable=1",):
        memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        try:
            with translated(path):
                if path.exists() and path.stat().st_size:
                    _copy(path, mode, memory)
                _migrate(memory)
            return memory
        except BrokenLedgerError:
            memory.close()
        except LedgerError as error:
            memory.close()
            if "immutable" in mode or isinstance(error, RefusedLedgerError):
                raise
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _migrate(memory)
    return memory


def _copy(path: Path, mode: str, memory: sqlite3.Connection) -> None:
    source = sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True, timeout=0.2)
    try:
        _check(source, path, whole=True)
        source.backup(memory)
    finally:
        source.close()


class RefusedLedgerError(LedgerError):
    """The file is another program's, or a newer jobspan's."""


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """See that no newer jobspan has taken the ledger over.

    Raises:
        RefusedLedgerError: One has.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise RefusedLedgerError(
            f"{path} was written by a newer jobspan; update this one. Until then the journals keep everything"
        )


def _check(connection: sqlite3.Connection, path: Path, *, whole: bool) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != APPLICATION_ID and (tables or application or version):
        raise RefusedLedgerError(
            f"{path} is another program's database; choose another file with JOBSPAN_LEDGER"
        )
    check_version(connection, path)
    if version and not tables:
        raise BrokenLedgerError(f"{path} has lost its tables")
    if whole and tables and path.stat().st_size <= _CHECKED_BYTES:
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            raise BrokenLedgerError(f"{path} is damaged ({found})")


def _migrate(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def set_aside(place: Place, inode: int | None) -> Path | None:
    """Move a broken ledger to ``<ledger>.corrupt-<UTC>``; None if somebody else already has.

    Args:
        place: Where it is.
        inode: The file that was found broken: another one in its place is left alone.

    Raises:
        BusyLedgerError: Somebody is opening it just now.
        LedgerError: It cannot be moved.
    """
    path = place.ledger
    stamp = datetime.fromtimestamp(_clock.now_ns() / 1e9, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = path.with_name(f"{path.name}.corrupt-{stamp}")
    with _alone(place):
        if inode_of(path) != inode:
            return None
        try:
            for suffix in _SUFFIXES:  # the file last: no new one is made beside an old -wal
                part = path.with_name(path.name + suffix)
                if part.exists():
                    part.rename(target.with_name(target.name + suffix))
        except OSError as error:
            raise LedgerError(f"{path} is damaged and cannot be moved away ({error})") from error
        with suppress(OSError):
            os.truncate(place.root / "ledger.lock", 0)  # that it is missing now is no news
    return target


def inode_of(path: Path) -> int | None:
    """Return the inode of a file, None if it is not there."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


@contextmanager
def _alone(place: Place) -> Generator[bool]:
    """Keep others from opening or moving the ledger meanwhile; gives whether one was made here before."""
    with ExitStack() as stack:
        try:
            with suppress(LedgerError):
                place.prepare()
            fd = stack.enter_context(locked(place.root / "ledger.lock"))
            made = os.fstat(fd).st_size > 0
        except BlockingIOError as error:
            raise busy(place.ledger) from error
        except OSError:
            made = False  # nobody else can lock it here, either
        yield made


def _mark_made(place: Place) -> None:
    """Note beside the ledger that it was made, so that an emptied or deleted one is noticed."""
    mark = place.root / "ledger.lock"
    with suppress(OSError):
        if mark.stat().st_size == 0:
            mark.write_text("made\n", "ascii")


__all__ = ["check_version", "connect", "connect_copy", "inode_of", "set_aside"]
