"""Fields that cannot be delivered: one bad column costs its cells, never the row.

The values stay in the ledger; when the column is good again, all rows are compared anew.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from jobspan import _log
from jobspan.ledger.outbox import Outbox


class Quarantine:
    """The quarantined fields of one destination, kept in the ledger.

    Args:
        outbox: The destination's.
    """

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._reasons: dict[tuple[str, str], str] = {}
        for each in outbox.quarantined():
            self._reasons[each.place, each.field] = each.reason

    def __len__(self) -> int:
        return len(self._reasons)

    def holds(self, kind: str, field: str) -> bool:
        """Whether a field is not to be sent."""
        return (kind, field) in self._reasons

    def reasons(self) -> list[str]:
        """Return what is wrong, for people."""
        tables = {"j": "jobs", "c": "client runs"}
        return [
            f"not shown in the table of {tables.get(kind, kind)}: {reason}"
            for (kind, _), reason in sorted(self._reasons.items())
        ]

    def add(self, kind: str, field: str, reason: str) -> None:
        """Stop sending a field; said once in the log."""
        if self.holds(kind, field):
            return
        self._reasons[kind, field] = reason
        self._outbox.put_quarantine(kind, field, reason)
        _log.event(logging.WARNING, "jobspan.field.quarantined", field=field, table=kind, reason=reason)

    def end(self, kind: str, fields: Iterable[str]) -> None:
        """Send fields again; rows delivered without them are compared anew."""
        good = [each for each in fields if self.holds(kind, each)]
        for each in good:
            del self._reasons[kind, each]
            self._outbox.end_quarantine(kind, each)
            _log.event(logging.INFO, "jobspan.field.released", field=each, table=kind)
        if good:
            self._outbox.replay(kind)

    def of(self, kind: str) -> list[str]:
        """Return the quarantined fields of a table."""
        return [field for place, field in self._reasons if place == kind]
