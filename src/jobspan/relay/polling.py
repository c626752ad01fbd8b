"""When to look whether a person has set a Running row to Canceled, and what follows."""

from __future__ import annotations

import logging
from collections.abc import Callable

from jobspan import _clock, _log
from jobspan.ledger.outbox import Outbox
from jobspan.model.delivery import Delivery, Seen
from jobspan.model.status import Status
from jobspan.relay.pace import Timing

_SHARE = 0.1
"""Of the calls of a month that may be spent on looking."""


class CancelPoll:
    """Looks at jobs shown as Running: every 15 s in a job's first 10 minutes, then every 60 s.

    Args:
        timing: The intervals.
        budget: Calls that may be made in a month; None: no limit.
        enabled: Whether to look at all.
        is_canceled: Whether a row's Status says Canceled.
        cancel: Told the inside name of a job a person wants ended.
        polls: Counts the looks of a month, apart from other calls.
    """

    def __init__(
        self,
        timing: Timing,
        budget: int | None,
        *,
        enabled: bool,
        is_canceled: Callable[[Seen], bool],
        cancel: Callable[[str], None],
        polls: Outbox,
    ) -> None:
        self._timing = timing
        self._budget = budget
        self._enabled = enabled
        self._is_canceled = is_canceled
        self._cancel = cancel
        self._polls = polls
        self._polled_at = _clock.monotonic()
        self._checked_at = 0.0
        self._since: dict[str, float] = {}
        self._told: set[str] = set()

    def due(self, outbox: Outbox) -> list[Delivery]:
        """Return the jobs to look at now; none while it is not time."""
        now = _clock.monotonic()
        if not self._enabled or now < self._polled_at + self._timing.cancel_poll or now < self._checked_at:
            return []
        self._checked_at = now + self._timing.cancel_poll / 10
        running = [each for each in outbox.running() if each.status == Status.RUNNING]
        self._since = {each.run: self._since.get(each.run, now) for each in running}
        young = any(now - since < self._timing.cancel_early for since in self._since.values())
        every = self._timing.cancel_poll if young else self._timing.cancel_poll_late
        if now < self._polled_at + every or not running:
            return []
        if self._budget is not None and self._polls.calls() >= self._budget * _SHARE:
            return []
        return running

    def asked(self) -> None:
        """Note that a look is being made."""
        self._polled_at = _clock.monotonic()
        self._polls.count_calls(1)

    def saw(self, delivery: Delivery, row: Seen) -> None:
        """Take note of a row as it stands there: its job may have been canceled."""
        if delivery.run in self._told or delivery.status != Status.RUNNING or not self._is_canceled(row):
            return
        self._told.add(delivery.run)
        _log.event(logging.INFO, "jobspan.job.cancel_requested", run_id=row.run_id)
        self._cancel(delivery.run)
