"""Which costs of Apify runs are yet to be asked for: kept in the ledger, so that any later process can ask.

What is kept is the id of the run and where its cost is booked. A token is never kept: who asks has a client.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from jobspan import _clock
from jobspan._composition import Runtime
from jobspan._guard import guard
from jobspan._runtime import runtime
from jobspan.exceptions import LedgerError
from jobspan.runs.attaching import address_at
from jobspan.runs.elsewhere import revived
from jobspan.runs.handle import RunHandle

_OPEN, _FINAL = "apify cost ", "apify final "
_DAYS = 7
"""Apify is asked about jobs that began so many days ago at most."""
_MOST = 200
_READ_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class LeftOpen:
    """A run whose cost was preliminary when it was booked.

    Attributes:
        run_id: Its id.
        handle: Where its cost is booked.
        at_ns: When it was booked first.
    """

    run_id: str
    handle: RunHandle
    at_ns: int


def leave(handle: RunHandle, run_id: str) -> None:
    """Keep in the ledger that the cost of a run is preliminary."""
    link(handle.owner_runtime, handle.uid, _OPEN + run_id)


def settle(handle: RunHandle, run_id: str) -> None:
    """Keep in the ledger that the cost of a run is final."""
    link(handle.owner_runtime, handle.uid, _FINAL + run_id)


def link(owner: Runtime, part: str, key: str) -> None:
    """Write an id from elsewhere to a part, whoever opened it."""
    stamp = {"w": f"{part}.{os.urandom(8).hex()}", "q": 0, "t": _clock.now_ns(), "p": part}
    owner.emit({**stamp, "e": "link", "key": key})


def left_open() -> list[LeftOpen]:
    """Return the runs of this ledger whose cost nobody has found final, the newest first.

    Raises:
        LedgerError: It cannot be read within 2 s.
    """
    owner = runtime()
    if not owner.enabled:
        return []
    since_ns = _clock.now_ns() - _DAYS * 86_400 * 10**9
    found: list[LeftOpen] = []
    with owner.reading(_READ_SECONDS) as reader:
        for run_id, part, at_ns in reader.left_open(_OPEN, _FINAL, since_ns, _MOST):
            place = reader.part_place(part)
            if place is not None:
                found.append(LeftOpen(run_id, revived(owner, address_at(place)), at_ns))
    return found


def left_open_quietly() -> list[LeftOpen]:
    """Return `left_open`; nothing, and a count in health, where the ledger cannot be read."""
    try:
        return left_open()
    except LedgerError as error:
        guard.note("apify.refetch", f"costs of earlier Apify runs were not asked for: {error}")
        return []
