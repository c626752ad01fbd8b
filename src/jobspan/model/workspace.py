"""What one pass of the fold holds in memory: the parts, runs and processes it has loaded or made."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from jobspan.model.entry import Entry
from jobspan.model.event import Event
from jobspan.model.numbers import Seen, Sums
from jobspan.model.part import JOB, Kind, Part
from jobspan.model.run import Run, Share
from jobspan.model.settled import WholePart, whole_of
from jobspan.model.usage.fact import UsageFact


@dataclass(slots=True)
class Process:
    """A process that wrote a journal. `gone_ns`: seen dead, with its last sign of life then."""

    uid: str
    about: dict[str, Any] = field(default_factory=dict[str, Any])
    last_ns: int = 0
    gone_ns: int | None = None

    @property
    def is_gone(self) -> bool:
        """Whether it is dead as far as is known; an event after its supposed end brings it back."""
        return self.gone_ns is not None and self.last_ns <= self.gone_ns


@dataclass(frozen=True, slots=True)
class BookedCall:
    """A resolved call as the ledger keeps it. `part` booked the witness that speaks for it.

    `id` is the provider's or the caller's, if any: a job counts each once. `sums` is what it adds to spend.
    """

    run: str
    job: str
    part: str
    id: str | None
    at_ns: int
    speaker: str
    model: str | None
    provider: str | None
    sums: Sums


Pricing = Callable[[UsageFact], tuple[str, str] | None]
"""Gives the price of a call in US dollars, as a decimal text, and of which price list; None: unknown."""


class Store(Protocol):
    """What the fold reads; each answers with what exists, in any order."""

    def load_parts(self, uids: Iterable[str]) -> Iterable[Part]: ...
    def load_runs(self, uids: Iterable[str]) -> Iterable[Run]: ...
    def load_tops(self, runs: Iterable[str]) -> Iterable[Part]:
        """Return the parts of runs that are neither operations nor settled."""
        ...

    def load_settled(self, run: str) -> Iterable[Part]:
        """Return the settled parts of a run."""
        ...

    def load_open_children(self, parts: Iterable[str]) -> Iterable[Part]: ...
    def load_unclosed_of_process(self, process: str) -> Iterable[Part]: ...
    def load_process(self, uid: str) -> Process | None: ...
    def load_writer(self, writer: str) -> Seen | None: ...
    def load_keyed(self, job: str, kind: str, source: str, key: str) -> Iterable[Entry]: ...
    def load_items(self, run: str) -> Iterable[Entry]: ...
    def load_usage(self, job: str, run: str | None) -> Iterable[Entry]:
        """Return the usage facts and paths of a run, or of a whole job."""
        ...

    def load_unresolved(self) -> Iterable[str]:
        """Return the uids of runs with facts that came since their calls were last resolved."""
        ...

    def load_calls(self, run: str) -> Iterable[BookedCall]: ...
    def load_calls_of_ids(self, job: str, ids: Iterable[str]) -> Iterable[BookedCall]: ...
    def load_stash(self, part: str) -> Iterable[Event]: ...
    def load_ends(self, job: str) -> Iterable[tuple[str, int]]:
        """Return the client runs of a job that have ended, with their ends, the latest first."""
        ...


class Workspace:
    """An identity map over a `Store`, and the sets of what changed, for the caller to write back."""

    def __init__(self, store: Store, price: Pricing | None = None) -> None:
        self.store = store
        self.price = price
        self.usage: dict[str, list[Entry]] = {}
        """Of each run, the usage facts and paths booked in this pass."""
        self.calls: dict[str, list[BookedCall]] = {}
        """Of each run resolved in this pass, all its calls; they take the place of those it had."""
        self.parts: dict[str, Part] = {}
        """Changed parts."""
        self.runs: dict[str, Run] = {}
        """Changed runs."""
        self.entries: list[Entry] = []
        """New entries without a key."""
        self.keyed: dict[tuple[str, ...], Entry] = {}
        """New entries with a key, by `Entry.place`."""
        self.replaced: set[tuple[str, ...]] = set()
        """Places among `keyed` of which the store has an entry: the new one takes its place."""
        self.stashed: dict[str, list[Event]] = {}
        """Events that wait for the open event of their part, to be added to those that wait already."""
        self.unstashed: set[str] = set()
        """Parts whose waiting events were applied, to be forgotten."""
        self.first_items: set[str] = set()
        """Parts that had no item before this pass."""
        self.items: dict[str, dict[tuple[str, ...], Entry]] = {}
        """Of each run, the items among `keyed`."""
        self.items_before: dict[str, dict[tuple[str, str], list[Entry]]] = {}
        """Of each run, for each item key booked in this pass: who had booked it before."""
        self.processes: dict[str, Process] = {}
        self.writers: dict[str, Seen] = {}
        self.ended: dict[str, Part] = {}
        """Parts whose ending is to be looked at when settling."""
        self.shares: dict[str, Share | None] = {}
        """What each client run had given its job before this pass."""
        self.whole: dict[str, WholePart] = {}
        """What the runs of settled parts had taken from them before this pass."""
        self.grown: set[str] = set()
        """Client runs and jobs in which parts were settled that this pass holds nothing of."""
        self.written: dict[str, list[str]] = {}
        """Of each job, the client runs that were written to the store already."""
        self._parts: dict[str, Part] = {}
        self._runs: dict[str, Run] = {}
        self._tops: dict[str, dict[str, Part]] = {}
        self._whole: set[str] = set()
        self._made: set[str] = set()
        """Runs the store knows nothing of: they were made in this pass."""
        self._children: dict[str, list[Part]] | None = None
        self._keyed: dict[tuple[str, str, str, str], dict[str, dict[str, Entry]]] = {}
        """Of each kind, source and key in a job: by run and top, the greatest entry."""
        self._called: dict[tuple[str, str], dict[str, list[BookedCall]]] = {}
        """Of each job and id of a call: by run, those among `calls`."""

    # --- parts

    def load_parts(self, uids: set[str]) -> None:
        """Load what exists of `uids` in one go."""
        parts = self._parts
        missing = {uid for uid in uids if uid not in parts}  # a set minus the keys would go over all of those
        if missing:
            self.adopt(self.store.load_parts(missing))

    def known(self, uid: str | None) -> Part | None:
        """Return a part that was loaded or made."""
        return self._parts.get(uid) if uid else None

    def part(self, uid: str) -> Part:
        """Return a part, making an empty one where none was loaded."""
        part = self._parts.get(uid)
        if part is None:
            part = self._parts[uid] = Part(uid)
        return part

    def adopt(self, found: Iterable[Part]) -> list[Part]:
        """Return parts read from the store, or the ones already in hand in their place."""
        adopted: list[Part] = []
        for part in found:
            known = self._parts.setdefault(part.uid, part)
            if known is part and part.settled and (whole := whole_of(part)) is not None:
                self.whole[part.uid] = whole
            adopted.append(known)
        return adopted

    def touch(self, part: Part) -> None:
        """Mark a part as changed."""
        self.parts[part.uid] = part

    def open_children(self, parents: list[str]) -> list[Part]:
        """Return the parts below `parents` that have no close of their own."""
        found = self.adopt(self.store.load_open_children(parents)) if parents else []
        if self._children is None:
            self._children = {}
            for part in self.parts.values():
                if part.parent is not None:
                    self._children.setdefault(part.parent, []).append(part)
        made = [part for parent in parents for part in self._children.get(parent, ())]
        return [part for part in {p.uid: p for p in [*found, *made]}.values() if part.ending is None]

    # --- runs

    def load_runs(self, uids: set[str]) -> list[Run]:
        """Load what exists of `uids`; what does not is made in this pass."""
        missing = {uid for uid in uids if uid not in self._runs and uid not in self._whole}
        found = list(self.store.load_runs(missing)) if missing else []
        for run in found:
            self._runs[run.uid] = run
            self.shares[run.uid] = run.share() if run.shared else None
        self._whole.update(missing - {run.uid for run in found})
        return found

    def run(self, uid: str, kind: Kind, job: str) -> Run:
        """Return a run, loading or making it."""
        run = self._runs.get(uid)
        if run is None:
            self.load_runs({uid})
            run = self._runs.get(uid)
        if run is None:
            run = self._runs[uid] = Run(uid, kind, job)
            self._made.add(uid)
            self.shares[uid] = None
            self.runs[uid] = run
        return run

    def is_made(self, run: str) -> bool:
        """Whether a run was made in this pass: the store has nothing of it."""
        return run in self._made

    def known_run(self, uid: str) -> Run | None:
        """Return a run that was loaded or made."""
        return self._runs.get(uid)

    def job(self, uid: str) -> Run:
        """Return a job's run."""
        return self.run(uid, JOB, uid)

    def add_top(self, part: Part) -> None:
        """Note a job's or client run's part opened in this pass."""
        self._tops.setdefault(part.run or "", {})[part.uid] = part

    def load_tops(self, runs: Iterable[str]) -> None:
        """Load all parts of `runs` (neither operations nor settled) that are not in hand yet."""
        missing = [uid for uid in runs if uid not in self._whole]
        if missing:
            for part in self.adopt(self.store.load_tops(missing)):
                self.add_top(part)
            self._whole.update(missing)

    def tops(self, run: str) -> list[Part]:
        """Return the parts of a run that are not settled (without operations)."""
        return [part for part in self._tops.get(run, {}).values() if not part.settled]

    def load_settled(self, run: str) -> list[Part]:
        """Return the settled parts of a run."""
        held = [part for part in self._parts.values() if part.run == run and part.settled]
        loaded = [part for part in self.adopt(self.store.load_settled(run)) if part.settled]
        return list({part.uid: part for part in [*held, *loaded]}.values())

    # --- entries

    def twins(self, entry: Entry) -> list[Entry]:
        """Return the entries of the job with the same kind, source and key: the greatest of each top."""
        if entry.key is None:
            return []
        return [twin for held in self._held(entry).values() for twin in held.values()]

    def twins_in_run(self, entry: Entry) -> list[Entry]:
        """Return those of `twins` that are of the same run."""
        return [] if entry.key is None else list(self._held(entry).get(entry.run, {}).values())

    def hold(self, entry: Entry) -> None:
        """Note a new entry; of equal keys of one top only the greatest is kept."""
        if entry.key is None:
            self.entries.append(entry)
            return
        held = self._held(entry).setdefault(entry.run, {})
        twin = held.get(entry.top)
        if twin is None or twin.stamp < entry.stamp:
            if twin is not None and entry.place not in self.keyed:
                self.replaced.add(entry.place)
            held[entry.top] = self.keyed[entry.place] = entry
            if entry.kind == "item":
                self.items.setdefault(entry.run, {})[entry.place] = entry

    def _held(self, entry: Entry) -> dict[str, dict[str, Entry]]:
        place = (entry.job, entry.kind, entry.source, entry.key or "")
        held = self._keyed.get(place)
        if held is None:
            held = self._keyed[place] = {}
            for twin in self.store.load_keyed(*place):
                held.setdefault(twin.run, {})[twin.top] = twin
        return held

    def remember_items(self, entry: Entry, twins: list[Entry]) -> None:
        """Keep who in this run had booked an item of it before this pass."""
        before = self.items_before.setdefault(entry.run, {})
        if (entry.source, entry.key or "") not in before:
            before[entry.source, entry.key or ""] = twins

    # --- calls

    def take_calls(self, run: Run, calls: list[BookedCall]) -> None:
        """Put the calls of a run in the place of those it had."""
        for call in self.calls.get(run.uid, ()):
            if call.id is not None:
                self._called[run.job, call.id].pop(run.uid, None)
        self.calls[run.uid] = calls
        for call in calls:
            if call.id is not None:
                self._called.setdefault((run.job, call.id), {}).setdefault(run.uid, []).append(call)

    def calls_with_id(self, job: str, call_id: str) -> list[BookedCall]:
        """Return the calls with an id, of all runs of a job whose calls were resolved in this pass."""
        return [call for calls in self._called.get((job, call_id), {}).values() for call in calls]

    # --- events that came before their part

    def stash(self, part: str, event: Event) -> None:
        """Keep an event until its part is opened."""
        self.stashed.setdefault(part, []).append(event)

    def unstash(self, part: str) -> list[Event]:
        """Return the events that waited for a part; they wait no longer."""
        self.unstashed.add(part)
        return [*self.store.load_stash(part), *self.stashed.pop(part, ())]

    # --- ends and processes

    def latest_end(self, job: str) -> int:
        """Return the latest end of a client run of a job."""
        mine = [run for run in self.runs.values() if run.job == job and run.uid != job]
        latest = max((run.end_ns or 0 for run in mine), default=0)
        known = {run.uid for run in mine}
        return max(latest, next((end for uid, end in self.store.load_ends(job) if uid not in known), 0))

    def process(self, uid: str) -> Process:
        """Return what is known of a process."""
        process = self.processes.get(uid)
        if process is None:
            process = self.processes[uid] = self.store.load_process(uid) or Process(uid)
        return process

    def reconsider(self, process: str) -> None:
        """Have all parts of a process that did not close themselves looked at when settling."""
        for part in self.adopt(self.store.load_unclosed_of_process(process)):
            self.ended[part.uid] = part
        for part in self._parts.values():
            if part.process == process and part.ending is None:
                self.ended[part.uid] = part
