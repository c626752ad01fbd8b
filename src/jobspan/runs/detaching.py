"""How a run is left open on purpose, and how a job says what it expects: the events that tell it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from jobspan import _clock
from jobspan._guard import guarded
from jobspan.model.text import clip
from jobspan.runs.naming import key_of
from jobspan.runs.option import Duration, seconds_of, whole_number

if TYPE_CHECKING:
    from jobspan.runs.detachable import Detachable
    from jobspan.runs.job import JobRun

_DEFAULT_SECONDS = 24 * 3600.0
_FORWARD = 1 << 62
"""Deadlines farther off than an instant can be told are cut to this."""


def deadline_after(deadline: Duration | None) -> int:
    """Return the instant of a deadline counted from now, in ns; without one, in 24 h.

    Raises:
        UsageError: It is no duration.
    """
    seconds = _DEFAULT_SECONDS if deadline is None else seconds_of(deadline, "deadline")
    return min(_clock.now_ns() + round(seconds * 1e9), _FORWARD)


def detach_run(run: Detachable, external_id: object, deadline: Duration | None) -> None:
    """Do what `Detachable.detach` promises."""
    until_ns = deadline_after(deadline)
    with guarded("run.detach"):
        if not run.mark_detached():
            run.note("detach() came after the end of the run, and changed nothing")
            return
        if external_id is not None:  # first, so that it is never open with nobody to find it
            key = key_of(run.owner_runtime, external_id)
            run.emit({"e": "link", "key": key})
            run.note(f"left open, to be ended elsewhere under the id {clip(key, 200)}")
        run.emit({"e": "detach", "deadline": until_ns})


def expect_parts(job: JobRun, count: object, deadline: Duration | None) -> None:
    """Do what `JobRun.expect` promises."""
    number = whole_number(count, "count", 1)
    _write(job, {"expect": number, "deadline": deadline_after(deadline)}, close=False)


def seal_job(job: JobRun) -> None:
    """Do what `JobRun.seal` promises."""
    _write(job, {"expect": 1}, close=True)


def seal_earlier(job: JobRun) -> None:
    """Say that what earlier attempts of a job expected will not come: this attempt says what it expects."""
    name = f"{job.job_uid}#expected"
    job.owner_runtime.emit(
        {
            **{"e": "close", "w": f"{name}.{os.urandom(8).hex()}", "p": name, "q": 0},
            **{"t": _clock.now_ns(), "how": "ok"},
        }
    )


@guarded("job.expect")
def _write(job: JobRun, more: dict[str, Any], *, close: bool) -> None:
    """Write to the one part of a job that stands for what it expects."""
    if not job.job_uid:
        return
    uid, name = job.job_uid, f"{job.expecting_uid}#expected"
    owner = job.owner_runtime
    stamp = {"w": f"{name}.{os.urandom(8).hex()}", "p": name}
    now = _clock.now_ns()
    opening = {"e": "open", "kind": "j", "job": uid, "name": "", "free": 1, **more}
    owner.emit({**stamp, "q": 0, "t": now, **opening})
    if close:
        owner.emit({**stamp, "q": 1, "t": now, "e": "close", "how": "ok"})
