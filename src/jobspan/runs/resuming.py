"""Which job a new one goes on with: the one named, from here or from outside, or the last that failed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jobspan import _clock
from jobspan.model.run_id import is_run_id
from jobspan.model.status import Status
from jobspan.model.text import clip, one_line
from jobspan.runs.job_plan import AUTO, NEVER, JobPlan

if TYPE_CHECKING:
    from jobspan.ledger.history import EarlierJob, History
    from jobspan.ledger.reading import LedgerReader
    from jobspan.model.run import Run

_VARIABLE = "JOBSPAN_RESUME"
_BY_ITSELF = (Status.FAILED, Status.CANCELED, Status.TIMED_OUT)
_BY_NAME = (*_BY_ITSELF, Status.COMPLETED_WITH_ERRORS)
_used: set[str] = set()
"""Values of the variable that a job of this process was opened for."""


def asked_outside() -> str:
    """Return the run id in `JOBSPAN_RESUME` that no job of this process has taken yet; empty: none."""
    text = os.environ.get(_VARIABLE, "").strip()
    return "" if text in _used else text


def find_earlier(
    history: History, reader: LedgerReader, plan: JobPlan, job_type: str, scope: str
) -> tuple[EarlierJob | None, str]:
    """Return the job to go on with, if any, and why the one that was named is not it."""
    outside = asked_outside()
    if outside:
        job = _named(history, reader, outside)
        if job is None or (job.label, job.scope) == (job_type, scope):
            _used.add(outside)
            return _usable(history, job, f"{_VARIABLE}={clip(one_line(outside), 40)}", job_type, scope)
    if plan.resume == NEVER:
        return None, ""
    if plan.resume != AUTO:
        job = _named(history, reader, plan.resume)
        return _usable(history, job, f"resume={plan.resume}", job_type, scope)
    job = history.newest(job_type, scope)
    if job is None or job.status not in _BY_ITSELF or job.end_ns is None:
        return None, ""
    is_old = _clock.now_ns() - job.end_ns > plan.resume_seconds * 1e9
    return (None if is_old else history.earlier(job)), ""


def _named(history: History, reader: LedgerReader, run_id: str) -> Run | None:
    uid = reader.job_uid(run_id) if is_run_id(run_id) else None
    return None if uid is None else history.job(uid)


def _usable(
    history: History, job: Run | None, asked: str, job_type: str, scope: str
) -> tuple[EarlierJob | None, str]:
    if job is None:
        return None, f"{asked}: there is no such job"
    if (job.label, job.scope) != (job_type, scope):
        return None, f"{asked}: that job is of another type or key"
    if job.status not in _BY_NAME:
        return None, f"{asked}: that job is {job.status.value}"
    earlier = history.earlier(job)
    return earlier, "" if earlier is not None else f"{asked}: that job was opened by no block"
