"""A run carried to another process: what it records there is added to the same record.

A live handle pickles to its address. Where the ledger of the other process is the same one (that of a
forked child, of the same settings, or none yet, then it takes the address's), the handle made from it
writes to that process's own journal; elsewhere it records nothing, and `health()` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobspan import _runtime
from jobspan._guard import guard, guarded
from jobspan._runtime import Runtime
from jobspan.runs.handle import RunHandle
from jobspan.runs.inert import InertOperation
from jobspan.runs.kinds import ClientRun, JobRun, Operation
from jobspan.runs.opening import inert_client_run, inert_job, inert_operation


@dataclass(frozen=True, slots=True)
class Address:
    """Where a run is found again from another process."""

    kind: str
    uid: str
    name: str
    around: Address | None
    run_id: str
    ledger: Path
    lends: bool = False


def address_of(run: RunHandle) -> Address | None:
    """Return the address of an open run; None of one that records nothing."""
    if not run.uid:
        return None
    around = owner_around(run)
    return Address(
        run.kind,
        run.uid,
        run.name,
        None if around is None else address_of(around),
        run.run_id,
        run.owner_runtime.settings.ledger,
        isinstance(run, ClientRun) and run.lends,
    )


def owner_around(run: RunHandle) -> RunHandle | None:
    """Return the run this one is a part of: an operation's client run or job, a client run's job."""
    if isinstance(run, Operation):
        return run.owner
    return run.job if isinstance(run, ClientRun) else None


def revive(kind: str, address: Address | None) -> RunHandle:
    """Return a handle of the run at `address` that adds to it, and neither opens nor closes it."""
    with guarded("run.revive"):
        owner = None if address is None else _runtime_of(address)
        if owner is not None and address is not None:
            return _revived(owner, address)
    inert: dict[str, Callable[[], RunHandle]] = {
        "job": inert_job,
        "client_run": inert_client_run,
        "operation": _inert_operation,
    }
    return inert[kind]()


def _inert_operation() -> InertOperation:
    return inert_operation("")


def _runtime_of(address: Address) -> Runtime | None:
    if _runtime.is_unset():
        _runtime.configure(ledger=address.ledger)
    owner = _runtime.runtime()
    if owner.settings.ledger != address.ledger:
        guard.note(
            "run.revive", f"a run came from the ledger {address.ledger}, which is not the one used here"
        )
        return None
    return owner if owner.enabled else None


def _revived(owner: Runtime, address: Address) -> RunHandle:
    run: RunHandle
    around = None if address.around is None else _revived(owner, address.around)
    if isinstance(around, JobRun) and address.kind == "client_run":
        run = ClientRun(owner, address.name, around, around)
        run.lends = address.lends
    elif isinstance(around, JobRun | ClientRun):
        run = Operation(owner, address.name, around, around)
    else:
        run = JobRun(owner, address.name, None)
        run.take_id(address.run_id)
    run.uid = address.uid
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
