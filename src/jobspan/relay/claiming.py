"""Whose row a job's run id is: the look before its first upsert, and the one after it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from jobspan import _log
from jobspan.ledger.outbox import Outbox
from jobspan.model.delivery import FREE, OURS, SHARED, UNSEEN, Delivery, Lookup, Naming, Seen
from jobspan.model.run_id import is_provisional
from jobspan.relay.destination import Destination, Record
from jobspan.relay.plan import Item

_TRIES = 3
_NO_ID_SECONDS = 30.0
"""How long a job waits where no other run id can be claimed: as long as claims pause."""

Remember = Callable[[Delivery, Seen], None]


def settled(known: Sequence[tuple[Delivery, Record]]) -> list[tuple[Delivery, Record]]:
    """Leave out jobs whose run id is provisional: no destination sees one."""
    return [(delivery, record) for delivery, record in known if not is_provisional(record.run_id)]


class Claiming:
    """Finds out whose rows are ours. Each method makes one request.

    Args:
        destination: Where the rows are.
        outbox: Where is kept what is known.
    """

    def __init__(self, destination: Destination, outbox: Outbox) -> None:
        self._naming = outbox.naming
        self._destination = destination
        self._outbox = outbox
        self._unclear: dict[str, int] = {}

    def is_due(self, delivery: Delivery) -> bool:
        """Whether a job's run id is to be looked at: before the first upsert, and after a lost one."""
        if not self._destination.has_run_ids("j"):
            return False
        is_lost = delivery.stage == FREE and delivery.remote_id is None and delivery.attempts % 2 == 1
        return delivery.stage == UNSEEN or is_lost

    def look(self, rows: Sequence[Delivery], remember: Remember) -> None:
        """See whether the run ids of jobs are free; a job with another's id moves to the next free second.

        Args:
            rows: The jobs.
            remember: Told of each that may be written how its row stands there.

        Raises:
            DeliveryError: The request failed.
        """
        for delivery, record, there in self._stand(rows):
            naming = self._naming(delivery.job)
            whose, seen = self._destination.whose(record, delivery, there)
            if whose == "ours" and seen is not None:
                self._outbox.set_stage(delivery, OURS if len(there) == 1 else FREE, seen.remote_id)
                remember(delivery, seen)
                if self._destination.is_others(seen):
                    self._outbox.share(delivery)
            elif naming != "own":
                self._go_on_with(delivery, naming, there, remember)
            elif whose == "free":
                self._outbox.set_stage(delivery, FREE)
                remember(delivery, Seen("", ""))
            else:
                self._move(delivery, record.run_id)

    def _go_on_with(
        self, delivery: Delivery, naming: Naming, there: Sequence[Seen], remember: Remember
    ) -> None:
        """Take over the row of a job that work here names, though another ledger made it."""
        if there:
            oldest = min(there, key=lambda seen: (seen.created, seen.remote_id))
            self._outbox.set_stage(delivery, SHARED, oldest.remote_id)
            self._outbox.share(delivery)
            remember(delivery, oldest)
            _log.event(logging.INFO, "jobspan.row.adopted", run_id=oldest.run_id)
        elif naming == "named":
            self._outbox.set_stage(delivery, FREE)
            remember(delivery, Seen("", ""))
        else:
            self._outbox.leave(delivery)

    def leave(self, rows: Sequence[Delivery]) -> list[Delivery]:
        """Leave jobs to other ledgers of which only client runs are known here; return the others."""
        passing = [each for each in rows if each.stage == UNSEEN and self._naming(each.job) == "passing"]
        for each in passing:
            self._outbox.leave(each)
        return [each for each in rows if each not in passing]

    def verify(self, rows: Sequence[Delivery]) -> None:
        """See that a run id stands in one row only; of two that took it at once, one moves on.

        A job that has moved before yields to whoever is there.

        Raises:
            DeliveryError: The request failed.
        """
        for delivery, record, there in self._stand(rows):
            yields = len(there) > 1 and self._outbox.has_moved(delivery.job)
            if not yields and self._destination.comes_first(delivery, there):
                self._outbox.set_stage(delivery, OURS)
            else:
                self._move(delivery, record.run_id)

    def believe(self, rows: Sequence[Delivery]) -> None:
        """Take jobs for ours where nothing can be looked up; makes no request."""
        for each in rows:
            if each.stage != OURS:
                self._outbox.set_stage(each, OURS)

    def match(self, kind: str, items: Sequence[Item]) -> bool:
        """Of several rows with one run id go on with the oldest; False if that was tried before.

        Raises:
            DeliveryError: The request failed.
        """
        keyless = [each for each in items if each.write.remote_id is None]
        if not keyless or any(self._unclear.get(each.write.run, 0) >= _TRIES for each in keyless):
            return False
        for each in keyless:
            self._unclear[each.write.run] = self._unclear.get(each.write.run, 0) + 1
        found = self._destination.read(kind, [Lookup(each.write.run_id) for each in keyless])
        for each in keyless:
            there = [seen for seen in found if seen.run_id == each.write.run_id]
            if len(there) > 1:
                oldest = min(there, key=lambda seen: (seen.created, seen.remote_id))
                self._outbox.set_stage(each.delivery, each.delivery.stage, oldest.remote_id)
                run_id = each.write.run_id
                _log.event(logging.WARNING, "jobspan.row.doubled", run_id=run_id, rows=len(there))
        return True

    def _stand(self, rows: Sequence[Delivery]) -> list[tuple[Delivery, Record, list[Seen]]]:
        """Return what stands there under the run ids of jobs. One request."""
        known = settled(self._outbox.records(rows, self._destination.ending))
        if not known:
            return []
        found = self._destination.read("j", [Lookup(record.run_id) for _, record in known])
        return [
            (delivery, record, [seen for seen in found if seen.run_id == record.run_id])
            for delivery, record in known
        ]

    def _move(self, delivery: Delivery, run_id: str) -> None:
        new = self._outbox.rekey(delivery.job)
        if new is not None:
            self._outbox.set_stage(delivery, UNSEEN)
        else:
            self._outbox.hold([delivery], f"run id {run_id} is another's", seconds=_NO_ID_SECONDS)
        _log.event(logging.INFO, "jobspan.job.moved", run_id=run_id, to=new or "(no free second)")
