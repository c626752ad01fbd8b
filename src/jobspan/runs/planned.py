"""A job that looks at the jobs before it when it opens: to go on with one of them, or to run alone.

It waits at most 2 s for the ledger. Where it cannot be read, the work runs as a new job, and the job's
notes and `health()` say so.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from json.encoder import encode_basestring_ascii as quote
from typing import TYPE_CHECKING, Self

from jobspan import _clock, _log
from jobspan._guard import guard, guarded
from jobspan.exceptions import AlreadyRunning
from jobspan.ledger.reopening import forget_cancel
from jobspan.ledger.trouble import BusyLedgerError
from jobspan.runs.detaching import seal_earlier
from jobspan.runs.job import JobRun
from jobspan.runs.job_plan import NEVER, QUEUE, SKIP, JobPlan
from jobspan.runs.naming import key_of
from jobspan.runs.resuming import asked_outside, find_earlier
from jobspan.runs.resumption import Resumption
from jobspan.runs.turn import Turn

if TYPE_CHECKING:
    from jobspan._composition import Runtime
    from jobspan.ledger.history import EarlierJob
    from jobspan.model.record import JobRecord
    from jobspan.runs.handle import RunHandle

_LOOK_SECONDS = 2.0
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 0.5
_ADMISSION = guarded("job.admission")


@dataclass(slots=True)
class _Finding:
    """What was seen of other jobs: one in the way, one to go on with, and what there is to say."""

    other: str | None = None
    record: JobRecord | None = None
    earlier: EarlierJob | None = None
    trouble: str = ""
    forgot_ns: int = 0
    """When requests to cancel the earlier job were forgotten."""


def _let_go(turn: Turn, looking: object) -> None:
    turn.let_go()


class PlannedJob(JobRun):
    """A job with ``resume=``, ``overlap=`` or ``key=``."""

    def __init__(
        self, runtime: Runtime, job_type: str, parent: RunHandle | None, plan: JobPlan, seconds: float | None
    ) -> None:
        super().__init__(runtime, job_type, parent)
        self._plan = plan
        self._seconds = seconds
        self._is_admitted = False
        self._pause = _FIRST_PAUSE_SECONDS
        self._since: float | None = None
        """Since when it waits for another one to end."""

    @property
    def skips(self) -> bool:
        """Whether a decorated function is not called while another job runs."""
        return self._plan.overlap == SKIP

    @property
    def expecting_uid(self) -> str:
        return self.uid

    def start(self) -> None:
        """Open the record, once the plan allows it.

        Raises:
            AlreadyRunning: Another job runs, and this one is not to wait.
            RunCanceled, DeadlineExceeded: The run around it is to stop, and this one still waited.
        """
        while not self._is_admitted:
            turn = Turn(self._runtime, self.name)
            try:
                pause = self._begin_or_wait(self._look(turn))
            finally:
                turn.let_go()
            _clock.sleep(pause)

    def __enter__(self) -> Self:
        self.start()
        return super().__enter__()

    async def admitted(self) -> None:
        """Do what `start` does, without blocking the event loop."""
        import asyncio  # only where a task asks: it takes long to load

        while not self._is_admitted:
            turn = Turn(self._runtime, self.name)
            looking = asyncio.ensure_future(asyncio.to_thread(self._look, turn))
            try:
                finding = await asyncio.shield(looking)
                pause = self._begin_or_wait(finding)
            finally:
                if looking.done():
                    turn.let_go()
                else:
                    looking.add_done_callback(partial(_let_go, turn))
            await asyncio.sleep(pause)

    async def __aenter__(self) -> Self:
        await self.admitted()
        return await super().__aenter__()

    # --- looking

    def _look(self, turn: Turn) -> _Finding:
        """Take the turn and see what there is; the turn is to be let go of when the job is open."""
        finding, plan = _Finding(), self._plan
        if not (plan.is_alone or plan.resume != NEVER or asked_outside()):
            return finding
        until = _clock.monotonic() + _LOOK_SECONDS
        with _ADMISSION:
            try:
                with suppress(BusyLedgerError):  # the long part without the turn: others fold as well
                    self._runtime.ledger.fold(seconds=1.0, busy_seconds=0.5, sweep=False)
                turn.take(until)
                self._read(finding, until)
                if finding.earlier is not None:
                    finding.forgot_ns = _clock.now_ns()
                    forget_cancel(self._runtime.ledger, finding.earlier.uid, 1.0)
            except OSError as error:  # of the ledger or its folder
                finding.earlier = finding.other = None
                finding.trouble = self._runtime.describe(error)[1]
        return finding

    def _read(self, finding: _Finding, until: float) -> None:
        scope = key_of(self._runtime, self._plan.key)
        with self._runtime.reading(max(0.1, until - _clock.monotonic())) as reader:
            from jobspan.model.record import JobRecord  # the reader has loaded it

            if self._plan.is_alone:
                finding.other = reader.history.running(self.name, scope)
            if finding.other is not None:
                record = reader.record(finding.other)
                finding.record = record if isinstance(record, JobRecord) else None
            else:
                finding.earlier, finding.trouble = find_earlier(
                    reader.history, reader, self._plan, self.name, scope
                )
                if finding.earlier is not None and self.budget is not None and self.budget.is_of(self):
                    record = reader.record(finding.earlier.uid, notes=False)
                    finding.record = record if isinstance(record, JobRecord) else None

    # --- opening, or not yet

    def _begin_or_wait(self, finding: _Finding) -> float:
        """Open the record, and return 0; or return how long to wait until the next look."""
        if finding.other is None:
            self._begin(finding)
            return 0.0
        if self._plan.overlap != QUEUE:
            raise self._refused(finding)
        if self.parent is not None:
            self.parent.checkpoint()
        now = _clock.monotonic()
        self._since = now if self._since is None else self._since
        limit = self._plan.queue_seconds
        if limit is not None and now - self._since >= limit:
            raise self._refused(finding)
        pause, self._pause = self._pause, min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        return pause if limit is None else min(pause, max(0.0, limit - (now - self._since)))

    def _refused(self, finding: _Finding) -> AlreadyRunning:
        record = finding.record
        named = "" if record is None else f", {record.run_id}"
        key = f" with key {self._plan.key!r}" if self._plan.key else ""
        _log.event(logging.INFO, "jobspan.job.refused", job_type=self.name, key=self._plan.key)
        return AlreadyRunning(f"another job {self.name!r}{key} is running{named}", record)

    def _begin(self, finding: _Finding) -> None:
        self._is_admitted = True
        with _ADMISSION:
            if self._seconds is not None:
                self.deadline = _clock.monotonic() + self._seconds
            if finding.earlier is not None:
                self._go_on_with(finding.earlier)
                if finding.record is not None and self.budget is not None:
                    self.budget.learn(finding.record, at_once=True)
                self.asked_since_ns = finding.forgot_ns  # of which our background may just have read
            elif self._plan.key:
                self._of = f',"scope":{quote(key_of(self._runtime, self._plan.key))}'
        super().start()
        with _ADMISSION:
            self._tell(finding)

    def _go_on_with(self, earlier: EarlierJob) -> None:
        self.take_id(earlier.run_id, earlier.start_ns)
        self.attach_to(earlier.uid, "", "")
        self._of = f',"retry":{quote(earlier.part)},"attempt":{earlier.attempts + 1}'
        self.resumption = Resumption(earlier)

    def _tell(self, finding: _Finding) -> None:
        earlier = finding.earlier
        if earlier is not None:
            self._runtime.deliveries.job_opened(self.job_uid)
            self._runtime.job_boundary()
            if earlier.expects:
                seal_earlier(self)
            self.note(
                f"attempt {earlier.attempts + 1}: goes on with what was {earlier.status.value};"
                f" {earlier.done:,} client runs are Completed"
            )
        if finding.trouble:
            guard.note("job.admission", finding.trouble)
            self.note(f"runs as a new job: {finding.trouble}")
        if self._since is not None:
            self.note(f"waited {_clock.monotonic() - self._since:.1f} s for another job of this type to end")

    def _finish(self, error: BaseException | None) -> None:
        if self.resumption is not None and self.resumption.left_out:
            count = len(self.resumption.left_out)
            self.note(f"{count:,} clients were left out: Completed in an earlier attempt")
        super()._finish(error)
