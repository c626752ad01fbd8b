"""Booking on whatever run is current, from anywhere below it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Concatenate, ParamSpec

from jobspan.runs.current import live_run
from jobspan.runs.handle import RunHandle
from jobspan.runs.kinds import JobRun
from jobspan.runs.opening import inert_client_run, inert_job, job_of

P = ParamSpec("P")


def current_run() -> RunHandle:
    """Return the innermost run of this context; outside of all, one that records nothing."""
    return live_run() or inert_client_run()


def current_job() -> JobRun:
    """Return the job of this context; outside of all, one that records nothing."""
    return job_of(live_run()) or inert_job()


def _on_current_run(method: Callable[Concatenate[RunHandle, P], None]) -> Callable[P, None]:
    """Return a method of runs as a function, which is for the current one."""
    name = method.__name__

    def book(*args: P.args, **kwargs: P.kwargs) -> None:
        getattr(current_run(), name)(*args, **kwargs)

    book.__name__ = book.__qualname__ = name
    book.__doc__ = method.__doc__
    own = inspect.signature(method)
    vars(book)["__signature__"] = own.replace(parameters=[*own.parameters.values()][1:])
    return book


record_usage = _on_current_run(RunHandle.record_usage)
record_cost = _on_current_run(RunHandle.record_cost)
