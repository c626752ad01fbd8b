"""Match witnesses of one call that stand side by side: no nesting and no common id joins them.

Two instrumentations of one call are mostly siblings or cousins in the tree (57 of 94 recordings with
several instrumentations). They agree on both token counts, on the model, and overlap in time; each
may be matched once, the best overlap first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from jobspan.model.usage.group import Groups
from jobspan.model.usage.identity import ids_differ, is_witness, models_agree

TOLERANCE_NS = 5_000_000
"""logfire logs the usage of a stream in a span without length, just after the end."""

_DENSE = 64
"""From so many possible partners on, only those nearest in time are looked at."""

_LONGEST_SEARCH = 512

_Edge = tuple[int, tuple[bool, int], int, int]


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


def join_equal(groups: Groups, roots: Iterable[int]) -> None:
    """Join those of the groups, all of equal usage, that are one call.

    First what really overlaps; then what nearly does, and what has no place in time, when the others
    already know each other's ids.
    """
    chosen = list(roots)
    join_cousins(groups, chosen, shared_time)
    join_cousins(groups, chosen, overlap_gap)


def join_cousins(groups: Groups, roots: Iterable[int], gap: Gap) -> None:
    """Join groups one to one between any two sets of emitters, where `gap` and names allow it."""
    sides = [Side.of(groups, root) for root in sorted({groups.root(root) for root in roots})]
    classes: dict[frozenset[str], list[Side]] = {}
    for side in sides:
        classes.setdefault(side.scopes, []).append(side)
    if len(classes) < 2:
        return
    timeless = {side.scopes for side in sides if side.start is None}
    ordered = sorted(classes, key=lambda scopes: (scopes in timeless, -len(scopes), sorted(scopes)))
    left = classes[ordered[0]]
    for scopes in ordered[1:]:
        right = classes[scopes]
        pairs = match(left, right, gap)
        taken = {side.root for pair in pairs for side in pair}
        joined = [Side.of(groups, groups.join(one.root, other.root)) for one, other in pairs]
        left = joined + [side for side in left + right if side.root not in taken]


def match(left: Sequence[Side], right: Sequence[Side], gap: Gap) -> list[tuple[Side, Side]]:
    """Pair sides one to one: the best fits first, then as many as possible by swapping partners."""
    edges = _edges(left, right, gap)
    partner: dict[int, int] = {}  # right position -> left position
    taken: dict[int, int] = {}
    for _, _, at, to in sorted(edges):
        if to not in partner and at not in taken:
            partner[to], taken[at] = at, to
    choices: dict[int, list[int]] = {}
    for _, _, at, to in sorted(edges):
        choices.setdefault(to, []).append(at)
    for to in range(len(right)):
        if to not in partner and to in choices:
            _swap(to, choices, partner, taken)
    _pair_leftovers(left, right, gap, partner, taken)
    return [(left[at], right[to]) for to, at in sorted(partner.items())]


def _edges(left: Sequence[Side], right: Sequence[Side], gap: Gap) -> list[_Edge]:
    nearby = _nearby(left)
    edges: list[_Edge] = []
    for to, side in enumerate(right):
        for at in nearby(side):
            fit = gap(left[at], side)
            if fit is not None and _may_be_one(left[at], side):
                edges.append((fit, _distance(left[at], side), at, to))
    return edges


def _distance(one: Side, other: Side) -> tuple[bool, int]:
    """Return what decides between equal fits: the same trace, then how far apart both ends are."""
    starts = abs(one.start - other.start) if one.start is not None and other.start is not None else 0
    return one.traces.isdisjoint(other.traces), starts + abs(one.end - other.end)


def _may_be_one(one: Side, other: Side) -> bool:
    return (
        one.scopes.isdisjoint(other.scopes)
        and not ids_differ(set(one.ids), set(other.ids))
        and models_agree(set(one.models), set(other.models))
    )


def _nearby(left: Sequence[Side]) -> Callable[[Side], Iterable[int]]:
    """Return a function that gives the positions worth a look: all, or in a crowd the nearest."""
    everyone = range(len(left))
    if len(left) <= _DENSE:
        return lambda side: everyone
    untimed = [at for at in everyone if left[at].start is None][:_DENSE]
    by_start = sorted((s.start, at) for at, s in enumerate(left) if s.start is not None)
    by_end = sorted((s.end, at) for at, s in enumerate(left))

    def near(side: Side) -> Iterable[int]:
        chosen = set(untimed)
        chosen.update(at for _, at in _window(by_end, side.end))
        if side.start is not None:
            chosen.update(at for _, at in _window(by_start, side.start))
        return sorted(chosen)

    return near


def _window(ordered: list[tuple[int, int]], value: int) -> list[tuple[int, int]]:
    middle = bisect_left(ordered, (value, -1))
    return ordered[max(0, middle - _DENSE // 2) : middle + _DENSE // 2]


def _swap(to: int, choices: dict[int, list[int]], partner: dict[int, int], taken: dict[int, int]) -> None:
    """Find a partner for `to` by letting others change theirs (a shortest augmenting path)."""
    came_from: dict[int, int] = {}
    waiting = deque([to])
    while waiting and len(came_from) < _LONGEST_SEARCH:
        asking = waiting.popleft()
        for at in choices.get(asking, ()):
            if at in came_from:
                continue
            came_from[at] = asking
            if at not in taken:
                _shift(at, came_from, partner, taken)
                return
            waiting.append(taken[at])


def _shift(at: int, came_from: dict[int, int], partner: dict[int, int], taken: dict[int, int]) -> None:
    while True:
        asking = came_from[at]
        given_up = partner.get(asking)
        partner[asking], taken[at] = at, asking
        if given_up is None:
            return
        at = given_up


def _pair_leftovers(
    left: Sequence[Side], right: Sequence[Side], gap: Gap, partner: dict[int, int], taken: dict[int, int]
) -> None:
    """Pair, in a crowd, what was in nobody's neighbourhood: in order, with a bounded look."""
    if len(left) <= _DENSE:
        return
    free = deque(at for at in range(len(left)) if at not in taken)
    for to in (to for to in range(len(right)) if to not in partner):
        for _ in range(min(len(free), _DENSE)):
            at = free.popleft()
            if _may_be_one(left[at], right[to]) and gap(left[at], right[to]) is not None:
                partner[to], taken[at] = at, to
                break
            free.append(at)
