"""One short transaction: what everything but the fold does in the ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from jobspan import _clock
from jobspan.ledger import queries
from jobspan.ledger.ledger import Ledger
from jobspan.ledger.trouble import BusyLedgerError

if TYPE_CHECKING:
    from jobspan.model.run import Run

T = TypeVar("T")

_PAUSE_SECONDS = 0.02


def transact(
    ledger: Ledger, work: Callable[[sqlite3.Connection], T], *, seconds: float, writes: bool = True
) -> T:
    """Run `work` in one transaction; wait up to `seconds` for other processes, letting forks through.

    Raises:
        BusyLedgerError: Another process held the ledger for all that time.
        LedgerError: The ledger cannot be used.
    """
    until = _clock.monotonic() + seconds
    while True:
        try:
            with ledger.using() as connection:
                connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
                try:
                    result = work(connection)
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
                return result
        except BusyLedgerError:
            if _clock.monotonic() >= until:
                raise
            _clock.sleep(_PAUSE_SECONDS)  # without the gate: a fork need not wait for another program


def run_of(connection: sqlite3.Connection, uid: str) -> Run | None:
    """Return a run by its inside name."""
    from jobspan.ledger import codec  # a transaction alone needs none of it

    row = connection.execute(queries.RUN, (uid,)).fetchone()
    return None if row is None else codec.read_run(row)
