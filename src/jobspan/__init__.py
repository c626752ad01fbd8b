"""Job and client-run records that open, add up and close by themselves."""

from jobspan._api.decorators import client_run, job, operation
from jobspan._health import Health
from jobspan._runtime import configure, flush, health, shutdown
from jobspan.exceptions import (
    AlreadyRunning,
    DeadlineExceeded,
    JobspanError,
    LedgerError,
    RunCanceled,
    SettingsError,
    UsageError,
)
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

__all__ = [
    "AlreadyRunning",
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
