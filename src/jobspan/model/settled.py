"""Parts that are done with: what they add up to, kept in their client run, so that none is read again.

A part is *whole* when it ended well by itself, without errors, attempts or anything else its run has to
weigh it for. It always wins, and all its run takes from it is a sum, an earliest start and a latest end.
Whole parts are *settled*: a client run entered a million times is derived from one sum and the few parts
that are still open. One with a name, as those of a map, is so as long as it is alone: any other part may be
another attempt of it. A later event, or another attempt of it, takes a part out again
(`jobspan.model.settling`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from jobspan.model.numbers import Sums, add_sums
from jobspan.model.part import CLIENT_RUN, Part
from jobspan.model.status import Left, Status


class WholePart(NamedTuple):
    """What a run takes from a whole part."""

    counts: Sums
    start_ns: int
    end_ns: int


@dataclass(slots=True)
class Settled:
    """What settled parts add up to."""

    parts: int = 0
    counts: Sums = field(default_factory=dict[str, int])
    names: Sums = field(default_factory=dict[str, int])
    """How many of them have a counter at all: None is not 0."""
    start_ns: int = 0
    end_ns: int = 0
    name: str = ""
    """Of the only part, if it has one: it is to be weighed when another part comes."""

    def add(self, whole: WholePart) -> None:
        """Add a part."""
        add_sums(self.counts, whole.counts)
        for name in whole.counts:
            self.names[name] = self.names.get(name, 0) + 1
        self._widen(whole)
        self.parts += 1

    def exchange(self, before: WholePart, now: WholePart | None) -> bool:
        """Put a part as it is now in its place; None: take it out. False where all must be added anew."""
        if self._bounds(before) and not (now is not None and now[1:] == before[1:]):
            return False
        add_sums(self.counts, before.counts, -1)
        for name in before.counts:
            self.names[name] -= 1
        self.parts -= 1
        if now is not None:
            self.add(now)
        for name in [name for name, parts in self.names.items() if not parts]:
            del self.counts[name], self.names[name]
        return True

    def _bounds(self, whole: WholePart) -> bool:
        """Whether the earliest start or the latest end may be this part's."""
        return whole.start_ns == self.start_ns or whole.end_ns == self.end_ns

    def _widen(self, whole: WholePart) -> None:
        if self.parts:
            self.start_ns = min(self.start_ns, whole.start_ns)
            self.end_ns = max(self.end_ns, whole.end_ns)
        else:
            self.start_ns, self.end_ns = whole.start_ns, whole.end_ns


def whole_of(part: Part) -> WholePart | None:
    """Return what a run takes from a part, if it is whole."""
    ending, start_ns = part.ending, part.start_ns
    if ending is None or ending.how is not Left.OK or start_ns is None or part.kind != CLIENT_RUN:
        return None
    if part.attempt != 1 or part.of or part.retry_of:
        return None
    if part.free or part.passive or part.expected:
        return None
    if part.errors or part.skipped or part.items or part.fields or part.counters.settings:
        return None
    if part.is_detached or part.stashed or part.status is not Status.COMPLETED or part.has_errors:
        return None
    return WholePart(dict(part.results()), start_ns, max(ending.at_ns, start_ns))
