"""The fold: events in, records out, exactly once, in any order.

`Fold` reads from a `Store`; what it changed stands in its workspace for the caller to write back in
one transaction. `apply` takes events, `settle` derives. Everything derived is a function of the facts
alone, so a shuffled or repeated stream of events gives the same records (the property tests hold it).
"""

from __future__ import annotations

from collections.abc import Iterable

from jobspan.model.booking import book
from jobspan.model.event import Event, event_part
from jobspan.model.numbers import Seen
from jobspan.model.part import CLIENT_RUN, JOB, OPERATION, Ending, Part, overdue
from jobspan.model.run import client_run_uid
from jobspan.model.settling import settle
from jobspan.model.status import Left
from jobspan.model.workspace import Store, Workspace


class Fold:
    """One pass: `prepare`, `apply` each event, `settle`; then write back what `space` says changed."""

    def __init__(self, store: Store) -> None:
        self.space = Workspace(store)
        self.repeated = 0
        """How many events had been applied before."""

    def prepare(self, events: Iterable[Event]) -> None:
        """Load at once what a batch of events will touch."""
        parts: set[str] = set()
        runs: set[str] = set()
        for event in events:
            if event["e"] in ("process", "gone"):
                continue
            parts.add(event_part(event))
            parts.update(uid for uid in (event.get("top"), event.get("parent")) if uid)
            if event["e"] == "open":
                runs.add(event["job"])
                if event.get("client") is not None:
                    runs.add(client_run_uid(event["job"], event["client"]))
        self.space.load_parts(parts)
        for uid in parts:
            part = self.space.known(uid)
            if part is not None and part.run and part.job:
                runs.update((part.run, part.job))
        self.space.load_runs(runs)

    def apply(self, event: Event, process: str | None) -> None:
        """Apply one event, found in the journal of `process`; a repeated one changes nothing."""
        kind = event["e"]
        if kind == "process":
            self.space.process(event["process"]).about = dict(event)
            return
        if process is not None:
            self._heard_from(process, event["t"])
        part = self.space.part(event_part(event))
        if kind == "open":
            if self._take(part, event):
                self._open(part, event, process)
        elif not part.is_opened:
            self._stash(part, event)
        elif self._take(part, event):
            self._apply_to(part, event)

    def gone(self, process: str, last_seen_ns: int) -> None:
        """Take note that a process is dead; `last_seen_ns` is its last sign of life."""
        state = self.space.process(process)
        state.gone_ns = max(state.gone_ns or 0, last_seen_ns, state.last_ns)
        self.space.reconsider(process)

    def overdue(self, now_ns: int, parts: Iterable[Part]) -> None:
        """End open parts whose deadline has passed at `now_ns`; their end is the deadline."""
        for part in self.space.adopt(parts):
            if part.end is None and part.deadline_ns is not None and part.deadline_ns <= now_ns:
                part.inferred = overdue(part.deadline_ns)
                self.space.touch(part)
                self.space.ended[part.uid] = part

    def settle(self) -> None:
        """Derive everything that follows from what was applied."""
        settle(self.space)

    def _take(self, part: Part, event: Event) -> bool:
        """Whether an event is new; notes that it is known from now on."""
        writer = event["w"]
        seen = part.seen
        if writer != part.uid:
            space = self.space
            seen = space.writers.get(writer) or space.store.load_writer(writer) or Seen()
            space.writers[writer] = seen
        if seen.take(event["q"]):
            return True
        self.repeated += 1
        return False

    def _stash(self, part: Part, event: Event) -> None:
        if not any((held["w"], held["q"]) == (event["w"], event["q"]) for held in part.stash):
            part.stash.append(event)
            self.space.touch(part)

    def _open(self, part: Part, event: Event, process: str | None) -> None:
        self.space.touch(part)
        self.space.ended[part.uid] = part
        if part.is_opened:  # opened by several calls: the earliest counts
            part.start_ns = min(event["t"], part.start_ns or event["t"])
            part.passive = part.passive and bool(event.get("passive"))
            part.deadline_ns = min(filter(None, [part.deadline_ns, event.get("deadline")]), default=None)
            self._open_run(part, event)
            return
        _read_open(part, event, process)
        self._open_run(part, event)
        if part.kind != OPERATION:
            self.space.add_top(part)
        stash, part.stash = part.stash, []
        for later in stash:
            if self._take(part, later):
                self._apply_to(part, later)

    def _open_run(self, part: Part, event: Event) -> None:
        assert part.run is not None
        assert part.job is not None
        job = self.space.job(part.job)
        if part.kind == JOB:
            job.label = job.label or event["name"]
            job.run_id = job.run_id or event.get("id")
            job.destinations = job.destinations or tuple(event.get("to", ()))
        else:
            run = self.space.run(part.run, CLIENT_RUN if part.run != part.job else JOB, part.job)
            if run is not job:
                run.label = event["client"]

    def _apply_to(self, part: Part, event: Event) -> None:
        self.space.touch(part)
        kind = event["e"]
        if kind == "close":
            _close(part, event)
            self.space.ended[part.uid] = part
            return
        part.last_ns = max(part.last_ns, event["t"])
        if kind == "add":
            epoch = event.get("x", 0)
            for name, delta in event["c"].items():
                part.counters.add(name, delta, epoch)
        elif kind == "set":
            _set(part, event)
        else:
            book(self.space, part, event)

    def _heard_from(self, uid: str, at_ns: int) -> None:
        process = self.space.process(uid)
        was_gone = process.is_gone
        process.last_ns = max(process.last_ns, at_ns)
        if was_gone and not process.is_gone:
            self.space.reconsider(uid)


def _read_open(part: Part, event: Event, process: str | None) -> None:
    part.kind = event["kind"]
    part.job = event["job"]
    client = event.get("client")
    part.run = event["job"] if client is None else client_run_uid(event["job"], client)
    part.label = event["name"]
    part.top = event.get("top") if part.kind == OPERATION else part.uid
    part.parent = event.get("parent")
    part.free = bool(event.get("free"))
    part.passive = bool(event.get("passive"))
    part.process = None if part.free else process
    part.name = event.get("part", "")
    part.attempt = event.get("attempt", 1)
    part.lane = event.get("lane", 0)
    part.deadline_ns = event.get("deadline")
    part.start_ns = event["t"]


def _set(part: Part, event: Event) -> None:
    stamp = (event["t"], event["w"], event["q"])
    epoch = event.get("x", 0)
    for name, value in event.get("c", {}).items():
        part.counters.set(name, value, epoch, stamp)
    for name, value in event.get("f", {}).items():
        held = part.fields.get(name)
        if held is None or held[:2] < (epoch, stamp):
            part.fields[name] = (epoch, stamp, value)


def _close(part: Part, event: Event) -> None:
    """End a part; of several closes the first (by instant) holds."""
    stamp = (event["t"], event["w"], event["q"])
    if part.ending is None or stamp < part.ending.stamp:
        part.ending = Ending(
            Left(event["how"]),
            max(event["t"], part.start_ns or 0),
            event.get("type", ""),
            event.get("message", ""),
            stamp,
            event.get("lane", 0),
        )
        part.inferred = None
