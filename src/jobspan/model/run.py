"""The state of a run: a job or a client run, derived from its parts and, for a job, its client runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jobspan.model.handover import entered, standing
from jobspan.model.numbers import Stamp, Sums, add_sums
from jobspan.model.part import JOB, Ending, Kind, Part, winners
from jobspan.model.settled import Settled
from jobspan.model.status import Left, Status, combine

Share = tuple[Sums, int, str, int, int]
"""What a client run gives its job: (counts, errors, status or "skipped", end, parts)."""

Fields = dict[str, tuple[int, Stamp, Any]]


def client_run_uid(job: str, client: str) -> str:
    """Return the inside name of a client run. It is never read back apart: `Run` keeps both halves."""
    return f"{job}/{client}"


@dataclass(slots=True)
class Run:
    """A job or a client run as the ledger keeps it. All but the first block is derived."""

    uid: str
    kind: Kind
    job: str
    label: str = ""
    run_id: str | None = None
    destinations: tuple[str, ...] = ()
    scope: str = ""
    """Of a job: its ``key=``, by which jobs of one type are told apart for resume and overlap."""
    start_ns: int | None = None

    status: Status = Status.RUNNING
    end_ns: int | None = None
    counts: Sums = field(default_factory=dict[str, int])
    errors: int = 0
    spend: Sums = field(default_factory=dict[str, int])
    skipped: bool = False
    attempts: int = 1
    fields: Fields = field(default_factory=dict[str, tuple[int, Stamp, Any]])
    failure_type: str = ""
    failure: str = ""
    failure_ns: int | None = None
    """When the part ended whose failure it tells."""
    repeated: Sums = field(default_factory=dict[str, int])
    """Counts of items that several winning parts booked; taken away from `counts`."""
    item_parts: list[str] = field(default_factory=list[str])
    """The winning parts with items that `repeated` is about."""

    clients: Sums = field(default_factory=dict[str, int])
    """Of a job: how many client runs have which status; ``skipped`` counts apart."""
    client_counts: Sums = field(default_factory=dict[str, int])
    client_names: Sums = field(default_factory=dict[str, int])
    """How many client runs have a counter at all: None is not 0."""
    client_errors: int = 0
    client_end_ns: int | None = 0
    """The latest end of a client run; None: to be looked up, for the one that ended last ended earlier."""
    parts: int = 0
    """Of a client run: how many parts were entered, attempts of one part counted once."""
    client_parts: int = 0
    """Of a job: the `parts` of all client runs."""
    shared: bool = False
    """Of a client run: whether its job has its share."""
    settled: Settled = field(default_factory=Settled)
    """Of a client run: what its settled parts add up to."""

    facts: int = 0
    """How many usage facts were booked in it."""
    facts_new: int = 0
    """How many of them came since its calls were last resolved."""
    loose: bool = False
    """Of a job: whether it holds facts that may be about calls of its client runs."""

    @property
    def is_opened(self) -> bool:
        """Whether its own open event was seen."""
        return self.start_ns is not None

    def derive(self, tops: list[Part], repeated: Sums | None = None) -> None:
        """Work out everything derived from its parts (`tops`: without operations).

        Args:
            tops: The parts of this run that are not in `settled`, in any order.
            repeated: Of a client run: counts of items that several winning parts booked, to be
                taken away once.
        """
        opened = [part for part in tops if part.is_opened]
        chosen, self.attempts = winners(opened) if opened else ([], 1)
        self.parts = entered(opened) + self.settled.parts
        starts = [part.start_ns for part in opened if part.start_ns is not None]
        starts += [self.settled.start_ns] if self.settled.parts else []
        self.start_ns = min(starts) if starts else self.start_ns
        self._take_results(chosen, repeated)
        self._take_fields(opened)
        if self.kind == JOB:
            self._derive_job(opened, chosen)
        else:
            self._derive_client_run(opened, chosen)

    def _take_results(self, chosen: list[Part], repeated: Sums | None) -> None:
        counts = dict(self.client_counts if self.kind == JOB else self.settled.counts)
        held: dict[str, tuple[tuple[int, Stamp], int]] = {}
        for part in chosen:
            for name, value in part.results().items():
                setting = part.counters.settings.get(name) if part.free else None
                if setting is None:
                    counts[name] = counts.get(name, 0) + value
                elif name not in held or held[name][0] < setting[:2]:
                    held[name] = (setting[:2], value)
        for name, value in (repeated or {}).items():
            counts[name] = max(0, counts.get(name, 0) - value)
        counts.update({name: value for name, (_, value) in held.items()})  # set from outside: that is it
        self.counts = counts
        self.errors = self.client_errors + sum(part.total_errors for part in chosen)
        last = self._unwell_end(standing(chosen, self.client_parts))
        self.failure_type, self.failure, self.failure_ns = "", "", None
        if last is not None:
            self.failure_type, self.failure, self.failure_ns = last.type, last.message, last.at_ns

    def _left(self, chosen: list[Part]) -> Left:
        last = self._unwell_end(chosen)
        return last.how if last else Left.OK

    @staticmethod
    def _unwell_end(chosen: list[Part]) -> Ending | None:
        """Return the last ending of a winning part that was not a normal one."""
        ends = [part.end for part in chosen if part.end and part.end.how not in (Left.OK, Left.WITH_ERRORS)]
        return max(ends, key=lambda end: (end.at_ns, end.stamp, end.how, end.type, end.message), default=None)

    def _take_fields(self, opened: list[Part]) -> None:
        fields: Fields = {}
        for part in opened:
            for name, value in part.fields.items():
                if name not in fields or fields[name][1] < value[1]:  # epochs compare in one part only
                    fields[name] = value
        self.fields = fields

    def _derive_client_run(self, opened: list[Part], chosen: list[Part]) -> None:
        living = standing(opened)
        told = _among(living, chosen)
        settled = self.settled
        self.skipped = bool(told) and not settled.parts and all(part.is_skipped for part in told)
        is_told = bool(opened or settled.parts)
        if not is_told or any(part.status is Status.RUNNING for part in living):
            self.status, self.end_ns = Status.RUNNING, None
            return
        below = [part.status for part in told if not part.is_skipped]
        below += [Status.COMPLETED] if settled.parts else []
        self.status = combine(None, below, errors=any(part.has_errors for part in chosen))
        ends = [part.end.at_ns for part in living if part.end]
        ends += [settled.end_ns] if settled.parts else []
        # Only passive parts (the block's own event was lost): they keep nothing open.
        self.end_ns = max(ends or [max(part.last_ns, part.start_ns or 0) for part in opened])

    def _derive_job(self, opened: list[Part], chosen: list[Part]) -> None:
        self._take_names(opened)
        living = standing(opened, self.client_parts)
        told = _among(living, chosen)
        open_below = self.clients.get(Status.RUNNING) or any(p.status is Status.RUNNING for p in living)
        if not living or open_below:
            self.status, self.end_ns = Status.RUNNING, None
            return
        below = [status for status in Status if self.clients.get(status)]
        unwell = any(part.status is not Status.COMPLETED for part in told)
        self.status = combine(self._left(told), below, errors=unwell)
        self.end_ns = max([self.client_end_ns or 0, *(part.end.at_ns for part in living if part.end)])

    def share(self) -> Share:
        """Return what a client run gives its job; a skipped one, whose numbers are blank, no numbers."""
        if self.skipped:
            status = "skipped" if self.status.is_terminal else self.status
            return ({}, 0, status, self.end_ns or 0, self.parts)
        return (self.counts, self.errors, self.status, self.end_ns or 0, self.parts)

    def _count_client(self, old: str | None, new: str) -> None:
        self.clients[new] = self.clients.get(new, 0) + 1
        if old is not None:
            self.clients[old] = self.clients.get(old, 0) - 1
            if not self.clients[old]:
                del self.clients[old]

    def take_whole_runs(self, gain: Settled) -> None:
        """Take the shares of client runs the job had nothing of, each of one whole part; see `take_share`."""
        add_sums(self.client_counts, gain.counts)
        add_sums(self.client_names, gain.names)
        self.client_parts += gain.parts
        self.clients[Status.COMPLETED] = self.clients.get(Status.COMPLETED, 0) + gain.parts
        if self.client_end_ns is not None:
            self.client_end_ns = max(self.client_end_ns, gain.end_ns)

    def _take_names(self, opened: list[Part]) -> None:
        """Take job type and destinations from the earliest open event that tells them."""
        named = sorted((part for part in opened if part.label), key=lambda part: part.opened)
        if named:
            self.label = named[0].label
            self.destinations = next((part.to for part in named if part.to), self.destinations)

    def take_share(self, old: Share | None, new: Share) -> None:
        """Replace what one client run gave before by what it gives now."""
        if old is not None:
            for name, value in old[0].items():
                self.client_counts[name] -= value
                self.client_names[name] -= 1
            self.client_errors -= old[1]
            self.client_parts -= old[4]
        for name, value in new[0].items():
            self.client_counts[name] = self.client_counts.get(name, 0) + value
            self.client_names[name] = self.client_names.get(name, 0) + 1
        for name in [name for name, runs in self.client_names.items() if not runs]:
            del self.client_counts[name], self.client_names[name]
        self.client_errors += new[1]
        self.client_parts += new[4]
        self._count_client(None if old is None else old[2], new[2])
        if self.client_end_ns is None or (
            old is not None and old[3] == self.client_end_ns and new[3] < old[3]
        ):
            self.client_end_ns = None
        else:
            self.client_end_ns = max(self.client_end_ns, new[3])


def _among(living: list[Part], chosen: list[Part]) -> list[Part]:
    """Return the winning parts that say how the run stands."""
    uids = {part.uid for part in living}
    return [part for part in chosen if part.uid in uids]
