"""Entries: single facts about a run that are kept as such: usage, cost, items, errors, notes, links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jobspan.model.event import Event
from jobspan.model.numbers import Stamp, Sums
from jobspan.model.validation import is_object

USAGE_NUMBERS = ("calls", "prompt", "completion", "cached", "reasoning", "unmetered", "unpriced", "llm_cost")


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
    def counts(self) -> Sums:
        """Return what an item adds to the counters of its part."""
        numbers: Sums = self.data.get("c", {})
        return numbers


def read_entry(event: Event, part: str, top: str, run: str, job: str) -> Entry:
    """Return the entry an event makes; without a key of its own nothing ever replaces it."""
    stamp: Stamp = (event["t"], event["w"], event["q"])
    key = event.get("key")
    source = str(event.get("source") or "")
    return Entry(
        event["e"], part, top, run, job, stamp, _data(event), source, None if key is None else str(key)
    )


def _data(event: Event) -> dict[str, Any]:
    kind = event["e"]
    if kind == "usage":
        return {"n": _whole(event.get("n")), "model": event.get("model"), "provider": event.get("provider")}
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
