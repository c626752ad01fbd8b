"""The ids that tables and columns of a destination have there, by the names they are set under.

A table or column that people rename is still the same one, also for the next process.
"""

from __future__ import annotations

from collections.abc import Mapping

from jobspan.ledger import delivery_queries as queries
from jobspan.ledger.ledger import Ledger
from jobspan.ledger.transaction import transact

TABLES = ""
"""The place of the tables themselves; that of a column is the kind of its table's rows."""

Ids = dict[tuple[str, str], str]
"""(place, name as it is set) to the id there."""


class KnownIds:
    """What was seen of one destination.

    Args:
        ledger: Where it is kept.
        destination: The destination's name.
    """

    def __init__(self, ledger: Ledger, destination: str) -> None:
        self._ledger = ledger
        self._destination = destination

    def read(self) -> Ids:
        """Return all ids."""
        rows = transact(
            self._ledger,
            lambda c: c.execute(queries.KNOWN_IDS, (self._destination,)).fetchall(),
            seconds=1.0,
            writes=False,
        )
        return {(place, name): remote_id for place, name, remote_id in rows}

    def keep(self, ids: Mapping[tuple[str, str], str]) -> None:
        """Remember ids, in the place of those that had the same names."""
        rows = [(self._destination, *place, remote_id) for place, remote_id in ids.items()]
        transact(self._ledger, lambda c: c.executemany(queries.PUT_KNOWN_ID, rows), seconds=2.0)
