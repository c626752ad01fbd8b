"""Resolve what many witnesses say into the calls that were made: each call counts exactly once.

Most programs have several witnesses of every call (a provider SDK's own span, an instrumentation, an
agent framework), and sums over several calls stand under the same names. In order: equal ids, nesting,
cousins, aggregates, and what nobody metered. Parents minus children is never computed: pydantic-ai's
inner agents report running totals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jobspan.model.usage.aggregate import counted_aggregates
from jobspan.model.usage.call import Call, call_of, silent_call
from jobspan.model.usage.cousin import join_cousins, join_equal
from jobspan.model.usage.fact import LLM, UsageFact
from jobspan.model.usage.group import Groups
from jobspan.model.usage.identity import is_witness, on_own_span, unique_id
from jobspan.model.usage.nest import join_nested
from jobspan.model.usage.side import Side, overlap_gap
from jobspan.model.usage.silent import join_streams, silent_calls
from jobspan.model.usage.tree import SpanKey, SpanTree


@dataclass(frozen=True, slots=True)
class Resolution:
    """The calls of one client run, and how many calls did not tell their usage.

    `calls` holds calls with numbers, in order of time. `unmetered` counts calls without, and those
    in `calls` of which only a part was seen (`Call.metered` is False). `silent` holds the calls without
    numbers; their `requests` is 0.
    """

    calls: tuple[Call, ...]
    unmetered: int
    silent: tuple[Call, ...] = ()


def resolve(facts: Iterable[UsageFact], *, links: Mapping[SpanKey, str | None] | None = None) -> Resolution:
    """Return the calls that the facts of one client run are about.

    Depends only on the set of facts: their order and repetition never matter, and late ones are
    handled by resolving again. Of several versions of one (trace id, span id) the one that ends last
    holds, then the one with the larger numbers. `links` gives {(trace id, span id): parent span id}
    for the spans that carry no usage; without them facts may count twice that stand under each other.
    Traces may be many; loops of parents do no harm. About linear in the number of facts and spans.
    """
    known = _latest(facts)
    groups = Groups(known)
    if len(known) == 1 and is_witness(known[0]):
        alone = call_of(groups, 0)  # as most are: nothing else to weigh it with
        return Resolution((alone,) if alone is not None else (), 0)
    tree = SpanTree(known, links or {})
    above = tree.nearest_above({i for i, fact in enumerate(known) if on_own_span(fact)})
    if len(known) > 1:
        _join_ids(groups)
        join_streams(groups, known)
        join_nested(groups, above)
        _join_equal_usage(groups)
        _join_without_prompt(groups)
    heard = [i for i, fact in enumerate(known) if is_witness(fact) and i not in groups.dropped]
    sums = counted_aggregates(groups, tree, above, heard)
    silent = silent_calls(groups, above, {*heard, *sums})
    roots = {groups.root(i) for i in heard} | set(sums) | set(silent)
    calls = [call for root in sorted(roots) if (call := call_of(groups, root)) is not None]
    quiet = [silent_call(groups, root) for root in silent if groups.speaker(root) is None]
    return Resolution(_by_time(calls), len(silent), _by_time(quiet))


def _by_time(calls: Iterable[Call]) -> tuple[Call, ...]:
    return tuple(sorted(calls, key=lambda call: (call.at_ns, call.key)))


def _latest(facts: Iterable[UsageFact]) -> list[UsageFact]:
    """Return one version of each fact, in an order that depends on the facts alone.

    A fact without a span id is identified by all it says.
    """
    kept: dict[object, UsageFact] = {}
    for fact in facts:
        key: object = (fact.trace_id, fact.span_id) if fact.span_id else fact
        other = kept.get(key)
        if other is None or (fact != other and _version(fact) > _version(other)):
            kept[key] = fact
    return sorted(
        kept.values(),
        key=lambda f: (f.start_ns, f.end_ns, f.trace_id, f.span_id, "" if f.span_id else repr(f)),
    )


def _version(fact: UsageFact) -> tuple[int, bool, int, str]:
    return (fact.end_ns, fact.metered and fact.has_usage, fact.total, repr(fact))


def _join_ids(groups: Groups) -> None:
    """Join LLM facts with the same id, wherever they are; records by hand with any id of their own."""
    first: dict[tuple[str, str], int] = {}
    for index, fact in enumerate(groups.facts):
        if fact.role != LLM and not fact.manual:
            continue
        by_hand = ("manual " + fact.role, fact.response_id) if fact.manual and fact.response_id else None
        unique = unique_id(fact) if fact.role == LLM else None
        for key in (by_hand, ("", unique) if unique else None):
            if key is not None:
                groups.join(first.setdefault(key, index), index)


def _join_equal_usage(groups: Groups) -> None:
    buckets: dict[tuple[int, int], set[int]] = {}
    for index, fact in enumerate(groups.facts):
        if is_witness(fact) and index not in groups.dropped:
            root = groups.root(index)
            if root == index or groups.absorber.get(root) is None:
                buckets.setdefault((fact.prompt or 0, fact.completion or 0), set()).add(root)
    for usage in sorted(buckets):
        if len(buckets[usage]) > 1:
            join_equal(groups, buckets[usage])


def _join_without_prompt(groups: Groups) -> None:
    """Join calls of which only generated tokens were seen with those that were seen whole.

    LangChain reads a stream of Anthropic's by its last event, which need not repeat the input (measured).
    """
    heard = {groups.root(i) for i, fact in enumerate(groups.facts) if is_witness(fact)}
    usages = {root: groups.usages(root) for root in heard}
    halves = {root for root, seen in usages.items() if all(not prompt and out for prompt, out in seen)}

    def gap(one: Side, other: Side) -> int | None:
        return overlap_gap(one, other) if (one.root in halves) != (other.root in halves) else None

    for out in sorted({out for root in halves for _, out in usages[root]}):
        join_cousins(groups, [root for root in heard if any(o == out for _, o in usages[root])], gap)
