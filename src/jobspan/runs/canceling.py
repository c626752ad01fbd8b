"""Canceling a run from outside, by the id people see."""

from __future__ import annotations

from jobspan._composition import Runtime
from jobspan.ledger.cancel import request_cancel
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
        status = reader.status(uid) or Status.RUNNING
    if status is Status.RUNNING:
        request_cancel(owner.ledger, uid, reason, seconds=_WAIT_SECONDS)
    return status
