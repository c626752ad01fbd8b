"""See a group of witnesses as the matching of cousins sees it: who, when, and under which names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jobspan.model.usage.group import Groups
from jobspan.model.usage.identity import ids_differ, is_witness, models_agree

TOLERANCE_NS = 5_000_000
"""logfire logs the usage of a stream in a span without length, just after the end."""


@dataclass(frozen=True, slots=True)
class Side:
    """A group as the matching sees it."""

    root: int
    scopes: frozenset[str]
    ids: frozenset[str]
    models: frozenset[str]
    start: int | None
    end: int
    metered: bool
    traces: frozenset[str]
    torn: bool
    """Whether its witnesses disagree on the numbers."""

    @classmethod
    def of(cls, groups: Groups, root: int) -> Side:
        """Describe a group."""
        interval = groups.interval(root)
        facts = [groups.facts[i] for i in groups.members(root)]
        start, end = interval if interval else (None, max(fact.end_ns for fact in facts))
        return cls(
            root,
            groups.scopes(root),
            frozenset(groups.ids(root)),
            frozenset(groups.models(root)),
            start,
            end,
            any(is_witness(fact) for fact in facts),
            frozenset(fact.trace_id for fact in facts),
            len(groups.usages(root)) > 1,
        )

    def may_join(self, other: Side) -> bool:
        """Tell whether nobody witnessed both and no ids prove them to be two calls."""
        return self.scopes.isdisjoint(other.scopes) and not ids_differ(set(self.ids), set(other.ids))

    def may_be(self, other: Side) -> bool:
        """Tell whether emitters, ids and models allow that both are one call."""
        return self.may_join(other) and models_agree(set(self.models), set(other.models))

    def with_other(self, other: Side) -> Side:
        """Describe both as one."""
        timed = [side for side in (self, other) if side.start is not None] or [self, other]
        return Side(
            self.root,
            self.scopes | other.scopes,
            self.ids | other.ids,
            self.models | other.models,
            min((side.start for side in timed if side.start is not None), default=None),
            max(side.end for side in timed),
            self.metered or other.metered,
            self.traces | other.traces,
            self.torn or other.torn,
        )


Gap = Callable[[Side, Side], int | None]
"""Returns how badly two sides fit in time (the greater the worse), or None when they cannot."""


def shared_time(one: Side, other: Side) -> int | None:
    """Require that two sides have a moment in common."""
    if one.start is None or other.start is None:
        return None
    shared = min(one.end, other.end) - max(one.start, other.start)
    return -shared if shared >= 0 else None


def overlap_gap(one: Side, other: Side) -> int | None:
    """Require that two sides nearly overlap; a record made by hand comes later and is exempt."""
    if one.start is None or other.start is None:
        return abs(one.end - other.end)
    shared = min(one.end, other.end) - max(one.start, other.start)
    return -shared if shared >= -TOLERANCE_NS else None
