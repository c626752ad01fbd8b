"""Find what stands above what in the tree of spans, where most spans carry no usage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from jobspan.model.usage.fact import UsageFact

SpanKey = tuple[str, str]
"""(trace id, span id)."""


class SpanTree:
    """Parent links of all spans of a run, those without usage included.

    `links` gives the parent span id of spans that carry no usage; a link that is missing ends a
    chain. Spans that are their own ancestors are harmless: every walk ends.
    """

    def __init__(self, facts: Sequence[UsageFact], links: Mapping[SpanKey, str | None]) -> None:
        self._facts = facts
        self._links = links
        self._place = {(fact.trace_id, fact.span_id): i for i, fact in enumerate(facts) if fact.span_id}

    def parent(self, key: SpanKey) -> SpanKey | None:
        """Return the span above a span, if known."""
        index = self._place.get(key)
        parent = self._facts[index].parent_span_id if index is not None else None
        parent = parent or self._links.get(key)
        return (key[0], parent) if parent else None

    def climb(self, key: SpanKey | None) -> Iterator[SpanKey]:
        """Yield a span and all above it, each once."""
        seen: set[SpanKey] = set()
        while key is not None and key not in seen:
            seen.add(key)
            yield key
            key = self.parent(key)

    def nearest_above(self, transparent: set[int]) -> list[int | None]:
        """Return for each fact the index of the nearest fact above it; facts in a loop have none.

        Facts in `transparent` are nobody's nearest. Linear in the spans visited.
        """
        opaque = {key: index for key, index in self._place.items() if index not in transparent}
        found: dict[SpanKey, int | None] = {}
        above: list[int | None] = []
        for fact in self._facts:
            start = (fact.trace_id, fact.parent_span_id) if fact.parent_span_id else None
            if start is None and fact.span_id:
                start = self.parent((fact.trace_id, fact.span_id))
            above.append(self._nearest(start, opaque, found))
        return _without_loops(above)

    def _nearest(
        self, start: SpanKey | None, opaque: Mapping[SpanKey, int], found: dict[SpanKey, int | None]
    ) -> int | None:
        path: list[SpanKey] = []
        answer: int | None = None
        for key in self.climb(start):
            if key in found:
                answer = found[key]
                break
            path.append(key)
            if key in opaque:
                answer = opaque[key]
                break
        found.update(dict.fromkeys(path, answer))
        return answer


def _without_loops(above: list[int | None]) -> list[int | None]:
    """Cut every fact that is above itself: a loop has no top, so all in it become roots."""
    walk_of = [-1] * len(above)
    looped: list[int] = []
    for walk in range(len(above)):
        index: int | None = walk
        while index is not None and walk_of[index] < 0:
            walk_of[index] = walk
            index = above[index]
        if index is not None and walk_of[index] == walk:
            looped.append(index)
    for start in looped:
        at: int | None = start
        while at is not None:
            following = above[at]
            above[at] = None
            at = following
    return above


def depths(above: Sequence[int | None]) -> list[int]:
    """Return how many facts stand above each fact; `above` must hold no loop."""
    known = [-1] * len(above)
    for start in range(len(above)):
        path: list[int] = []
        index: int | None = start
        while index is not None and known[index] < 0:
            path.append(index)
            index = above[index]
        depth = -1 if index is None else known[index]
        for step in reversed(path):
            depth += 1
            known[step] = depth
    return known
