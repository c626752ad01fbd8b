"""Choose which sums count: those of agents whose calls nobody else has told of."""

from __future__ import annotations

from collections.abc import Sequence

from jobspan.model.usage.fact import LLM, UsageFact
from jobspan.model.usage.group import Groups
from jobspan.model.usage.identity import is_witness
from jobspan.model.usage.tree import SpanKey, SpanTree, depths


def counted_aggregates(
    groups: Groups, tree: SpanTree, above: Sequence[int | None], heard: Sequence[int]
) -> list[int]:
    """Return the aggregates that count: nothing beneath them was counted, and they are the topmost.

    `heard` holds the facts that witness calls that count. What an aggregate has beyond its children
    is never counted: it may be a running total.
    """
    chosen = _from_spans(groups, tree, above, heard)
    return chosen + _by_hand(groups, tree, [*heard, *chosen])


def _from_spans(
    groups: Groups, tree: SpanTree, above: Sequence[int | None], heard: Sequence[int]
) -> list[int]:
    facts = groups.facts
    occupied = _earliest_beneath(facts, tree, heard)
    depth = depths(above)
    chosen: list[int] = []
    settled: dict[int, bool] = {}  # whether something at or above counts for what is beneath
    sums = [i for i, fact in enumerate(facts) if fact.role != LLM and fact.has_usage and not fact.manual]
    for index in sorted(sums, key=lambda i: (depth[i], i)):
        fact = facts[index]
        covered = _is_covered(index, groups, above, settled)
        counts = not covered and (fact.trace_id, fact.span_id) not in occupied
        settled[index] = covered or counts
        if counts:
            chosen.append(index)
    return chosen


def _is_covered(index: int, groups: Groups, above: Sequence[int | None], settled: dict[int, bool]) -> bool:
    """Tell whether a sum that counts, or a call that used at least as much, stands above."""
    total = groups.facts[index].total
    at = above[index]
    while at is not None:
        if at in settled:
            return settled[at]
        fact = groups.facts[at]
        if is_witness(fact) and at not in groups.dropped and fact.total >= total:
            return True
        at = above[at]
    return False


def _by_hand(groups: Groups, tree: SpanTree, counted: Sequence[int]) -> list[int]:
    """Return the records by hand of whole agent runs that count.

    Such a record stands beside the calls it sums up. It counts unless a call that generated
    something was witnessed at its place, or in a trace of its own, before the record was made; or
    calls recorded by hand one after the other make up exactly its sum.
    """
    facts = groups.facts
    sums = {groups.root(i) for i, fact in enumerate(facts) if fact.role != LLM and fact.manual}
    if not sums:
        return []
    generated = [i for i in counted if facts[i].completion]
    seen = [i for i in generated if not facts[i].manual]
    beneath = _earliest_beneath(facts, tree, seen)
    elsewhere: dict[str, int] = {}
    for index in seen:
        fact = facts[index]
        elsewhere[fact.trace_id] = min(fact.start_ns, elsewhere.get(fact.trace_id, fact.start_ns))
    recorded = [facts[i] for i in generated if facts[i].manual and not facts[i].aggregate]
    speakers = [i for root in sums if (i := groups.speaker(root)) is not None]
    return [
        index
        for index in sorted(speakers)
        if not _was_witnessed(facts[index], beneath, elsewhere)
        and not _is_sum_of_some(facts[index], recorded)
    ]


def _was_witnessed(fact: UsageFact, beneath: dict[SpanKey, int], elsewhere: dict[str, int]) -> bool:
    place = fact.parent_span_id
    starts = [start for trace, start in elsewhere.items() if not place or trace != fact.trace_id]
    if place and (fact.trace_id, place) in beneath:
        starts.append(beneath[fact.trace_id, place])
    return any(start <= fact.end_ns for start in starts)


def _is_sum_of_some(fact: UsageFact, recorded: Sequence[UsageFact]) -> bool:
    """Tell whether successive facts add up to exactly this one."""
    first = prompt = completion = 0
    wanted = (fact.prompt or 0, fact.completion or 0)
    for index, last in enumerate(recorded):
        prompt, completion = prompt + (last.prompt or 0), completion + (last.completion or 0)
        while first <= index and prompt + completion > fact.total:
            prompt -= recorded[first].prompt or 0
            completion -= recorded[first].completion or 0
            first += 1
        if (prompt, completion) == wanted and first <= index:
            return True
    return False


def _earliest_beneath(
    facts: Sequence[UsageFact], tree: SpanTree, counted: Sequence[int]
) -> dict[SpanKey, int]:
    """Return for each span with something counted beneath it when the first of that began."""
    since: dict[SpanKey, int] = {}
    for index in sorted(counted, key=lambda i: (facts[i].start_ns, i)):
        fact = facts[index]
        start = (fact.trace_id, fact.parent_span_id) if fact.parent_span_id else None
        if start is None and fact.span_id:
            start = tree.parent((fact.trace_id, fact.span_id))
        for key in tree.climb(start):
            if key in since:
                break
            since[key] = fact.start_ns
    return since
