"""The state of a part: one entering of a job, a client run or an operation, and what was booked in it.

Parts of one run add up. Several entries with the same part name are *attempts* of one part; the
winner gives the results, all of them give the spend. An operation is a part below another one, its
*top*: the job's or client run's part it stands in, which takes over its numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from jobspan.model.numbers import Counters, Seen, Stamp, Sums
from jobspan.model.status import Left, Status, combine, success_rank

Kind = Literal["j", "c", "o"]
JOB: Kind = "j"
CLIENT_RUN: Kind = "c"
OPERATION: Kind = "o"

NEVER: Stamp = (0, "", 0)


@dataclass(slots=True)
class Ending:
    """How and when a part ended, and why."""

    how: Left
    at_ns: int
    type: str = ""
    message: str = ""
    stamp: Stamp = NEVER
    lane: int = 0


@dataclass(slots=True)
class Part:
    """One entering of a run. Everything before `counters` comes from the open event."""

    uid: str
    kind: Kind = CLIENT_RUN
    run: str | None = None
    job: str | None = None
    top: str | None = None
    parent: str | None = None
    process: str | None = None
    free: bool = False
    """It belongs to no process: it ends when it is told to, or at its deadline."""
    passive: bool = False
    """It only holds what was set or added from outside, and keeps nothing open."""
    label: str = ""
    name: str = ""
    attempt: int = 1
    lane: int = 0
    start_ns: int | None = None
    deadline_ns: int | None = None
    counters: Counters = field(default_factory=Counters)
    errors: int = 0
    spend: Sums = field(default_factory=dict[str, int])
    fields: dict[str, tuple[int, Stamp, Any]] = field(default_factory=dict[str, tuple[int, Stamp, Any]])
    opened: Stamp = NEVER
    """Of the earliest open event."""
    of: str | None = None
    """The part it was attached to, from elsewhere."""
    delivery: str = ""
    """What it was attached by: counts once where nothing else is known of the part it was attached to."""
    retry_of: str | None = None
    """The part of an earlier attempt of the job that it is another attempt of."""
    detached: Stamp = NEVER
    """Of the latest detach event: since then it belongs to no process."""
    expected: int = 0
    """How many parts of client runs it waits for; it does nothing else."""
    met: int = 0
    """How many of them had come before its deadline was found passed."""
    to: tuple[str, ...] = ()
    ending: Ending | None = None
    inferred: Ending | None = None
    is_overdue: bool = False
    """It was found open past its deadline."""
    skipped: str | None = None
    items: bool = False
    last_ns: int = 0
    seen: Seen = field(default_factory=Seen)
    stashed: bool = False
    """Events that came before its open event are kept in the store."""
    below: Sums = field(default_factory=dict[str, int])
    below_errors: int = 0
    """Of its operations, like `below` and `operations`; `given…` is what it gave the part above itself."""
    operations: Sums = field(default_factory=dict[str, int])
    given: Sums = field(default_factory=dict[str, int])
    given_errors: int = 0
    given_status: str = ""
    settled: bool = False
    """Its run holds it in its sums, and need not read it again."""

    @property
    def is_opened(self) -> bool:
        """Whether its open event was seen; until then its other events wait in the store."""
        return self.run is not None

    @property
    def is_detached(self) -> bool:
        """Whether it was left open on purpose, to be ended elsewhere."""
        return self.detached != NEVER

    @property
    def counts_for_status(self) -> bool:
        """Whether how it ends matters to its run."""
        return not self.passive or self.ending is not None

    @property
    def end(self) -> Ending | None:
        """How it ended: as it said itself (in time, if it had a deadline), else as inferred, else not yet."""
        ending, deadline_ns = self.ending, self.deadline_ns
        if self.free and deadline_ns is not None:
            late = self.is_overdue if ending is None else ending.at_ns > deadline_ns
            found = overdue(deadline_ns) if late else ending
        else:
            found = ending or self.inferred
            if (
                self.is_overdue
                and ending is not None
                and deadline_ns is not None
                and ending.at_ns > deadline_ns
            ):
                found = overdue(deadline_ns)  # it was given up: what came later is no flip
        if found is not None and self.start_ns is not None and found.at_ns < self.start_ns:
            return replace(found, at_ns=self.start_ns)
        return found

    @property
    def is_vanished(self) -> bool:
        """Whether it ended only because its process did."""
        return self.end is not None and self.end.how is Left.VANISHED

    @property
    def is_skipped(self) -> bool:
        """Whether it was skipped and left well."""
        return self.skipped is not None and self.status is Status.COMPLETED

    @property
    def status(self) -> Status:
        """Its own status, with its operations."""
        end = self.end
        if end is None or self.operations.get(Status.RUNNING):
            return Status.RUNNING
        unwell = any(n for status, n in self.operations.items() if status != Status.COMPLETED)
        return combine(end.how, (), errors=unwell or self.has_errors)

    @property
    def total_errors(self) -> int:
        """Its errors, recorded, added or set, and those of its operations."""
        counters = self.counters
        recorded = 0 if "errors" in counters.settings else self.errors
        return recorded + counters.values().get("errors", 0) + self.below_errors

    @property
    def has_errors(self) -> bool:
        """Whether any error was recorded or counted; setting the number to 0 takes none of them back."""
        return self.errors > 0 or self.total_errors > 0

    def results(self) -> Sums:
        """Return its counts and those of its operations."""
        values = self.counters.values()
        if not self.below:
            return values
        total = dict(values)
        for name, value in self.below.items():
            total[name] = total.get(name, 0) + value
        return total

    def winning_order(self) -> tuple[int, int, int, str]:
        """Return its place among the attempts of a part: (success, attempt number, started at, writer id)."""
        rank = success_rank(self.status, vanished=self.is_vanished)
        return (rank, self.attempt, self.start_ns or 0, self.uid)


def overdue(deadline_ns: int) -> Ending:
    """Return the ending of a part whose deadline passed before it was ended."""
    return Ending(Left.TIMED_OUT, deadline_ns, "DeadlineExceeded", "its deadline passed")


def origin(part: Part, by_uid: Mapping[str, Part]) -> str:
    """Return what is equal for the attempts of one part: its name, else the uid of the first attempt."""
    first = part if part.retry_of is None else by_uid.get(part.retry_of)
    if first is None:
        return part.retry_of or ""
    return first.name or first.uid


def winners(parts: list[Part]) -> tuple[list[Part], int]:
    """Return the winning attempt of every part, and the largest number of attempts of one part.

    Open attempts don't compete while another attempt of the same part has ended.
    """
    if len(parts) == 1:
        return parts, 1
    by_uid = {part.uid: part for part in parts}
    detached = {part.uid for part in parts if part.is_detached}
    groups: dict[tuple[str, str], list[Part]] = {}
    for part in parts:
        taken = _taken_over(part, by_uid, detached)
        place = (part.name, f"{taken}+") if taken else (origin(part, by_uid), "")
        groups.setdefault(place, []).append(part)
    best = {place: max(group, key=Part.winning_order) for place, group in groups.items()}
    if detached and any(part.retry_of in by_uid for part in parts):
        _retry_handed_over(groups, best, detached)
    return list(best.values()), max(len(group) for group in groups.values())


def _taken_over(part: Part, by_uid: Mapping[str, Part], detached: set[str]) -> str | None:
    """Return what a part is one more try of, for it was attached to it; None: it is a part of its own.

    Whoever attaches to a detached part tries what was left to be done there. Where the ledger has never
    heard of the part, whoever comes by the same delivery tries the same.
    """
    if part.of is None or part.retry_of is not None:
        return None
    if part.of in detached:
        return part.of
    return f"{part.of} {part.delivery}" if part.delivery and part.of not in by_uid else None


def _retry_handed_over(
    groups: dict[tuple[str, str], list[Part]], best: dict[tuple[str, str], Part], detached: set[str]
) -> None:
    """Have a later attempt of a detached part compete with those who attached to it, too.

    What it does stands for the whole: for what was done before the detaching, and for what came after.
    """
    attached = {place: part for place, part in best.items() if place[1]}
    ranks: dict[str | None, int] = {}
    for part in attached.values():
        ranks[part.of] = max(ranks.get(part.of, 0), part.winning_order()[0])

    def order(part: Part) -> tuple[int, int, int, str]:
        rank, attempt, started_ns, uid = part.winning_order()
        return (max(rank, ranks.get(uid, 0)), attempt, started_ns, uid)

    for place, group in groups.items():
        if not place[1]:
            best[place] = max(group, key=order)
            lost = {part.uid for part in group if part.uid in detached} - {best[place].uid}
            for other, part in attached.items():
                if part.of in lost:
                    best.pop(other, None)
