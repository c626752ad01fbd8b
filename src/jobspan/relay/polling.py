"""When to look whether a person has set a Running row to Canceled, and what follows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from jobspan import _clock, _log
from jobspan.ledger.outbox import Outbox
from jobspan.model.delivery import Delivery, Seen
from jobspan.model.status import Status
from jobspan.relay.pace import Timing

_SHARE = 0.1
"""Of the calls of a month that may be spent on looking."""


class CancelPoll:
    """Looks at rows shown as Running: every 15 s in a job's first 10 minutes, then every 60 s.

    Jobs are looked at row by row, client runs all at once: only those somebody changed come back. The
    answer to a write is a look, too.

    Args:
        timing: The intervals.
        budget: Calls that may be made in a month; None: no limit.
        enabled: Whether to look at all.
        is_canceled: Whether a row's Status says Canceled.
        cancel: Told the inside name of a run a person wants ended.
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
        self._checked_at: dict[str, float] = {}
        self._since: dict[str, dict[str, float]] = {"j": {}, "c": {}}
        self._seen_at: dict[str, dict[str, float]] = {"j": {}, "c": {}}
        """By kind: when a job's own row, or the rows of all its client runs, were looked at last."""
        self._told: set[str] = set()

    def due_jobs(self, outbox: Outbox) -> list[Delivery]:
        """Return the jobs whose rows are to be looked at now; none while it is not time."""
        if not self._is_time_to_check("j"):
            return []
        running = [each for each in outbox.running() if each.status == Status.RUNNING]
        return running if self._is_time("j", (each.run for each in running)) else []

    def due_client_runs(self, outbox: Outbox) -> Mapping[str, str]:
        """Return the jobs (inside name to run id) whose client runs' rows are to be looked at now."""
        if not self._is_time_to_check("c"):
            return {}
        jobs = outbox.jobs_of_running()
        return jobs if self._is_time("c", jobs) else {}

    def _is_time_to_check(self, kind: str) -> bool:
        now = _clock.monotonic()
        if not self._enabled or now < self._checked_at.get(kind, 0.0):
            return False
        self._checked_at[kind] = now + self._timing.cancel_poll / 10
        return True

    def _is_time(self, kind: str, jobs: Iterable[str]) -> bool:
        now = _clock.monotonic()
        since = self._since[kind] = {job: self._since[kind].get(job, now) for job in jobs}
        seen_at = self._seen_at[kind] = {job: self._seen_at[kind].get(job, since[job]) for job in since}
        young = any(now - first < self._timing.cancel_early for first in since.values())
        every = self._timing.cancel_poll if young else self._timing.cancel_poll_late
        if not seen_at or now < min(seen_at.values()) + every:
            return False
        return self._budget is None or self._polls.calls() < self._budget * _SHARE

    def asked(self, kind: str, jobs: Iterable[str]) -> None:
        """Note that a look is being made at the rows of jobs."""
        self._seen_at[kind].update(dict.fromkeys(jobs, _clock.monotonic()))
        self._polls.count_calls(1)

    def looked_ago(self, job: str) -> float:
        """Return how many seconds ago the client runs of a job were looked at."""
        return _clock.monotonic() - self._seen_at["c"].get(job, float("-inf"))

    def saw(self, delivery: Delivery, row: Seen) -> None:
        """Take note of a row as it stands there: its run may have been canceled."""
        if delivery.is_job:
            self._seen_at["j"][delivery.run] = _clock.monotonic()
        if delivery.run in self._told or delivery.status != Status.RUNNING or not self._is_canceled(row):
            return
        self._cancel(delivery.run)
        self._told.add(delivery.run)
        _log.event(logging.INFO, "jobspan.run.cancel_requested", run_id=row.run_id)
