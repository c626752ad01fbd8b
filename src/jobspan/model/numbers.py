"""Counters that add up, can be set, and never depend on the order in which deltas arrive.

A counter is the last value it was *set* to, plus everything added in the same or a later *epoch*.
A live handle starts a new epoch with each `set`; calls from outside (`JobTracking`) use the instant
of the call as epoch. So a `set` takes away what was added before it, wherever it is folded.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

_KEPT_EPOCHS = 256
"""How many epochs without a `set` between them a counter keeps apart before the two oldest are merged.

It bounds a record's size. The price: a `set` that is folded after 256 later epochs of additions may keep
an addition made before it. Deltas of one journal are folded in order, so that takes two processes, one
of them set, the other adding from outside, the former's journal folded that much later."""

_ENDLESS = 2**64

Stamp = tuple[int, str, int]
"""The order of two writes to one field: (instant, writer id, sequence number)."""


@dataclass(slots=True)
class Counters:
    """Named integers with `add` and `set`; None is not 0: what was never measured is absent."""

    base: dict[str, int] = field(default_factory=dict[str, int])
    later: dict[str, dict[int, int]] = field(default_factory=dict[str, dict[int, int]])
    settings: dict[str, tuple[int, Stamp, int]] = field(default_factory=dict[str, tuple[int, Stamp, int]])

    def add(self, name: str, delta: int, epoch: int = 0) -> None:
        """Add `delta` to a counter."""
        if not epoch:
            self.base[name] = self.base.get(name, 0) + delta
            return
        held = self.settings.get(name)
        if held is not None and epoch < held[0]:
            return  # taken away by a later `set`, now and for ever
        epochs = self.later.setdefault(name, {})
        epochs[epoch] = epochs.get(epoch, 0) + delta
        if len(epochs) > _KEPT_EPOCHS:
            first, second = sorted(epochs)[:2]
            epochs[second] += epochs.pop(first)

    def set(self, name: str, value: int, epoch: int, stamp: Stamp) -> None:
        """Set a counter; of two settings the one of the later epoch, then stamp, holds."""
        held = self.settings.get(name)
        if held is None or (held[0], held[1]) < (epoch, stamp):
            self.settings[name] = (epoch, stamp, value)
            epochs = self.later.get(name, {})
            for earlier in [other for other in epochs if other < epoch]:
                del epochs[earlier]

    def values(self) -> dict[str, int]:
        """Return the current value of every counter ever touched."""
        if not self.later and not self.settings:
            return self.base
        names = [*self.base, *(n for n in self.later if n not in self.base)]
        names += [n for n in self.settings if n not in self.base and n not in self.later]
        return {name: self._value(name) for name in names}

    def _value(self, name: str) -> int:
        epochs = self.later.get(name, {})
        held = self.settings.get(name)
        if held is None:
            return self.base.get(name, 0) + sum(epochs.values())
        same = self.base.get(name, 0) if held[0] == 0 else 0
        return held[2] + same + sum(delta for epoch, delta in epochs.items() if epoch >= held[0])

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads back."""
        return {"base": self.base, "later": self.later, "settings": self.settings}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Counters:
        """Return counters as `to_json` wrote them."""
        return cls(
            base=data.get("base", {}),
            later={n: {int(e): d for e, d in epochs.items()} for n, epochs in data.get("later", {}).items()},
            settings={
                n: (s[0], (s[1][0], s[1][1], s[1][2]), s[2]) for n, s in data.get("settings", {}).items()
            },
        )


Sums = dict[str, int]
"""Named sums of facts; a name that is absent was never measured."""


def add_sums(target: Sums, delta: Sums, sign: int = 1) -> None:
    """Add `delta` into `target` (or take it away with ``sign=-1``)."""
    for name, value in delta.items():
        target[name] = target.get(name, 0) + sign * value


@dataclass(slots=True)
class Seen:
    """Which sequence numbers of a writer were applied: all below `mark`, and the spans in `beyond`.

    Spans are half open, sorted, apart from each other: an event that was lost costs one of them.
    """

    mark: int = 0
    beyond: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def take(self, seq: int) -> bool:
        """Note a sequence number; False if it was applied before."""
        if seq == self.mark and not self.beyond:  # the ordinary case: in order
            self.mark = seq + 1
            return True
        if seq < self.mark:
            return False
        spans = self.beyond
        place = bisect_right(spans, (seq, _ENDLESS))
        if place and seq < spans[place - 1][1]:
            return False
        joins_left = place > 0 and spans[place - 1][1] == seq
        joins_right = place < len(spans) and spans[place][0] == seq + 1
        start = spans[place - 1][0] if joins_left else seq
        end = spans[place][1] if joins_right else seq + 1
        spans[place - joins_left : place + joins_right] = [(start, end)]
        if spans[0][0] == self.mark:
            self.mark = spans.pop(0)[1]
        return True

    def to_text(self) -> str:
        """Return a short text `from_text` reads back."""
        return " ".join([str(self.mark), *(f"{start}-{end}" for start, end in self.beyond)])

    @classmethod
    def from_text(cls, text: str) -> Seen:
        """Return what `to_text` wrote."""
        mark, *spans = text.split()
        beyond: list[tuple[int, int]] = []
        for span in spans:
            start, _, end = span.partition("-")
            beyond.append((int(start), int(end)))
        return cls(int(mark), beyond)
