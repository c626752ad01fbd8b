"""Entries: single facts about a run that are kept as such: usage, cost, items, errors, notes, links."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from jobspan.model.event import Event
from jobspan.model.numbers import Stamp, Sums
from jobspan.model.usage.fact import UsageFact
from jobspan.model.validation import is_object


@dataclass(slots=True)
class Entry:
    """One fact. `part` is where it was booked, `top` the job's or client run's part above it."""

    kind: str
    part: str
    top: str
    run: str
    job: str
    stamp: Stamp
    data: dict[str, Any]
    source: str = ""
    key: str | None = None
    _fact: UsageFact | None = field(default=None, compare=False, repr=False)

    @property
    def place(self) -> tuple[str, ...]:
        """Return where a keyed entry stands: one entry at a time (design: unique per run, kind, source, key).

        By part of the run, not by run: attempts of a part don't replace each other's items.
        """
        return (self.job, self.kind, self.source, self.key or "", self.top)

    @property
    def epoch(self) -> int:
        """The counter epoch of an item."""
        epoch: int = self.data.get("x", 0)
        return epoch

    @property
    def sums(self) -> Sums:
        """Return what it adds to the spend of its run."""
        numbers: Sums = self.data.get("n", {})
        return numbers

    @property
    def fact(self) -> UsageFact:
        """Return the usage fact of a `usage` or `span` entry; one booked by hand has no span of its own."""
        if self._fact is None:
            self._fact = self._read_fact()
        return self._fact

    def _read_fact(self) -> UsageFact:
        fact = UsageFact.from_dict(self.data["u"])
        if self.kind == "span":
            return fact
        at_ns, writer, seq = self.stamp
        fact.span_id = f"{writer}!{seq:020}"
        fact.start_ns = fact.end_ns = at_ns
        fact.manual = True
        fact.response_id = self.key or fact.response_id
        return fact

    @property
    def counts(self) -> Sums:
        """Return what an item adds to the counters of its part."""
        numbers: Sums = self.data.get("c", {})
        return numbers


def read_entry(event: Event, part: str, top: str, run: str, job: str) -> Entry:
    """Return the entry an event makes; without a key of its own nothing ever replaces it."""
    stamp: Stamp = (event["t"], event["w"], event["q"])
    key = _span_key(event) if event["e"] == "span" else event.get("key")
    source = str(event.get("source") or "")
    return Entry(
        event["e"], part, top, run, job, stamp, _data(event), source, None if key is None else str(key)
    )


def path_entries(event: Event, part: str, top: str, run: str, job: str) -> Iterator[Entry]:
    """Yield an entry for each link of a path from a span with usage up to its run."""
    stamp: Stamp = (event["t"], event["w"], event["q"])
    for span, parent in event["up"].items():
        yield Entry("path", part, top, run, job, stamp, {"p": parent}, "", f"{event['tr']}:{span}")


def _span_key(event: Event) -> str:
    return f"{event['u']['t']}:{event['u']['s']}"


def _data(event: Event) -> dict[str, Any]:
    kind = event["e"]
    if kind in ("usage", "span"):
        return {name: event[name] for name in ("u", "by", "void") if event.get(name)}
    if kind == "cost":
        micro = event.get("micro_usd")
        return {"n": {f"cost:{event.get('source', '')}": micro} if isinstance(micro, int) else {}}
    if kind == "item":
        counts: dict[str, Any] = {"c": _whole(event.get("c"))}
        return {**counts, "x": event["x"]} if event.get("x") else counts
    if kind == "error":
        return {name: str(event.get(name) or "") for name in ("type", "message", "item", "place")}
    return {"text": str(event.get("text") or event.get("reason") or "")}


def _whole(numbers: object) -> Sums:
    if not is_object(numbers):
        return {}
    return {str(name): n for name, n in numbers.items() if isinstance(n, int) and not isinstance(n, bool)}
