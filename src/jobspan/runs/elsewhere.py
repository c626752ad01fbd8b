"""A run carried to another process: what it records there is added to the same record.

A live handle pickles to its token. Where the ledger of the other process is the same one (that of a
forked child, of the same settings, or none yet, then it takes the run's), the handle made from it
writes to that process's own journal; elsewhere it records nothing, and `health()` says so.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobspan import _runtime
from jobspan._composition import Runtime
from jobspan._guard import guard, guarded
from jobspan.runs.handle import RunHandle
from jobspan.runs.inert import InertOperation
from jobspan.runs.kinds import ClientRun, JobRun, Operation
from jobspan.runs.opening import inert_client_run, inert_job, inert_operation
from jobspan.runs.token import DETACHED, Address, read_token, write_token

_KINDS = {"job": "j", "client_run": "c", "operation": "o"}


def address_of(run: RunHandle) -> Address | None:
    """Return the address of an open run; None of one that records nothing."""
    if not run.uid:
        return None
    owner = run.owner if isinstance(run, Operation) else run
    job = owner.job if isinstance(owner, ClientRun) else owner
    assert isinstance(job, JobRun)
    in_client = isinstance(owner, ClientRun)
    return Address(
        _KINDS[run.kind],
        run.uid,
        job.job_uid,
        job.run_id,
        job.name,
        job.started_ns,
        owner.name if in_client else "",
        owner.uid if in_client and run is not owner else "",
        run.name if run is not owner else "",
        DETACHED if owner.stays_open else urlsafe_b64encode(os.urandom(6)).decode(),
    )


def token_of(run: RunHandle) -> str:
    """Return the token of a run; empty for one that records nothing.

    Raises:
        OSError, LedgerError: The key of the ledger cannot be had.
    """
    address = address_of(run)
    return "" if address is None else write_token(run.owner_runtime, address)


def reduced(run: RunHandle) -> tuple[str, Path | None, bool]:
    """Return what a pickled run consists of: its token, its ledger, and whether it lends itself."""
    token = run.token
    ledger = run.owner_runtime.settings.ledger if token else None
    return token, ledger, isinstance(run, ClientRun) and run.lends


def revive(kind: str, token: str, ledger: Path | None, lends: bool = False) -> RunHandle:
    """Return a handle of the run of a token that adds to it, and neither opens nor closes it."""
    with guarded("run.revive"):
        owner = None if ledger is None else _runtime_of(ledger)
        address = None if owner is None else read_token(owner, token)
        if owner is not None and address is not None:
            return revived(owner, address, lends=lends)
    inert: dict[str, Callable[[], RunHandle]] = {
        "job": inert_job,
        "client_run": inert_client_run,
        "operation": _inert_operation,
    }
    return inert[kind]()


def _inert_operation() -> InertOperation:
    return inert_operation("")


def _runtime_of(ledger: Path) -> Runtime | None:
    if _runtime.is_unset():
        _runtime.configure(ledger=ledger)
    owner = _runtime.runtime()
    if owner.settings.ledger != ledger:
        guard.note("run.revive", f"a run came from the ledger {ledger}, which is not the one used here")
        return None
    return owner if owner.enabled else None


def revived_job(owner: Runtime, address: Address) -> JobRun:
    """Return a handle of the job of an address, that adds to it."""
    job = JobRun(owner, address.job_type, None)
    job.take_id(address.run_id, address.start_ns)
    if address.kind == "j" and address.part != address.job:
        job.attach_to(address.job, "", "")
        job.uid = address.part
    else:
        job.uid = address.job
    job.take_pen()
    return job


def revived(owner: Runtime, address: Address, *, lends: bool = False) -> RunHandle:
    """Return a handle of the run of an address, that adds to it."""
    job = revived_job(owner, address)
    around: JobRun | ClientRun = job
    if address.client:
        around = ClientRun(owner, address.client, job, job)
        around.lends = lends
        around.uid = address.client_part or address.part
        around.take_pen()
    if address.kind != "o":
        return around
    run = Operation(owner, address.operation, around, around)
    run.uid = address.part
    run.take_pen()
    return run


class Carried:
    """A function that runs as a part of `run`, in whatever thread or process; pickles if `function` does."""

    __slots__ = ("function", "run")

    def __init__(self, function: Callable[..., Any], run: RunHandle) -> None:
        self.function = function
        self.run = run

    def __call__(self, *args: Any) -> Any:
        activation = self.run.activate()
        try:
            return self.function(*args)
        finally:
            self.run.deactivate(activation)
