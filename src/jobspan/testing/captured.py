"""What a test recorded: its jobs and client runs, and the rows they would be in Airtable."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from jobspan import _clock, _runtime
from jobspan._clock import FrozenClock
from jobspan._guard import guard
from jobspan.airtable import fields
from jobspan.airtable.fields import CLIENT_RUNS, JOBS, Record, table_fields
from jobspan.airtable.settings import AirtableSettings, Columns, airtable_settings
from jobspan.model.record import ClientRunRecord, JobRecord
from jobspan.model.status import Status
from jobspan.runs import current

if TYPE_CHECKING:
    from jobspan.runs.handle import RunHandle

_READ_SECONDS = 10.0
_NO_BASE = "appNoBase"
_MOST_TICKS = 999
"""Less than the microsecond records show."""


class StandingClock(FrozenClock):
    """A clock for tests: to the microsecond it stands still, and yet it tells first from second.

    Each question within one instant is answered a nanosecond later (999 at most), so that runs and
    lines of notes keep their order.
    """

    def __init__(self) -> None:
        super().__init__()
        self._tick = count().__next__  # one C call: any thread may ask

    def now_ns(self) -> int:
        return super().now_ns() + min(self._tick(), _MOST_TICKS)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass.

        Raises:
            ValueError: Less than a microsecond, or backwards.
        """
        if seconds < 1e-6:
            raise ValueError(f"the clock can be advanced by a microsecond or more, not by {seconds} s")
        super().advance(seconds)
        self._tick = count().__next__


class CapturedJobs:
    """Reads what was recorded since it was made; each access reads anew.

    Attributes:
        clock: The time of all that is recorded; it stands still until ``clock.advance(seconds)``.
    """

    def __init__(self, clock: StandingClock) -> None:
        self.clock = clock

    @property
    def jobs(self) -> list[JobRecord]:
        """Return the jobs in the order of their start, those still running too.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        with _runtime.runtime().reading(_READ_SECONDS) as reader:
            return list(reader.jobs())[::-1]

    @property
    def client_runs(self) -> list[ClientRunRecord]:
        """Return the client runs of all jobs, job by job.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        return [run for job in self.jobs for run in job.client_runs]

    @property
    def airtable(self) -> dict[str, list[dict[str, Any]]]:
        """Return the rows Airtable would show, by table: ``{"Job Tracking": [{column: value}, …], …}``.

        Nothing is sent. Columns, status labels and projection are those that are set; empty cells are
        left out, as Airtable leaves them out. System Notes are without the mark of the ledger, which is
        their last line in Airtable.

        Raises:
            LedgerError: The ledger cannot be read.
            SettingsError: What is set about Airtable cannot be used.
        """
        settings = _settings_of(_runtime.runtime().settings.airtable)
        jobs = self.jobs
        runs = [run for job in jobs for run in job.client_runs if _is_shown(run, settings)]
        return {
            settings.job_table: [_row(JOBS, job, settings.job_columns, settings) for job in jobs],
            settings.client_run_table: [
                _row(CLIENT_RUNS, run, settings.client_run_columns, settings) for run in runs
            ],
        }


def _settings_of(given: Mapping[str, Any]) -> AirtableSettings:
    """Return what is set about Airtable; a base need not be named."""
    settings = airtable_settings({**given, "base_id": given.get("base_id") or _NO_BASE})
    assert settings is not None  # a base is named
    return settings


def _row(kind: str, record: Record, columns: Columns, settings: AirtableSettings) -> dict[str, Any]:
    cells = {field.column: fields.cell(field, record) for field in table_fields(kind, columns)}
    for field in table_fields(kind, columns):
        if field.kind == "status":
            cells[field.column], _ = fields.status_label(
                record.status, None, settings.status_labels, frozenset()
            )
    return {column: value for column, value in cells.items() if value is not None}


def _is_shown(run: ClientRunRecord, settings: AirtableSettings) -> bool:
    match settings.project:
        case "all":
            return True
        case "terminal":
            return run.status.is_terminal
        case "exceptions":
            return run.status.is_terminal and run.status is not Status.COMPLETED
        case "jobs":
            return False


@contextmanager
def capturing() -> Generator[CapturedJobs]:
    """Have jobs recorded by a runtime of their own, under a frozen clock, outside of any run.

    The runtime is set up from environment and files, which say where its ledger is. Runtime, clock and
    current run are put back at the end; a run still open then is left as it is, in that ledger. What
    went wrong inside jobspan is counted from 0, and from 0 again afterwards.
    """
    before = _runtime._runtime, guard.strict, guard.describe, current.live_run(), otel_context.get_current()
    clock = StandingClock()
    real_clock = _clock.use(clock)
    _runtime._runtime = None
    _leave_runs(None, Context())
    guard.reset()
    try:
        _runtime.configure()
        yield CapturedJobs(clock)
    finally:
        guard.strict = False
        _runtime.shutdown(0)
        _runtime._runtime, guard.strict, guard.describe, run, context = before
        _leave_runs(run, context)
        guard.reset()
        _clock.use(real_clock)


def _leave_runs(run: RunHandle | None, context: Context) -> None:
    current._current.set(run)
    otel_context.attach(context)
