"""One request and what to make of its answer: go on, wait, hold rows back, stop and say so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from jobspan import _clock, _log
from jobspan.exceptions import DeliveryError
from jobspan.ledger.outbox import Outbox
from jobspan.model.delivery import Delivery
from jobspan.relay.destination import Destination
from jobspan.relay.lease import HeldLease
from jobspan.relay.pace import Timing, backoff, jittered
from jobspan.relay.plan import Item
from jobspan.relay.verdict import Action, Verdict, judge

Refused = Callable[[DeliveryError, Verdict, str, Sequence[Item]], None]


class Answers:
    """Makes requests one by one and remembers how the last ones went.

    Args:
        destination: Where to.
        outbox: Where rows are held back.
        timing: All waits.
        lease: Says whether this process is still the one sender.
        refused: Told of a batch of which nothing was written and one part is to blame.
    """

    def __init__(
        self,
        destination: Destination,
        outbox: Outbox,
        timing: Timing,
        lease: HeldLease,
        refused: Refused,
    ) -> None:
        self._destination = destination
        self._outbox = outbox
        self._timing = timing
        self._lease = lease
        self._refused = refused
        self._failures = 0
        self._resume_at = 0.0
        self.stopped: str | None = None
        """Why nothing can be sent at all: token, base, rights."""

    @property
    def resume_in(self) -> float:
        """Seconds until the next attempt may be made; 0: now."""
        return max(0.0, self._resume_at - _clock.monotonic())

    def attempt(
        self,
        request: Callable[[], None],
        rows: Sequence[Delivery] = (),
        kind: str = "",
        items: Sequence[Item] = (),
    ) -> None:
        """Make one request; whatever comes of it is dealt with here.

        Args:
            request: Makes it, and takes note of what it brought.
            rows: What it is about; none: its success says nothing about rows.
            kind: Kind of the rows.
            items: What it writes.

        Raises:
            LedgerError: The ledger cannot be used now.
        """
        fence = self._lease.fence
        self._outbox.count_calls(1)
        try:
            request()
        except DeliveryError as error:
            self._failed(error, rows, kind, items)
        else:
            if rows:
                self._went_well()
        if items and not self._lease.is_still(fence):
            self._outbox.hold(rows, "another sender took over", unsure=_fields(items), again=True)

    def forgive(self) -> None:
        """Take note that the destination is well, though it refused something."""
        self._failures = 0

    def _went_well(self) -> None:
        self._failures = 0
        self._resume_at = 0.0
        if self.stopped is not None:
            _log.event(logging.INFO, "jobspan.delivery.resumed", destination=self._destination.name)
            self.stopped = None

    def _failed(
        self, error: DeliveryError, rows: Sequence[Delivery], kind: str, items: Sequence[Item]
    ) -> None:
        verdict = judge(error, self._timing)
        action = verdict.action
        _log.event(logging.DEBUG, "jobspan.request.failed", reason=verdict.reason, action=action.name)
        if action is Action.STOP:
            self._stop(verdict)
        elif action is Action.BLOCK:
            _log.event(logging.WARNING, "jobspan.destination.blocked", reason=verdict.reason)
            self._outbox.block(jittered(verdict.seconds), verdict.reason)
        elif action in (Action.WAIT, Action.HOLD):
            self._back_off(verdict)
            if items and action is Action.HOLD:
                self._outbox.hold(rows, str(error), seconds=verdict.seconds, unsure=_fields(items))
        elif items:
            self._refused(error, verdict, kind, items)
        elif self._destination.learn(kind, error, ()):
            self.forgive()
        else:
            self._back_off(verdict)

    def _stop(self, verdict: Verdict) -> None:
        if self.stopped != verdict.reason:
            _log.event(
                logging.ERROR,
                "jobspan.delivery.stopped",
                destination=self._destination.name,
                reason=verdict.reason,
            )
            self._destination.doubt()
            self._failures = 0
        self.stopped = verdict.reason
        wait = backoff(self._failures, self._timing.stopped, self._timing.stopped_most)
        self._resume_at = _clock.monotonic() + wait
        self._failures += 1

    def _back_off(self, verdict: Verdict) -> None:
        if self._failures == 0:
            _log.event(logging.WARNING, "jobspan.delivery.delayed", reason=verdict.reason)
        wait = backoff(self._failures, 0.5, self._timing.retry_most)
        told = verdict.seconds if verdict.action is Action.WAIT else 0.0
        self._resume_at = _clock.monotonic() + max(wait, told)
        self._failures += 1


def _fields(items: Sequence[Item]) -> dict[str, set[str]]:
    return {each.delivery.run: set(each.write.cells) for each in items}
