"""Match witnesses of one call that stand side by side: no nesting and no common id joins them.

Two instrumentations of one call are mostly siblings or cousins in the tree (57 of 94 recordings with
several instrumentations). They agree on both token counts, on the model, and overlap in time; each
may be matched once, the best overlap first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from jobspan.model.usage.group import Groups
from jobspan.model.usage.party import Party, fewest
from jobspan.model.usage.side import TOLERANCE_NS, Gap, Side, overlap_gap, shared_time

_DENSE = 64
"""From so many possible partners on, only those nearest in time are looked at."""

_LONGEST_SEARCH = 512

_Edge = tuple[int, tuple[bool, bool, int], int, int]


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
    for near in _apart_in_time(sides):
        for call in fewest(_paired(near, gap), lambda one, other: _may_be_one(one, other, gap)):
            for other in call.parts[1:]:
                groups.join(call.parts[0].root, other.root)


def _apart_in_time(sides: list[Side]) -> Iterator[list[Side]]:
    """Yield the sides in sets that no call has witnesses in two of; one set where some have no time."""
    if any(side.start is None for side in sides):
        yield sides
        return
    near: list[Side] = []
    until = 0
    for side in sorted(sides, key=lambda side: (side.start or 0, side.root)):
        if near and (side.start or 0) > until + TOLERANCE_NS:
            yield near
            near = []
        until = max(until, side.end) if near else side.end
        near.append(side)
    yield near


def _paired(sides: Iterable[Side], gap: Gap) -> list[Party]:
    """Return the sides in parties that are one call each, matched one set of emitters after the other."""
    classes: dict[frozenset[str], list[Party]] = {}
    for side in sides:
        classes.setdefault(side.scopes, []).append(Party(side))
    timeless = {scopes for scopes, some in classes.items() if any(p.whole.start is None for p in some)}
    ordered = sorted(classes, key=lambda scopes: (scopes in timeless, -len(scopes), sorted(scopes)))
    left: list[Party] = []
    for scopes in ordered:
        right = classes[scopes]
        pairs = match([p.whole for p in left], [p.whole for p in right], gap) if left else []
        joined = [left[at].with_all(right[to]) for at, to in pairs]
        used_left, used_right = {at for at, _ in pairs}, {to for _, to in pairs}
        joined += [party for at, party in enumerate(left) if at not in used_left]
        left = joined + [party for to, party in enumerate(right) if to not in used_right]
    return left


def match(left: Sequence[Side], right: Sequence[Side], gap: Gap) -> list[tuple[int, int]]:
    """Pair positions one to one: the best fits first, then as many as possible by swapping partners."""
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
    return [(at, to) for to, at in sorted(partner.items())]


def _edges(left: Sequence[Side], right: Sequence[Side], gap: Gap) -> list[_Edge]:
    nearby = _nearby(left)
    edges: list[_Edge] = []
    for to, side in enumerate(right):
        for at in nearby(side):
            fit = gap(left[at], side)
            if fit is not None and left[at].may_be(side):
                edges.append((fit, _distance(left[at], side), at, to))
    return edges


def _distance(one: Side, other: Side) -> tuple[bool, bool, int]:
    """Return what decides between equal fits: the same trace, equal numbers, then how far apart they are."""
    starts = abs(one.start - other.start) if one.start is not None and other.start is not None else 0
    return one.traces.isdisjoint(other.traces), one.torn or other.torn, starts + abs(one.end - other.end)


def _may_be_one(one: Side, other: Side, gap: Gap) -> bool:
    return gap(one, other) is not None and one.may_be(other)


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
            if _may_be_one(left[at], right[to], gap):
                partner[to], taken[at] = at, to
                break
            free.append(at)
