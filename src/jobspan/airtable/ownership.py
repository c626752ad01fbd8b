"""Whose row: the mark at the end of our block of System Notes, and what it means.

``jobspan <run uid> <ledger id> <deadline>``: the uid says which run wrote it, the ledger which one is
the truth about it, the deadline after when anybody may close it (``-``: never).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from jobspan.model.delivery import Delivery, Seen, Whose
from jobspan.model.record import instant, instant_text

_MARK = re.compile(
    r"^jobspan (?P<uid>[0-9a-f]{8,64}(?:\.[0-9a-f]{12})?) (?P<ledger>[0-9a-f]{6,64})"
    r" (?P<deadline>-|[0-9T:.+-]{10,40}Z?)[ \t]*$",
    re.MULTILINE,
)
_UID = re.compile("[0-9a-f]{8,64}")


@dataclass(frozen=True, slots=True)
class Mark:
    """What a mark says; `deadline` None: none."""

    uid: str
    ledger: str
    deadline: datetime | None = None

    def __str__(self) -> str:
        return f"jobspan {self.uid} {self.ledger} {instant_text(self.deadline) or '-'}"


def mark_uid(run: str, job: str, ledger: str, *, named: str | None = None) -> str:
    """Return the uid of a run as it stands in a mark: a client run's is its job's, and a hash.

    A job made by calls is named by its run id: two ledgers may make one of the same id in one second.

    Args:
        run, job: Inside names.
        ledger: Which ledger.
        named: The run id of a job that work here only names: its mark lets the one whose job it is know.
    """
    if not _UID.fullmatch(job):
        place = f"{ledger} {job}" if named is None else f"named {named}"
        named = hashlib.sha256(place.encode("utf-8", "surrogatepass")).hexdigest()[:24]
        run, job = (named if run == job else f"{named}{run.removeprefix(job)}"), named
    if run == job:
        return job
    return f"{job}.{hashlib.sha256(run.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def mark_of(delivery: Delivery, ledger: str, deadline_ns: int | None) -> Mark:
    """Return the mark of a row of ours."""
    return Mark(_uid(delivery, ledger), ledger, instant(deadline_ns))


def _uid(delivery: Delivery, ledger: str) -> str:
    return mark_uid(delivery.run, delivery.job, ledger, named=delivery.named)


def find_mark(notes: object) -> Mark | None:
    """Return the last mark in a text."""
    if not isinstance(notes, str):
        return None
    found = list(_MARK.finditer(notes))
    return _read(found[-1]) if found else None


def mark_span(notes: str) -> tuple[int, int] | None:
    """Return where the last mark stands in a text."""
    found = list(_MARK.finditer(notes))
    return found[-1].span() if found else None


def _read(match: re.Match[str]) -> Mark:
    deadline: datetime | None = None
    try:
        deadline = datetime.fromisoformat(match["deadline"]) if match["deadline"] != "-" else None
    except ValueError:
        deadline = None
    if deadline is not None and deadline.tzinfo is None:
        deadline = deadline.replace(tzinfo=UTC)
    return Mark(match["uid"], match["ledger"], deadline)


def whose(
    delivery: Delivery, ledger: str, start_time: str | None, job_type: str, found: Sequence[Seen]
) -> tuple[Whose, Seen | None]:
    """Judge the rows that stand under a job's run id before its first upsert.

    A row with our mark is ours; one with another's is foreign; one without a mark is ours only if
    start (to the millisecond) and type of the job are equal.
    """
    if not found:
        return "free", None
    uid = _uid(delivery, ledger)
    marks = [(seen, find_mark(seen.cells.get("system_notes"))) for seen in found]
    own = [seen for seen, mark in marks if mark is not None and mark.uid == uid]
    if own:
        return "ours", min(own, key=_age)
    if any(mark is not None for _, mark in marks):
        return "foreign", None
    same = [seen for seen in found if _is_same_run(seen, start_time, job_type)]
    return ("ours", min(same, key=_age)) if len(same) == len(found) else ("foreign", None)


def _is_same_run(seen: Seen, start_time: str | None, job_type: str) -> bool:
    there = _instant(seen.cells.get("start_time"))
    here = _instant(start_time)
    return there is not None and there == here and seen.cells.get("job_type") == job_type


def _instant(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def comes_first(delivery: Delivery, ledger: str, found: Sequence[Seen]) -> bool:
    """Whether ours is the oldest of the rows under one run id; copies of it do not count.

    Every ledger that looks comes to the same answer, so of two that took an id at once one moves.
    """
    uid = _uid(delivery, ledger)
    own = [seen for seen in found if seen.remote_id == delivery.remote_id]
    others = [
        seen
        for seen in found
        if seen.remote_id != delivery.remote_id
        and ((mark := find_mark(seen.cells.get("system_notes"))) is None or mark.uid != uid)
    ]
    return not own or not others or _age(own[0]) < min(map(_age, others))


def _age(seen: Seen) -> tuple[str, str]:
    return seen.created, seen.remote_id


def may_close(mark: Mark, ledger: str, now: datetime, adopt: str) -> bool:
    """Whether a Running row of another ledger may be closed: past its deadline, or with adopt="all"."""
    if mark.ledger == ledger:
        return False
    return adopt == "all" or (mark.deadline is not None and mark.deadline <= now)
