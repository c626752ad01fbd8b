"""What is recorded of an Apify run: its id and its cost, the latter asked for again when it is final."""

from __future__ import annotations

import os
from typing import Any, TypeVar

from jobspan import _clock
from jobspan._guard import guarded
from jobspan.integrations.apify.reading import ApifyRun, read_run, status_of
from jobspan.integrations.apify.refetch import book_cost, refetching
from jobspan.model.status import Status
from jobspan.runs.handle import RunHandle
from jobspan.runs.opening import job_of
from jobspan.runs.recording import current_run

R = TypeVar("R")


def record_apify_run(run: R, *, client: Any = None, to: RunHandle | None = None) -> R:
    """Book an Apify run your own code got from the client; return it.

    Fills Apify Run ID of the job, and Apify API Costs: `usageTotalUsd` is what you pay for the run, and
    stays blank where Apify does not say. The same run again replaces its cost.

    Args:
        run: The run, as any version of apify-client gives it.
        client: An `ApifyClient` or `ApifyClientAsync`. The figure at the end of a run is preliminary; with
            a client it is asked for again in the background, 10 s after and once more a minute after. Where
            the process ends before, the next one that uses the integration with a client asks.
        to: The job, client run or operation it belongs to; default the current one.
    """
    with guarded("apify.record"):
        book(to or current_run(), read_run(run), client)
    return run


def book(handle: RunHandle, run: ApifyRun, client: Any = None) -> None:
    """Book what a run says on `handle`, and have the cost of one that has ended asked for again."""
    if not run.id or not handle.uid:
        return
    name_run(handle, run.id)
    book_cost(handle, run)
    status = status_of(run.status)
    if status is None:
        handle.note(f"Apify run {run.id} has a status this version does not know: {run.status[:40]}")
    elif status is not Status.RUNNING and client is not None:
        refetching.later(handle, run.id, client)


def name_run(handle: RunHandle, run_id: str) -> None:
    """Add a run to the Apify Run ID of the job: several stand side by side, whoever names them."""
    job = job_of(handle)
    if job is None or not job.job_uid:
        return
    owner, now = handle.owner_runtime, _clock.now_ns()
    part = f"{job.job_uid}#apify"
    stamp = {"w": f"{part}.{os.urandom(8).hex()}", "p": part, "t": now}
    opening = {"kind": "j", "job": job.job_uid, "name": "", "free": 1, "passive": 1}
    owner.emit({**stamp, "q": 0, "e": "open", **opening})
    owner.emit({**stamp, "q": 1, "e": "set", "f": {f"apify_run_id:{run_id}": run_id}, "x": 0})
