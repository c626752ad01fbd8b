"""What keeps a destination from being sent to: columns it does not take, lock-outs, the calls of a month."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from jobspan import _clock
from jobspan.ledger import delivery_queries as queries
from jobspan.ledger.delivery_row import month_of
from jobspan.ledger.ledger import Ledger
from jobspan.ledger.transaction import transact
from jobspan.model.delivery import Quarantined

T = TypeVar("T")

PATIENCE_SECONDS = 10.0
"""How long a transaction is tried again while another process holds the ledger."""


class Limits:
    """The limits of one destination.

    Args:
        ledger: Where they are kept.
        destination: The destination's name, say ``airtable:appXXXXXXXXXXXXXX``.
    """

    def __init__(self, ledger: Ledger, destination: str) -> None:
        self._ledger = ledger
        self.destination = destination

    # --- quarantine

    def quarantined(self) -> list[Quarantined]:
        """Return the fields that cannot be delivered."""
        rows = self._read(lambda c: c.execute(queries.QUARANTINE, (self.destination,)).fetchall(), 1.0)
        return [Quarantined(*row) for row in rows]

    def put_quarantine(self, place: str, field: str, reason: str) -> None:
        """Note that a field cannot be delivered."""
        row = (self.destination, place, field, reason, _clock.now_ns())
        self._write(lambda c: c.execute(queries.PUT_QUARANTINE, row))

    def end_quarantine(self, place: str, field: str) -> None:
        """Note that a field can be delivered again."""
        self._write(lambda c: c.execute(queries.END_QUARANTINE, (self.destination, place, field)))

    # --- limits

    def blocked(self) -> tuple[int, str | None]:
        """Return until when (ns) the destination is to be left alone by every process, and why."""
        row = self._read(lambda c: c.execute(queries.DESTINATION, (self.destination,)).fetchone(), 1.0)
        return (0, None) if row is None else (row[0], row[1])

    def block(self, seconds: float, reason: str) -> None:
        """Have every process leave the destination alone."""
        until_ns = _clock.now_ns() + round(seconds * 1e9)
        values = {"name": self.destination, "until": until_ns, "reason": reason[:500]}
        self._write(lambda c: c.execute(queries.BLOCK, values))

    def count_calls(self, calls: int) -> None:
        """Add to the calls of this month."""
        self._write(lambda c: self._count(c, calls, _clock.now_ns()))

    def calls(self) -> int:
        """Return the calls made in this month (UTC)."""
        place = (self.destination, month_of(_clock.now_ns()))
        row = self._read(lambda c: c.execute(queries.API_CALLS, place).fetchone(), 1.0)
        return 0 if row is None else row[0]

    def _count(self, connection: sqlite3.Connection, calls: int, now_ns: int) -> None:
        if calls:
            connection.execute(queries.COUNT_API_CALL, (self.destination, month_of(now_ns), calls))

    # --- transactions

    def _read(self, ask: Callable[[sqlite3.Connection], T], seconds: float = PATIENCE_SECONDS) -> T:
        return transact(self._ledger, ask, seconds=seconds, writes=False)

    def _write(self, change: Callable[[sqlite3.Connection], Any]) -> None:
        transact(self._ledger, change, seconds=PATIENCE_SECONDS)
