"""Join an LLM fact with the one call beneath it; drop or prefer it where several calls are beneath."""

from __future__ import annotations

from collections.abc import Sequence

from jobspan.model.usage.cousin import join_equal
from jobspan.model.usage.fact import UsageFact
from jobspan.model.usage.group import Groups
from jobspan.model.usage.identity import ids_differ, is_witness, on_own_span, telling_id
from jobspan.model.usage.tree import depths

_FEW = 8


class _Beneath:
    """The calls beneath a fact, kept by root; brought up to date only when groups have changed."""

    __slots__ = ("_epoch", "_groups", "_total", "roots")

    def __init__(self, groups: Groups, root: int) -> None:
        self._groups = groups
        self._epoch = groups.epoch
        self._total: int | None = None
        self.roots = {root}

    def refresh(self) -> None:
        if self._epoch != self._groups.epoch:
            self.roots = {self._groups.root(root) for root in self.roots}
            self._epoch, self._total = self._groups.epoch, None

    def take(self, other: _Beneath) -> _Beneath:
        """Return both as one; the smaller is poured into the larger."""
        large, small = (self, other) if len(self.roots) >= len(other.roots) else (other, self)
        large.roots |= small.roots
        large._epoch, large._total = min(large._epoch, small._epoch), None
        return large

    def total(self) -> int:
        if self._total is None:
            speakers = (self._groups.speaker(root) for root in self.roots)
            self._total = sum(self._groups.facts[i].total for i in speakers if i is not None)
        return self._total


def join_nested(groups: Groups, above: Sequence[int | None]) -> None:
    """Go through the tree from the bottom and decide for each LLM fact what it stands for."""
    depth = depths(above)
    beneath: dict[int, _Beneath] = {}
    for index in sorted(range(len(above)), key=lambda i: (-depth[i], i)):
        mine = beneath.pop(index, None)
        fact = groups.facts[index]
        if is_witness(fact) and not on_own_span(fact):
            mine = _decide(groups, index, mine)
        parent = above[index]
        if mine is not None and parent is not None:
            beneath[parent] = beneath[parent].take(mine) if parent in beneath else mine


def _decide(groups: Groups, index: int, mine: _Beneath | None) -> _Beneath:
    if mine is None:
        return _Beneath(groups, groups.root(index))
    mine.refresh()
    fact, root = groups.facts[index], groups.root(index)
    if 1 < len(mine.roots) <= _FEW and all(_same_usage(groups, fact, other) for other in mine.roots):
        join_equal(groups, mine.roots)  # two who saw this very call, side by side
        mine.refresh()
        root = groups.root(index)
    if len(mine.roots) == 1:
        (only,) = mine.roots
        if root != only and _another_call(groups, fact, only):
            return mine.take(_Beneath(groups, root))
        return _Beneath(groups, groups.join(root, only))
    if fact.total > mine.total():
        for other in sorted(mine.roots):
            root = groups.join(root, other)
        groups.absorber[root] = index
        return _Beneath(groups, root)
    if fact.total != mine.total() and all(_another_call(groups, fact, other) for other in mine.roots):
        return mine.take(_Beneath(groups, root))
    groups.dropped.add(index)
    return mine


def _another_call(groups: Groups, fact: UsageFact, root: int) -> bool:
    """Tell whether ids and numbers both say that the call beneath is not this one.

    So it is where a tool called from within an LLM span asks a model of its own.
    """
    mine = telling_id(fact)
    if mine is None or not ids_differ({mine}, groups.ids(root)):
        return False
    return not _same_usage(groups, fact, root)


def _same_usage(groups: Groups, fact: UsageFact, root: int) -> bool:
    return (fact.prompt, fact.completion) in groups.usages(root)
