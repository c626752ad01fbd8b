"""The fold: events in, records out, exactly once, in any order.

`Fold` reads from a `Store`; what it changed stands in its workspace for the caller to write back in
one transaction. `apply` takes events, `settle` derives. Everything derived is a function of the facts
alone, so a shuffled or repeated stream of events gives the same records (the property tests hold it).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jobspan.model.booking import book
from jobspan.model.event import Event, event_part
from jobspan.model.numbers import Seen
from jobspan.model.part import CLIENT_RUN, JOB, NEVER, OPERATION, Ending, Part
from jobspan.model.run import client_run_uid
from jobspan.model.settling import settle
from jobspan.model.spending import settle_usage
from jobspan.model.status import Left
from jobspan.model.workspace import Pricing, Store, Workspace


class Fold:
    """One pass: `prepare`, `apply` each event, `settle`; then write back what `space` says changed."""

    def __init__(self, store: Store, price: Pricing | None = None) -> None:
        self.space = Workspace(store, price)
        self.repeated = 0
        """How many events had been applied before."""

    def prepare(self, events: Iterable[Event]) -> None:
        """Load at once what a batch of events will touch."""
        parts: set[str] = set()
        runs: set[str] = set()
        for event in events:
            if event["e"] == "process":
                continue
            parts.add(event_part(event))
            if event["e"] == "open":
                parts.update(uid for uid in (event.get("top"), event.get("parent")) if uid)
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
            self._learn(event)
            return
        if process is not None:
            self.heard_from(process, event["t"])
        part = self.space.part(event_part(event))
        if kind == "open":
            if self._take(part, event):
                self._open(part, event, process)
        elif not part.is_opened:
            self._stash(part, event)
        elif self._take(part, event):
            self._apply_to(part, event)

    def heard_from(self, uid: str, at_ns: int) -> None:
        """Take note of a sign of life of a process."""
        process = self.space.process(uid)
        was_gone = process.is_gone
        process.last_ns = max(process.last_ns, at_ns)
        if was_gone and not process.is_gone:
            process.gone_ns = None  # it turned out alive; whoever sees it dead says so again
            self.space.reconsider(uid)

    def gone(self, process: str, last_seen_ns: int) -> None:
        """Take note that a process is dead; `last_seen_ns` is its last sign of life."""
        state = self.space.process(process)
        state.gone_ns = max(state.gone_ns or 0, last_seen_ns, state.last_ns)
        self.space.reconsider(process)

    def overdue(self, now_ns: int, parts: Iterable[Part]) -> None:
        """End open parts whose deadline has passed at `now_ns`; their end is the deadline."""
        for part in self.space.adopt(parts):
            if part.end is None and part.deadline_ns is not None and part.deadline_ns <= now_ns:
                part.is_overdue = True
                self.space.touch(part)
                self.space.ended[part.uid] = part

    def settle(self, *, exact: bool = True) -> None:
        """Derive everything that follows from what was applied.

        With `exact` False the usage of large runs is left for later until it has doubled, so that a run
        told in many passes costs no more than two resolutions of the whole.
        """
        settle(self.space)
        settle_usage(self.space, exact=exact)

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

    def _learn(self, event: Event) -> None:
        process = self.space.process(event["process"])
        process.about = dict(event)
        if process.is_gone:
            self.space.reconsider(process.uid)

    def _stash(self, part: Part, event: Event) -> None:
        part.stashed = True
        self.space.stash(part.uid, event)
        self.space.touch(part)

    def _open(self, part: Part, event: Event, process: str | None) -> None:
        self.space.touch(part)
        self.space.ended[part.uid] = part
        if part.is_opened:  # opened by several calls: the earliest counts
            _open_again(part, event)
        else:
            _read_open(part, event, process)
            self._open_run(part, event)
        _take_names(part, event)
        part.expected += event.get("expect") or 0
        if part.kind == JOB:
            job = self.space.job(part.job or "")
            job.run_id = job.run_id or event.get("id")
            job.scope = job.scope or event.get("scope") or ""
        if part.stashed:
            part.stashed = False
            for later in self.space.unstash(part.uid):
                if self._take(part, later):
                    self._apply_to(part, later)

    def _open_run(self, part: Part, event: Event) -> None:
        assert part.run is not None
        assert part.job is not None
        self.space.job(part.job)
        if part.run != part.job:
            self.space.run(part.run, CLIENT_RUN, part.job).label = event["client"]
        if part.kind != OPERATION:
            self.space.add_top(part)

    def _apply_to(self, part: Part, event: Event) -> None:
        self.space.touch(part)
        kind = event["e"]
        if kind == "close":
            _close(part, event)
            self.space.ended[part.uid] = part
            return
        if kind != "path":
            part.last_ns = max(part.last_ns, event["t"])
        if kind == "add":
            epoch = event.get("x") or 0
            for name, delta in event["c"].items():
                part.counters.add(name, delta, epoch)
        elif kind == "set":
            _set(part, event)
        elif kind == "detach":
            _detach(part, event)
            self.space.ended[part.uid] = part
        else:
            book(self.space, part, event)


def _read_open(part: Part, event: Event, process: str | None) -> None:
    part.kind = event["kind"]
    part.job = event["job"]
    client = event.get("client")
    part.run = event["job"] if client is None else client_run_uid(event["job"], client)
    part.top = event.get("top") if part.kind == OPERATION else part.uid
    part.parent = event.get("parent")
    part.of = event.get("of")
    part.delivery = event.get("delivery") or ""
    part.retry_of = event.get("retry")
    part.free = bool(event.get("free"))
    part.passive = bool(event.get("passive"))
    part.process = None if part.free else process
    part.name = event.get("part") or ""
    part.attempt = event.get("attempt") or 1
    part.lane = event.get("lane") or 0
    part.deadline_ns = event.get("deadline")
    part.start_ns = event["t"]


def _open_again(part: Part, event: Event) -> None:
    part.start_ns = min(event["t"], part.start_ns or event["t"])
    part.passive = part.passive and bool(event.get("passive"))
    part.deadline_ns = min(filter(None, [part.deadline_ns, event.get("deadline")]), default=None)


def _take_names(part: Part, event: Event) -> None:
    """Keep the name and the destinations of the earliest open event that tells them."""
    stamp = (event["t"], event["w"], event["q"])
    if event["name"] and (part.opened == NEVER or stamp < part.opened):
        part.opened, part.label, part.to = stamp, event["name"], tuple(event.get("to") or ())


def _detach(part: Part, event: Event) -> None:
    """Take a part from its process: it ends where somebody attaches to it, or at its deadline."""
    stamp = (event["t"], event["w"], event["q"])
    if stamp > part.detached:
        part.detached, part.deadline_ns = stamp, event["deadline"]
    part.free, part.process = True, None


def _set(part: Part, event: Event) -> None:
    stamp = (event["t"], event["w"], event["q"])
    epoch = event.get("x") or 0
    counts: dict[str, int] = event.get("c") or {}
    for name, value in counts.items():
        part.counters.set(name, value, epoch, stamp)
    fields: dict[str, Any] = event.get("f") or {}
    for name, value in fields.items():
        held = part.fields.get(name)
        if held is None or held[:2] < (epoch, stamp):
            part.fields[name] = (epoch, stamp, value)


def _close(part: Part, event: Event) -> None:
    """End a part; of several closes the first (by instant) holds."""
    stamp = (event["t"], event["w"], event["q"])
    if part.ending is None or stamp < part.ending.stamp:
        part.ending = Ending(
            Left(event["how"]),
            event["t"],
            event.get("type") or "",
            event.get("message") or "",
            stamp,
            event.get("lane") or 0,
        )
        part.inferred = None
