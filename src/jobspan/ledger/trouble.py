"""What can be wrong with a ledger, in words that say what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from jobspan.exceptions import LedgerError

_BROKEN = frozenset([sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB])
_BUSY = frozenset([sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED])
_ADVICE = {
    sqlite3.SQLITE_FULL: "free some space; until then the journals keep everything",
    sqlite3.SQLITE_READONLY: "make it writable, or choose another place with JOBSPAN_LEDGER",
}


class BrokenLedgerError(LedgerError):
    """The file is damaged, or no SQLite database at all."""


class BusyLedgerError(LedgerError):
    """Somebody else holds the ledger; try again later."""


@contextmanager
def translated(path: Path) -> Generator[None]:
    """Turn SQLite's errors into ours.

    Raises:
        BrokenLedgerError: The file is damaged.
        BusyLedgerError: The file is locked.
        LedgerError: Anything else.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the lower byte is the primary code
        if code in _BROKEN:
            raise BrokenLedgerError(f"{path} is damaged ({error})") from error
        if code in _BUSY:
            raise busy(path) from error
        if "no such table" in str(error):
            raise BrokenLedgerError(f"{path} has lost its tables ({error})") from error
        advice = _ADVICE.get(code, "choose another place with JOBSPAN_LEDGER")
        raise LedgerError(f"{path} cannot be used ({error}); {advice}") from error


def busy(path: Path) -> BusyLedgerError:
    """Return the error that says the ledger is locked."""
    return BusyLedgerError(
        f"{path} is locked by another program; close it there. Until then the journals keep everything"
    )
