"""The rows of one destination that wait, in the order they are to be sent; asked in an open transaction.

Each question costs what it returns: it looks at the first rows of some slots, never at all that wait.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Literal

from jobspan import _clock
from jobspan.ledger import delivery_queries as queries
from jobspan.ledger.delivery_row import names_text, read_deliveries
from jobspan.model.delivery import Delivery, Waiting

Project = Literal["all", "terminal", "exceptions", "jobs"]

_CLIENT_LANES = {
    "all": (queries.SHOWN, queries.RUNNING, queries.COMPLETED, queries.OTHERWISE),
    "terminal": (queries.SHOWN, queries.COMPLETED, queries.OTHERWISE),
    "exceptions": (queries.SHOWN, queries.OTHERWISE),
    "jobs": (queries.SHOWN,),
}
"""Which client runs a projection shows; a row that is shown already stays up to date."""
_SENDABLE = (queries.URGENT, queries.NEWS, queries.LINGERING)
_UNREFUSED = (*_SENDABLE, queries.FOR_JOB, queries.FOR_JOB_UNHURRIED)
_REFUSED = (queries.REFUSED, queries.REFUSED_UNHURRIED)
_UNHURRIED = (queries.NEWS, queries.LINGERING, queries.FOR_JOB_UNHURRIED, queries.REFUSED_UNHURRIED)
_LOOKED_AT = 200
"""Of rows that linger so many are looked at. What stands behind them in a slot is due a little later, when
the longest linger is over for those before it; it would have had to wait for them anyway."""
_EVER = 2**62


class Queue:
    """What waits for a destination.

    Args:
        destination: Its name.
        project: Which rows are shown there.
    """

    def __init__(self, destination: str, project: Project) -> None:
        self._destination = destination
        self._clients = _CLIENT_LANES[project]
        self._lanes = (queries.JOB, *self._clients)

    def first(
        self,
        connection: sqlite3.Connection,
        kind: str,
        *,
        limit: int,
        linger_ns: int = 0,
        widest_ns: int = 0,
        lingering: Iterable[int] = (),
    ) -> list[Delivery]:
        """Return rows that may be sent now, those that have waited longest first.

        Args:
            connection: An open ledger.
            kind: j or c.
            limit: At most so many.
            linger_ns: For how long rows of the turns `lingering` are left waiting.
            widest_ns: In an old job a tenth of its age counts instead, up to this.
            lingering: These turns; rows of the others may be sent at once.
        """
        values = {"linger": linger_ns, "widest": widest_ns, "looked_at": _LOOKED_AT, "limit": limit}
        patient = set(lingering)
        found: list[tuple[int, str]] = []
        for lane in (queries.JOB,) if kind == "j" else self._clients:
            for turn in _SENDABLE:
                query = queries.FIRST_LINGERED if turn in patient else queries.FIRST
                found += connection.execute(query, self._in_slot(lane + turn, values))
        found.sort()
        places = [(self._destination, run) for _, run in found[:limit]]
        return read_deliveries(row for place in places for row in connection.execute(queries.DELIVERY, place))

    def count_news(self, connection: sqlite3.Connection, limit: int) -> int:
        """Return how many client runs may be sent whose status is not shown yet, at most `limit`."""
        count = 0
        for lane in self._clients:
            values = self._in_slot(lane + queries.NEWS, {"limit": limit})
            count += len(connection.execute(queries.FIRST, values).fetchall())
        return min(count, limit)

    def is_waiting(
        self,
        connection: sqlite3.Connection,
        *,
        until_ns: int = _EVER,
        jobs: Iterable[str] | None = None,
        refused: bool | None = None,
    ) -> bool:
        """Whether anything waits.

        Args:
            connection: An open ledger.
            until_ns: Only what has waited since then or longer.
            jobs: Only rows of these jobs, by inside name.
            refused: Only rows that were refused, or only others; None: either.
        """
        turns = _UNREFUSED + _REFUSED if refused is None else _REFUSED if refused else _UNREFUSED
        query = queries.IS_WAITING if jobs is None else queries.IS_WAITING_OF_JOBS
        values = {"destination": self._destination, "until": until_ns, "jobs": names_text(jobs)}
        return connection.execute(self._in_slots(query, turns), values).fetchone() is not None

    def count(self, connection: sqlite3.Connection) -> Waiting:
        """Return how much waits; each row of it is counted, in an index."""
        query = self._in_slots(queries.COUNT_SLOTS, _UNREFUSED + _REFUSED)
        rows, refused, oldest_ns = 0, 0, _EVER
        for slot, count, since_ns in connection.execute(query, {"destination": self._destination}):
            rows, oldest_ns = rows + count, min(oldest_ns, since_ns)
            refused += count if slot % 10 in _REFUSED else 0
        return Waiting(rows, oldest_ns if rows else None, refused)

    def count_some(self, connection: sqlite3.Connection, limit: int) -> int:
        """Return how many rows wait, at most `limit`."""
        query = self._in_slots(queries.COUNT_SOME, _UNREFUSED + _REFUSED)
        row = connection.execute(query, {"destination": self._destination, "limit": limit}).fetchone()
        return int(row[0])

    def last_trouble(self, connection: sqlite3.Connection) -> str | None:
        """Return why a waiting row was not delivered at the last attempt."""
        query = self._in_slots(queries.LAST_TROUBLE, _UNREFUSED + _REFUSED)
        row = connection.execute(query, {"destination": self._destination}).fetchone()
        return None if row is None else row[0]

    def hurry(self, connection: sqlite3.Connection, jobs: Iterable[str] | None, limit: int) -> None:
        """Have rows that wait (of these jobs, or all) sent as soon as can be; at most `limit` of them."""
        query = queries.HURRY if jobs is None else queries.HURRY_JOBS
        values = {"destination": self._destination, "jobs": names_text(jobs), "limit": limit}
        connection.execute(self._in_slots(query, _UNHURRIED), values)

    def forgive(self, connection: sqlite3.Connection) -> None:
        """Give refused rows another chance."""
        values = {"destination": self._destination}
        connection.execute(self._in_slots(queries.UNPARK, _REFUSED), values)

    def _in_slot(self, slot: int, values: Mapping[str, int]) -> dict[str, object]:
        return {"destination": self._destination, "now": _clock.now_ns(), "slot": slot, **values}

    def _in_slots(self, query: str, turns: Iterable[int]) -> str:
        slots = [str(lane + turn) for lane in self._lanes for turn in turns]
        return query.format(slots=", ".join(slots))
