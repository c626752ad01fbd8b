"""Hold which facts are witnesses of one call: sets of facts that only ever grow together."""

from __future__ import annotations

from collections.abc import Sequence

from jobspan.model.usage.fact import UsageFact
from jobspan.model.usage.identity import emitter, model_names, on_own_span, rank, telling_id


class Groups:
    """Join facts into calls. A group is named by its root, one of its facts' indices."""

    def __init__(self, facts: Sequence[UsageFact]) -> None:
        self.facts = facts
        self.dropped: set[int] = set()
        """Facts that are no witness of one call: sums over several, or the last of several."""
        self.absorber: dict[int, int] = {}
        """Per root: the fact that saw more than all those below it and speaks for them."""
        self._parent = list(range(len(facts)))
        self._members: list[list[int]] = [[index] for index in range(len(facts))]
        self.epoch = 0

    def root(self, index: int) -> int:
        """Return the root of the group that holds a fact."""
        parent = self._parent
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    def join(self, one: int, other: int) -> int:
        """Make two groups one; return its root."""
        one, other = self.root(one), self.root(other)
        if one == other:
            return one
        self.epoch += 1
        if (len(self._members[one]), -one) < (len(self._members[other]), -other):
            one, other = other, one
        self._parent[other] = one
        self._members[one] += self._members[other]
        self._members[other] = []
        taken = [self.absorber.pop(root) for root in (one, other) if root in self.absorber]
        if taken:
            self.absorber[one] = max(taken, key=lambda index: (self.facts[index].total, -index))
        return one

    def members(self, index: int) -> list[int]:
        """Return the facts of a group that are witnesses, in the order of their indices."""
        return sorted(i for i in self._members[self.root(index)] if i not in self.dropped)

    def speaker(self, index: int) -> int | None:
        """Return the witness whose numbers hold for the call, or None when none has numbers."""
        root = self.root(index)
        if root in self.absorber:
            return self.absorber[root]
        able = [i for i in self.members(root) if self.facts[i].has_usage]
        return min(able, key=self._voice) if able else None

    def by_voice(self, index: int) -> list[int]:
        """Return the witnesses, those that are believed first at the head."""
        return sorted(self.members(index), key=self._voice)

    def _voice(self, index: int) -> tuple[bool, bool, int, int, int]:
        fact = self.facts[index]
        latest = -fact.end_ns if fact.manual else 0
        half = not fact.prompt and bool(fact.completion)
        return (not fact.metered, half, rank(fact), latest if fact.manual else -fact.total, index)

    def scopes(self, index: int) -> frozenset[str]:
        """Return which emitters witnessed the call."""
        return frozenset(emitter(self.facts[i]) for i in self.members(index))

    def ids(self, index: int) -> set[str]:
        """Return the ids that would prove a call with another id to be another call."""
        return {text for i in self.members(index) if (text := telling_id(self.facts[i]))}

    def models(self, index: int) -> set[str]:
        """Return all names the witnesses give the model."""
        names: set[str] = set()
        for i in self.members(index):
            names |= model_names(self.facts[i])
        return names

    def usages(self, index: int) -> set[tuple[int, int]]:
        """Return the (prompt, completion) pairs that witnesses of the call report."""
        absorber = self.absorber.get(self.root(index))
        able = [absorber] if absorber is not None else self.members(index)
        facts = [self.facts[i] for i in able if self.facts[i].has_usage and self.facts[i].metered]
        return {(fact.prompt or 0, fact.completion or 0) for fact in facts}

    def interval(self, index: int) -> tuple[int, int] | None:
        """Return (start, end) over the witnesses that were there in time, or None when none was."""
        timed = [self.facts[i] for i in self.members(index)]
        timed = [fact for fact in timed if not fact.manual and not on_own_span(fact) and fact.end_ns > 0]
        if not timed:
            return None
        return min(fact.start_ns for fact in timed), max(fact.end_ns for fact in timed)
