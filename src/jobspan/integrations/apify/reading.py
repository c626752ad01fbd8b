"""What an Apify run says, whether it comes as a model, a dict or JSON, and what its status means to us."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from jobspan.exceptions import DeadlineExceeded, JobspanError, RunCanceled
from jobspan.model.status import Status

_STATUSES = {
    "READY": Status.RUNNING,
    "RUNNING": Status.RUNNING,
    "TIMING-OUT": Status.RUNNING,
    "ABORTING": Status.RUNNING,
    "SUCCEEDED": Status.COMPLETED,
    "FAILED": Status.FAILED,
    "TIMED-OUT": Status.TIMED_OUT,
    "ABORTED": Status.CANCELED,
}
_ID_LIMIT = 64
_TEXT_LIMIT = 500


class ApifyRunError(JobspanError):
    """An Apify run ended as FAILED."""


@dataclass(frozen=True, slots=True)
class ApifyRun:
    """What is read of a run.

    Attributes:
        id: Its id; empty if it has none that can be used.
        status: Apify's word.
        cost_usd: What it cost, as far as Apify says; None: unknown.
        message: Its status message.
    """

    id: str
    status: str
    cost_usd: Any
    message: str


def status_of(status: str) -> Status | None:
    """Return our status for Apify's; None for one this version does not know."""
    return _STATUSES.get(status)


def read_run(run: object) -> ApifyRun:
    """Read a run object of any version of the client."""
    return ApifyRun(
        run_id_of(_field(run, "id", "id")),
        str(_field(run, "status", "status") or ""),
        _field(run, "usage_total_usd", "usageTotalUsd"),
        str(_field(run, "status_message", "statusMessage") or "")[:_TEXT_LIMIT],
    )


def run_id_of(value: object) -> str:
    """Return an id as Apify makes them; empty for anything else."""
    is_id = isinstance(value, str) and 0 < len(value) <= _ID_LIMIT and value.isascii() and value.isalnum()
    return cast("str", value) if is_id else ""


def error_of(run: ApifyRun) -> BaseException | None:
    """Return what a block is left with for a run that has ended; None for success or no end."""
    text = f"Apify run {run.id} is {run.status}" + (f": {run.message}" if run.message else "")
    match status_of(run.status):
        case Status.FAILED:
            return ApifyRunError(text)
        case Status.TIMED_OUT:
            return DeadlineExceeded(text)
        case Status.CANCELED:
            return RunCanceled(text)
        case _:
            return None


def _field(run: object, attribute: str, key: str) -> Any:
    if isinstance(run, Mapping):
        found = cast("Mapping[str, Any]", run)
        return found.get(key, found.get(attribute))
    return getattr(run, attribute, None)
