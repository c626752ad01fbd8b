"""Which parts of a run say how it stands, where work was detached, taken over elsewhere, or expected.

A detached part that somebody attached to in time is *handed over*: who attached says how it ended. One
that attached after the deadline is *late*: it adds numbers, and flips nothing. A part that only expects
others stands until they have come. A process that had attached to a job and died is *followed* by one that
attached to it afterwards, as a queue does that delivers its task again: what became of the task is then told
by its client runs, and what never came by what was expected.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from jobspan.model.part import JOB, OPERATION, Part, origin

_DELIVERED = re.compile(r"delivery ([0-9a-f]{12}) \d+")
"""How parts are named that were entered in a job attached to by a delivery."""


def standing(opened: Iterable[Part], seen: int = 0) -> list[Part]:
    """Return the parts of one run that count for its status.

    Args:
        opened: Its parts, opened, without operations.
        seen: Of a job: how many parts its client runs have; what was expected is met by these.
    """
    parts = [part for part in opened if part.counts_for_status]
    detached = {part.uid: part for part in parts if part.is_detached}
    if detached:
        taken = {part.of for part in parts if _is_in_time(part, detached)}
        parts = [part for part in parts if not _is_replaced(part, taken, detached)]
    followed = _latest_attached_ns(parts)
    parts = [part for part in parts if not _is_followed(part, followed)]
    return [part for part in parts if not part.expected or not _is_met(part, seen)]


def meet(opened: Iterable[Part], seen: int) -> list[Part]:
    """Note which expectations are met by `seen` parts before their deadline was found passed; return them."""
    expecting = [part for part in opened if part.expected]
    for part in expecting:
        if not part.is_overdue and seen >= part.expected:
            part.met = part.expected
    return expecting


def entered(opened: Iterable[Part]) -> int:
    """Return how many parts were entered by themselves; attempts of one part count once."""
    parts = list(opened)
    by_uid = {part.uid: part for part in parts}
    return len({origin(part, by_uid) for part in parts if part.of is None and not part.passive})


def delivery_key(of: str, delivery: str, part: str) -> str:
    """Return what is equal for all deliveries of the same work, in every ledger."""
    text = "\0".join((of, delivery, part)).encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:12]


def delivery_of(opened: Iterable[Part]) -> str:
    """Return the key of the delivery by which all came that is known of a run; empty: not all by one."""
    parts = [part for part in opened if part.kind != OPERATION and not part.passive]
    known = {part.uid for part in parts}
    keys: set[str] = set()
    for part in parts:
        named = _DELIVERED.fullmatch(part.name)
        if part.of and part.delivery and part.of not in known:
            keys.add(delivery_key(part.of, part.delivery, part.name))
        else:
            keys.add(named[1] if named else "")
    return keys.pop() if len(keys) == 1 else ""


def _latest_attached_ns(parts: list[Part]) -> int:
    """Return when somebody attached to the job last; 0 if nobody did."""
    return max((part.start_ns or 0 for part in parts if part.kind == JOB and part.of is not None), default=0)


def _is_followed(part: Part, latest_ns: int) -> bool:
    if part.kind != JOB or part.of is None or not part.is_vanished:
        return False
    return part.end is not None and part.end.at_ns <= latest_ns


def _is_in_time(part: Part, detached: dict[str, Part]) -> bool:
    origin = detached.get(part.of or "")
    if origin is None:
        return False
    return origin.deadline_ns is None or (part.start_ns or 0) <= origin.deadline_ns


def _is_replaced(part: Part, taken: set[str | None], detached: dict[str, Part]) -> bool:
    if part.uid in taken:
        return part.ending is None  # one that ended by itself, by an exception, has its say
    return part.of in detached and part.of not in taken


def _is_met(part: Part, seen: int) -> bool:
    if part.ending is not None:
        return True  # sealed
    return seen >= part.expected and (not part.is_overdue or part.met >= part.expected)
