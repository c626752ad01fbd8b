"""What a job was asked for beside its type: to go on with an earlier one, to run alone."""

from __future__ import annotations

from dataclasses import dataclass

from jobspan.exceptions import UsageError
from jobspan.model.run_id import is_run_id
from jobspan.runs.option import Duration, seconds_of

NEVER, AUTO = "never", "auto"
ALLOW, SKIP, QUEUE, FAIL = OVERLAPS = ("allow", "skip", "queue", "fail")
_RESUME_SECONDS = 12 * 3600.0


@dataclass(frozen=True, slots=True)
class JobPlan:
    """The options of a job, checked.

    Attributes:
        key: By it jobs of one type are told apart.
        resume: "never", "auto" or a run id.
        resume_seconds: How long ago a job may have ended that "auto" goes on with.
        overlap: What becomes of it while another one runs.
        queue_seconds: How long it waits for that; None: as long as it takes.
    """

    key: str = ""
    resume: str = NEVER
    resume_seconds: float = _RESUME_SECONDS
    overlap: str = ALLOW
    queue_seconds: float | None = None

    @property
    def is_alone(self) -> bool:
        """Whether it wants no other job of its type and key beside it."""
        return self.overlap != ALLOW


def plan_of(
    key: str | int | None,
    resume: str | None,
    resume_within: Duration | None,
    overlap: str | None,
    queue_timeout: Duration | None,
) -> JobPlan | None:
    """Check the options of ``job(...)``; None where nothing was asked for.

    Raises:
        UsageError: One is wrong.
    """
    if (key, resume, resume_within, overlap, queue_timeout) == (None,) * 5:
        return None
    return JobPlan(
        _key_of(key),
        _resume_of(NEVER if resume is None else resume),
        _RESUME_SECONDS if resume_within is None else seconds_of(resume_within, "resume_within"),
        _overlap_of(ALLOW if overlap is None else overlap),
        None if queue_timeout is None else seconds_of(queue_timeout, "queue_timeout"),
    )


def _key_of(key: object) -> str:
    if key is None:
        return ""
    if isinstance(key, bool) or not isinstance(key, str | int) or not str(key).strip():
        raise UsageError(f"key={key!r}: give a text or a whole number, by which jobs of one type differ")
    return str(key)


def _resume_of(resume: object) -> str:
    if not isinstance(resume, str) or not (resume in (NEVER, AUTO) or is_run_id(resume)):
        raise UsageError(f'resume={resume!r}: write "auto", "never" or the run id of a job, YYMMDD-HHMMSS')
    return resume


def _overlap_of(overlap: object) -> str:
    if overlap not in OVERLAPS:
        raise UsageError(f"overlap={overlap!r}: write one of {', '.join(map(repr, OVERLAPS))}")
    return str(overlap)
