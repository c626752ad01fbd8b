"""Job and client-run records that open, add up and close by themselves."""

from typing import TYPE_CHECKING

from jobspan.exceptions import (
    AlreadyRunning,
    BudgetExceeded,
    DeadlineExceeded,
    JobspanError,
    LedgerError,
    RunCanceled,
    SettingsError,
    UsageError,
)

if TYPE_CHECKING:
    from jobspan._api.decorators import client_run, job, operation
    from jobspan._health import Health
    from jobspan._runtime import configure, flush, health, shutdown
    from jobspan.integrations.client import instrument, uninstrument
    from jobspan.integrations.stream import track_stream
    from jobspan.model.record import ClientRunRecord, JobRecord, OperationRecord
    from jobspan.model.run_id import RunKey
    from jobspan.model.status import Status
    from jobspan.runs.attaching import attach
    from jobspan.runs.carrier import extract, inject, propagate
    from jobspan.runs.current import wrap
    from jobspan.runs.kinds import ClientRun, JobRun, Operation
    from jobspan.runs.logging import RunFilter, get_logger
    from jobspan.runs.outcome import ClientOutcome
    from jobspan.runs.recording import current_job, current_run, record_cost, record_usage
    from jobspan.runs.tracking import JobTracking, TrackingResult
else:
    from jobspan._lazy import attributes

    __getattr__, __dir__ = attributes(
        __name__,
        {
            "jobspan._api.decorators": ("client_run", "job", "operation"),
            "jobspan._health": ("Health",),
            "jobspan._runtime": ("configure", "flush", "health", "shutdown"),
            "jobspan.integrations.client": ("instrument", "uninstrument"),
            "jobspan.integrations.stream": ("track_stream",),
            "jobspan.model.record": ("ClientRunRecord", "JobRecord", "OperationRecord"),
            "jobspan.model.run_id": ("RunKey",),
            "jobspan.model.status": ("Status",),
            "jobspan.runs.attaching": ("attach",),
            "jobspan.runs.carrier": ("extract", "inject", "propagate"),
            "jobspan.runs.current": ("wrap",),
            "jobspan.runs.kinds": ("ClientRun", "JobRun", "Operation"),
            "jobspan.runs.logging": ("RunFilter", "get_logger"),
            "jobspan.runs.outcome": ("ClientOutcome",),
            "jobspan.runs.recording": ("current_job", "current_run", "record_cost", "record_usage"),
            "jobspan.runs.tracking": ("JobTracking", "TrackingResult"),
        },
        watching={"litellm": "jobspan.integrations.litellm"},
    )

__all__ = [
    "AlreadyRunning",
    "BudgetExceeded",
    "ClientOutcome",
    "ClientRun",
    "ClientRunRecord",
    "DeadlineExceeded",
    "Health",
    "JobRecord",
    "JobRun",
    "JobTracking",
    "JobspanError",
    "LedgerError",
    "Operation",
    "OperationRecord",
    "RunCanceled",
    "RunFilter",
    "RunKey",
    "SettingsError",
    "Status",
    "TrackingResult",
    "UsageError",
    "attach",
    "client_run",
    "configure",
    "current_job",
    "current_run",
    "extract",
    "flush",
    "get_logger",
    "health",
    "inject",
    "instrument",
    "job",
    "operation",
    "propagate",
    "record_cost",
    "record_usage",
    "shutdown",
    "track_stream",
    "uninstrument",
    "wrap",
]
