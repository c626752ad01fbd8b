"""Which deadline comes first, of a run and those around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobspan import _clock

if TYPE_CHECKING:
    from jobspan.runs.handle import RunHandle


def first_deadline(run: RunHandle) -> RunHandle | None:
    """Return the run whose deadline comes first, of `run` and those around it; None: none has one."""
    first: RunHandle | None = None
    around: RunHandle | None = run
    while around is not None:
        deadline = around.deadline
        if deadline is not None and (first is None or first.deadline is None or deadline < first.deadline):
            first = around
        around = around.parent
    return first


def seconds_left(run: RunHandle) -> float:
    """Return how long a run with a deadline has; 0 when it is past it."""
    return max(0.0, (run.deadline or 0.0) - _clock.monotonic())


def deadline_text(run: RunHandle, now_ns: int) -> str:
    """Return what an open event says of the deadline of its run."""
    if run.deadline is None:
        return ""
    return f',"deadline":{min(now_ns + round(seconds_left(run) * 1e9), 1 << 62)}'
