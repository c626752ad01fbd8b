"""Count the calls that told nothing, or only a part, of what they used: unmetered is not zero."""

from __future__ import annotations

from collections.abc import Sequence

from jobspan.model.usage.cousin import join_cousins
from jobspan.model.usage.fact import LLM, UsageFact
from jobspan.model.usage.group import Groups
from jobspan.model.usage.identity import is_witness, model_names, models_agree, on_own_span
from jobspan.model.usage.side import Side, overlap_gap

_MANUAL_GRACE_NS = 1_000_000_000


def is_silent(fact: UsageFact) -> bool:
    """Tell whether a fact knows of a call but not of its whole usage."""
    return fact.role == LLM and not is_witness(fact)


def join_streams(groups: Groups, facts: Sequence[UsageFact]) -> None:
    """Join logfire's span of a stream request with the log of that stream, which has the usage.

    They are siblings of one scope; the log has no length. Each is joined once, in order of time.
    """
    waiting: dict[tuple[str, str | None, str], list[int]] = {}
    for index, fact in enumerate(facts):  # in order of their start
        if fact.role != LLM or not fact.scope.startswith("logfire"):
            continue
        place = (fact.trace_id, fact.parent_span_id, fact.scope)
        if is_silent(fact) and fact.end_ns > fact.start_ns:
            waiting.setdefault(place, []).append(index)
        elif is_witness(fact) and fact.end_ns == fact.start_ns:
            asked = waiting.get(place, [])
            names = model_names(fact)
            for request in asked:
                if models_agree(names, model_names(facts[request])):
                    groups.join(request, index)
                    asked.remove(request)
                    break


def silent_calls(groups: Groups, above: Sequence[int | None], counted: set[int]) -> list[int]:
    """Return the roots of the groups that are calls nobody metered.

    `counted` holds the facts that speak for or witness a counted call, and aggregates that count.
    Left out is what a counted fact stands above or beneath, what is a metered call's cousin, and
    all but the innermost of nested ones.
    """
    facts = groups.facts
    silent = [i for i, fact in enumerate(facts) if is_silent(fact)]
    if not silent:
        return []
    heard = {groups.root(i) for i in counted if facts[i].role == LLM}
    covered = _beneath_counted(above, counted)
    speaking = _above_any(above, [i for i in counted if not on_own_span(facts[i])])
    left = [i for i in silent if not (groups.root(i) in heard or i in covered or i in speaking)]
    wrappers = _above_any(above, left)
    roots = {groups.root(i) for i in left if i not in wrappers}
    join_cousins(groups, heard | roots, _close_in_time)
    metered = {groups.root(root) for root in heard}
    return sorted({groups.root(root) for root in roots} - metered)


def _close_in_time(one: Side, other: Side) -> int | None:
    if one.metered and other.metered:
        return None  # that they are two calls is settled
    if one.start is None or other.start is None:
        away = abs(one.end - other.end)
        return away if away <= _MANUAL_GRACE_NS else None
    return overlap_gap(one, other)


def _beneath_counted(above: Sequence[int | None], counted: set[int]) -> set[int]:
    """Return every fact that has a counted one above it."""
    known: dict[int, bool] = {}
    for start in range(len(above)):
        path: list[int] = []
        index: int | None = start
        answer = False
        while index is not None:
            if index in known:
                answer = known[index]
                break
            path.append(index)
            index = above[index]
            if index is not None and index in counted:
                answer = True
                known.setdefault(path[-1], True)
                break
        for step in reversed(path):
            known.setdefault(step, answer)
    return {index for index, answer in known.items() if answer}


def _above_any(above: Sequence[int | None], starts: Sequence[int]) -> set[int]:
    """Return every fact that has one of `starts` beneath it."""
    marked: set[int] = set()
    for start in starts:
        index = above[start]
        while index is not None and index not in marked:
            marked.add(index)
            index = above[index]
    return marked
