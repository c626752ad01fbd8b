"""Booking on whatever run is current, from anywhere below it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Concatenate, ParamSpec

from jobspan.runs.current import live_run
from jobspan.runs.handle import RunHandle
from jobspan.runs.kinds import JobRun
from jobspan.runs.opening import inert_client_run, inert_job, job_of
from jobspan.runs.usage import home_of_call

P = ParamSpec("P")


def current_run() -> RunHandle:
    """Return the innermost run of this context; outside of all, one that records nothing."""
    return live_run() or inert_client_run()


def current_job() -> JobRun:
    """Return the job of this context; outside of all, one that records nothing."""
    return job_of(live_run()) or inert_job()


def _on_current_run(method: Callable[Concatenate[RunHandle, P], None]) -> Callable[P, None]:
    """Return a method of runs as a function, for the current one.

    On a thread without context that is guessed as for calls an instrumentation sees: the only open client
    run, else the only job, else the job of type `unattributed`.
    """
    name = method.__name__

    def book(*args: P.args, **kwargs: P.kwargs) -> None:
        run = live_run() or home_of_call()[0]
        getattr(run if isinstance(run, RunHandle) else inert_client_run(), name)(*args, **kwargs)

    book.__name__ = book.__qualname__ = name
    book.__doc__ = method.__doc__
    own = inspect.signature(method)
    vars(book)["__signature__"] = own.replace(parameters=[*own.parameters.values()][1:])
    return book


record_usage = _on_current_run(RunHandle.record_usage)
record_cost = _on_current_run(RunHandle.record_cost)
