"""Canceling a run by the id people know it by."""

from __future__ import annotations

from jobspan._canceling import cancel
from jobspan._composition import Runtime
from jobspan.model.status import Status

_WAIT_SECONDS = 10.0


def cancel_run(owner: Runtime, run_id: str, reason: str) -> Status | None:
    """Ask for the end of a job or client run, and return its status as it was; None if there is no such run.

    Raises:
        LedgerError: The ledger can be neither read nor written.
    """
    with owner.reading(_WAIT_SECONDS) as reader:
        place = reader.place_of(run_id)
    if place is None:
        return None
    uid = f"{place.job}/{place.client}" if place.client else place.job
    return cancel(owner.ledger, owner.emit, uid, reason, _WAIT_SECONDS) or Status.RUNNING
