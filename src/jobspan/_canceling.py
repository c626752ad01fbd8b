"""Canceling a run from outside: its processes are told through the ledger; what waits for others ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from jobspan import _clock
from jobspan.ledger.ledger import Ledger
from jobspan.model.status import Status

Emit = Callable[[Mapping[str, Any]], None]


def cancel(ledger: Ledger, emit: Emit, uid: str, reason: str, seconds: float) -> Status | None:
    """Ask for the end of a run, by its inside name; return its status as it was, None if it is not known.

    A process that works on it sees it at a `checkpoint` within about a second. Parts of it that were left
    open for others, and what it expects, are Canceled now. One that has ended is left as it is.

    Raises:
        LedgerError: The ledger can be neither read nor written.
    """
    with ledger.reading(seconds=seconds) as reader:
        status = reader.status(uid)
        waiting = reader.waiting_parts(uid)
    if status is not Status.RUNNING:
        return status
    ledger.request_cancel(uid, reason, seconds)
    for part in waiting:
        writer = {"w": f"{part}.{os.urandom(8).hex()}", "p": part, "q": 0, "t": _clock.now_ns()}
        emit({**writer, "e": "close", "how": "canceled", "type": "RunCanceled", "message": reason})
    return status
