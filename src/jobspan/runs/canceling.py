"""Canceling a run from outside: its processes are told through the ledger, what is detached ends at once."""

from __future__ import annotations

import os

from jobspan import _clock
from jobspan._composition import Runtime
from jobspan.model.status import Status

_WAIT_SECONDS = 10.0


def cancel_run(owner: Runtime, run_id: str, reason: str) -> Status | None:
    """Ask for the end of a job or client run, and return its status as it was; None if there is no such run.

    A process that works on it sees it at a `checkpoint` within about a second. Parts of it that were left
    open for others, and what it expects, are Canceled now. One that has ended is left as it is.

    Raises:
        LedgerError: The ledger can be neither read nor written.
    """
    with owner.reading(_WAIT_SECONDS) as reader:
        place = reader.place_of(run_id)
        if place is None:
            return None
        uid = f"{place.job}/{place.client}" if place.client else place.job
        status = reader.status(uid) or Status.RUNNING
        waiting = reader.waiting_parts(uid)
    if status is not Status.RUNNING:
        return status
    owner.ledger.request_cancel(uid, reason, _WAIT_SECONDS)
    for part in waiting:
        writer = {"w": f"{part}.{os.urandom(8).hex()}", "p": part, "q": 0, "t": _clock.now_ns()}
        owner.emit({**writer, "e": "close", "how": "canceled", "type": "RunCanceled", "message": reason})
    return status
