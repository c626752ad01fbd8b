"""Counters that add up, can be set, and never depend on the order in which deltas arrive.

A counter is the last value it was *set* to, plus everything added in the same or a later *epoch*.
A live handle starts a new epoch with each `set`; calls from outside (`JobTracking`) use the instant
of the call as epoch. So a `set` takes away what was added before it, wherever it is folded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_KEPT_EPOCHS = 256
"""How many epochs a counter keeps apart before the oldest are merged; bounds a record's size."""

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
        return held[2] + sum(delta for epoch, delta in epochs.items() if epoch >= held[0])

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
    """Which sequence numbers of a writer were applied: all below `mark`, and the few in `beyond`."""

    mark: int = 0
    beyond: set[int] = field(default_factory=set[int])

    def take(self, seq: int) -> bool:
        """Note a sequence number; False if it was applied before."""
        if seq == self.mark and not self.beyond:  # the ordinary case: in order
            self.mark = seq + 1
            return True
        if seq < self.mark or seq in self.beyond:
            return False
        self.beyond.add(seq)
        while self.mark in self.beyond:
            self.beyond.remove(self.mark)
            self.mark += 1
        return True

    def to_text(self) -> str:
        """Return a short text `from_text` reads back."""
        return " ".join(map(str, [self.mark, *sorted(self.beyond)]))

    @classmethod
    def from_text(cls, text: str) -> Seen:
        """Return what `to_text` wrote."""
        mark, *beyond = map(int, text.split())
        return cls(mark, set(beyond))
