"""Hold which witnesses are thought to be of one call, until none could be moved to make the calls fewer.

Matching one emitter after the other can leave a witness without a partner when three or more emitters saw
calls of equal usage at one instant: an earlier choice, as good as any, took its place. Then others are moved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from jobspan.model.usage.side import Side

_MOST = 128
"""In a larger crowd at one instant nothing is moved."""

_LONGEST_CHAIN = 8

Fits = Callable[[Side, Side], bool]


class Party:
    """Sides that are one call: `parts`, and all of them seen as one, `whole`."""

    __slots__ = ("parts", "whole")

    def __init__(self, first: Side, *others: Side) -> None:
        self.parts = (first, *others)
        self.whole = first
        for other in others:
            self.whole = self.whole.with_other(other)

    def with_all(self, other: Party) -> Party:
        """Return both as one."""
        return Party(*self.parts, *other.parts)

    def blocker(self, side: Side) -> Side | None:
        """Return the only part that keeps a side out, if it is only one."""
        found = [part for part in self.parts if not part.may_join(side)]
        return found[0] if len(found) == 1 else None


def fewest(parties: Sequence[Party], fits: Fits) -> list[Party]:
    """Return the parties after moving sides between them so that, if possible, there are fewer."""
    held = list(parties)
    seen = Counter(scope for party in held for scope in party.whole.scopes)
    least = max(seen.values(), default=0)
    if len(held) <= least or sum(len(party.parts) for party in held) > _MOST:
        return held
    for party in sorted(held, key=lambda party: len(party.parts)):
        rest = [other for other in held if other is not party]
        if len(held) > least and all(_place(part, rest, fits, {part.root}) for part in party.parts):
            held = rest
    return held


def _place(side: Side, parties: list[Party], fits: Fits, moved: set[int], depth: int = 0) -> bool:
    """Put a side into one of the parties, moving others on where that is needed.

    Each is moved at most once in a search, and nobody who stood alone: that would make no party fewer.
    """
    for at, party in enumerate(parties):
        if fits(party.whole, side):
            parties[at] = Party(*party.parts, side)
            return True
    if depth >= _LONGEST_CHAIN:
        return False
    for at, party in enumerate(parties):
        blocker = party.blocker(side)
        if blocker is None or blocker.root in moved:
            continue
        others = [part for part in party.parts if part is not blocker]
        if not others or not fits(Party(*others).whole, side):
            continue
        moved.add(blocker.root)
        parties[at] = Party(*others, side)
        if _place(blocker, parties, fits, moved, depth + 1):
            return True
        parties[at] = party
    return False
