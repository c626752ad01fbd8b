"""Laws of the counting rule over made-up programs: each true call counts once, however it is seen."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobspan.model.usage.fact import UsageFact
from jobspan.model.usage.resolve import resolve
from tests.usage.recorded import EXACT, facts_and_links
from tests.usage.witness import (
    LITELLM,
    NATIVE,
    OI_LANGCHAIN,
    OI_OPENAI,
    PYDANTIC,
    RUN,
    STRANDS,
    TL_ANTHROPIC,
    TL_LANGCHAIN,
    TL_OPENAI,
    beneath,
    by_hand,
    fact,
    long_id,
    silent,
    total_of_agent,
    totals,
)

SCOPES = (TL_LANGCHAIN, OI_LANGCHAIN, PYDANTIC, TL_OPENAI, OI_OPENAI, NATIVE, LITELLM)
SETTINGS = settings(max_examples=200, deadline=None)
LONG = settings(max_examples=6_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Made:
    """One true call and the facts that its witnesses gave."""

    prompt: int
    completion: int
    facts: tuple[UsageFact, ...]


@st.composite
def made_calls(draw: st.DrawFn, number: int, scopes: tuple[str, ...], apart: int = 13) -> Made:
    """Make one call, seen by every emitter of the program, each nested in or beside those before it."""
    start = apart * number + draw(st.sampled_from([0, 1, 5, 300] if apart else [0]))
    length = draw(st.integers(20, 200))
    prompt, completion = draw(st.sampled_from([(100, 20), (100, 21), (77, 0), (5000, 900)]))
    made: list[UsageFact] = []
    for place, scope in enumerate(scopes):
        margin = place * length // 40
        seen = fact(
            scope,
            prompt,
            completion,
            at=(start + margin, start + length - margin),
            response_id=long_id(number) if scope == LITELLM or draw(st.booleans()) else None,
            trace_id=f"own{number}" if draw(st.integers(0, 5)) == 0 else "trace",
        )
        if scope == LITELLM:
            seen = replace(seen, response_id=long_id(f"9{number}"))
        if made and draw(st.booleans()):
            seen = beneath(draw(st.sampled_from(made)), seen)
        made.append(seen)
    if draw(st.booleans()):
        made.append(by_hand(prompt, completion, response_id=long_id(number), at=(900 + number, 900 + number)))
    return Made(prompt, completion, tuple(made))


@st.composite
def programs(draw: st.DrawFn) -> list[Made]:
    """Make a program: calls that may overlap with identical usage, all seen by the same emitters."""
    scopes = tuple(draw(st.lists(st.sampled_from(SCOPES), min_size=1, max_size=4, unique=True)))
    apart = draw(st.sampled_from([0, 13]))
    return [draw(made_calls(number, scopes, apart)) for number in range(draw(st.integers(0, 6)))]


def _counts_once(program: list[Made], chance: random.Random) -> None:
    facts = [one for made in program for one in made.facts]
    facts = _renamed(facts, chance)
    expected = (len(program), sum(m.prompt for m in program), sum(m.completion for m in program))
    assert totals(resolve(facts)) == expected


def _renamed(facts: list[UsageFact], chance: random.Random) -> list[UsageFact]:
    """Return the facts in any order, with other span ids: no rule may lean on either."""
    numbers = list(range(len(facts)))
    chance.shuffle(numbers)
    names = {one.span_id: f"{number:016x}" for one, number in zip(facts, numbers, strict=True)}
    again = [
        replace(one, span_id=names[one.span_id], parent_span_id=names.get(one.parent_span_id or "", RUN))
        for one in facts
    ]
    chance.shuffle(again)
    return again


@given(programs(), st.randoms(use_true_random=False))
@SETTINGS
def test_each_true_call_counts_once(program: list[Made], chance: random.Random) -> None:
    _counts_once(program, chance)


@pytest.mark.slow
@pytest.mark.timeout(900)  # a minute and a half of a calm machine
@given(programs(), st.randoms(use_true_random=False))
@LONG
def test_each_true_call_counts_once_in_a_long_search(program: list[Made], chance: random.Random) -> None:
    _counts_once(program, chance)


@pytest.mark.parametrize("emitters", [3, 4])
def test_equal_calls_at_one_instant_count_each(emitters: int) -> None:
    """Partly nested, some with ids: which witnesses belong together cannot be seen, how many calls can."""
    for seed in range(400):
        chance = random.Random(seed)
        calls = chance.randint(2, 4)
        scopes = chance.sample(SCOPES[:-1], emitters)
        facts: list[UsageFact] = []
        for number in range(calls):
            made: list[UsageFact] = []
            for scope in scopes:
                seen = fact(scope, response_id=long_id(number) if chance.random() < 0.4 else None)
                made.append(beneath(chance.choice(made), seen) if made and chance.random() < 0.4 else seen)
            facts += made
        assert totals(resolve(_renamed(facts, chance))) == (calls, 100 * calls, 20 * calls), seed


@st.composite
def partly_seen(draw: st.DrawFn) -> list[Made]:
    """Make calls of distinct usage, each seen by any of the emitters in any legal shape."""
    program: list[Made] = []
    for number in range(draw(st.integers(0, 8))):
        scopes = tuple(draw(st.lists(st.sampled_from(SCOPES), min_size=1, max_size=5, unique=True)))
        made = draw(made_calls(number, scopes))
        usage = {"prompt": 1000 + number, "completion": 10 + number}
        program.append(Made(1000 + number, 10 + number, tuple(replace(f, **usage) for f in made.facts)))
    return program


SILENT = st.lists(
    st.builds(silent, st.sampled_from(SCOPES), at=st.sampled_from([(0, 90), (50, 300)])), max_size=3
)


@given(partly_seen(), st.booleans(), SILENT, st.randoms(use_true_random=False))
@SETTINGS
def test_each_call_counts_once_whoever_saw_it(
    program: list[Made], in_agent: bool, quiet: list[UsageFact], chance: random.Random
) -> None:
    facts = [one for made in program for one in made.facts] + quiet
    expected = (len(program), sum(m.prompt for m in program), sum(m.completion for m in program))
    if in_agent and program:
        agent = total_of_agent(STRANDS, expected[1], expected[2], at=(0, 2000))
        facts = [beneath(agent, f) if f.parent_span_id == RUN and f.trace_id == "trace" else f for f in facts]
        if any(f.parent_span_id == agent.span_id and f.has_usage for f in facts):
            facts.append(agent)
    chance.shuffle(facts)
    assert totals(resolve(facts)) == expected


@st.composite
def anything(draw: st.DrawFn) -> list[UsageFact]:
    """Make facts without sense: shared spans, loops, unmetered, aggregates, absurd times and numbers."""
    spans = st.sampled_from(["a", "b", "c", "d", "e", ""])
    count = st.sampled_from([0, 1, 20, 100, 2**53])
    return draw(
        st.lists(
            st.builds(
                UsageFact,
                trace_id=st.sampled_from(["t", "u", ""]),
                span_id=spans,
                parent_span_id=st.one_of(st.none(), spans),
                scope=st.sampled_from([*SCOPES, TL_ANTHROPIC, "logfire.openai", "jobspan", ""]),
                start_ns=st.sampled_from([0, 10**18, 10**18 + 10**6, 10**30, -5]),
                end_ns=st.sampled_from([0, 10**18, 10**18 + 10**8, -(10**30)]),
                role=st.sampled_from(["llm", "agg", "other"]),
                prompt=count,
                completion=count,
                response_id=st.sampled_from([None, "m1", long_id(1), long_id(2)]),
                model=st.sampled_from([None, "gpt-4o", ""]),
                metered=st.booleans(),
                manual=st.booleans(),
            )
            | st.sampled_from([silent(TL_OPENAI, span_id="a"), silent("logfire.openai", span_id="b")]),
            max_size=12,
        )
    )


@given(anything(), st.randoms(use_true_random=False))
@settings(max_examples=400, deadline=None)
def test_order_and_repetition_never_matter(facts: list[UsageFact], chance: random.Random) -> None:
    links = {("t", "a"): "b", ("t", "b"): "a", ("u", "e"): "e", ("t", "c"): None}
    once = resolve(facts, links=links)
    again = facts + [chance.choice(facts) for _ in facts]
    chance.shuffle(again)
    assert resolve(again, links=links) == once
    assert len(once.calls) <= len(facts)


@given(anything())
@settings(max_examples=200, deadline=None)
def test_a_fact_alone_counts_as_beside_an_unrelated_one(facts: list[UsageFact]) -> None:
    far = by_hand(7_919, 104_729, trace_id="elsewhere", at=(10**13, 10**13))
    for one in facts:
        alone, beside = resolve([one]), resolve([one, far])
        assert alone.calls == tuple(call for call in beside.calls if call.prompt != far.prompt)
        assert len(beside.calls) == len(alone.calls) + 1
        assert (alone.unmetered, alone.silent) == (beside.unmetered, beside.silent)


@given(st.sampled_from(EXACT), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_late_facts_end_in_the_same_total(name: str, chance: random.Random) -> None:
    facts, links = facts_and_links(name)
    chance.shuffle(facts)
    for some in range(0, len(facts), max(1, len(facts) // 3)):
        resolve(facts[:some], links=links)  # what was shown before the late ones came
    assert totals(resolve(facts, links=links)) == totals(resolve(facts_and_links(name)[0], links=links))


def test_recordings_in_one_run_add_up() -> None:
    facts, links, expected = [], {}, [0, 0, 0]
    for number, name in enumerate(EXACT):
        own, its_links = facts_and_links(name)
        links.update(its_links)
        shift = number * 3_600 * 10**9 - min(f.start_ns for f in own)
        facts += [replace(f, start_ns=f.start_ns + shift, end_ns=f.end_ns + shift) for f in own]
        expected = [a + b for a, b in zip(expected, totals(resolve(own, links=its_links)), strict=True)]
    assert list(totals(resolve(facts, links=links))) == expected


def crowd(kind: str, size: int) -> list[UsageFact]:
    """Return `size` facts of one unfriendly kind."""
    half = size // 2
    both = (TL_OPENAI, OI_LANGCHAIN)
    if kind == "sequence":
        return [
            fact(s, 10 + n, 5, at=(n * 10, n * 10 + 8))
            for n in range(half)
            for s in (TL_OPENAI, OI_LANGCHAIN)
        ]
    if kind == "identical one after the other":
        return [fact(s, at=(n * 10, n * 10 + 4)) for n in range(half) for s in both]
    if kind == "identical all at once":
        return [fact(s, at=(0, 1000)) for _ in range(half) for s in both]
    if kind == "recorded by hand at the end":
        seen = [fact(TL_OPENAI, at=(n * 10, n * 10 + 8)) for n in range(half)]
        return seen + [by_hand(at=(10**6 + n, 10**6 + n)) for n in range(half)]
    if kind == "silent":
        return [silent(s, at=(n * 10, n * 10 + 4)) for n in range(half) for s in both]
    if kind == "nested deep":
        chain = [fact(TL_OPENAI)]
        for _ in range(size - 1):
            chain.append(beneath(chain[-1], fact(TL_OPENAI)))
        return chain
    leaves = [fact(TL_OPENAI, at=(n * 10, n * 10 + 8)) for n in range(half)]  # sums over sums over all
    wraps = [fact(PYDANTIC, 1, 1, span_id=f"wrap{n}", parent_span_id=f"wrap{n + 1}") for n in range(half)]
    return [replace(leaf, parent_span_id="wrap0") for leaf in leaves] + wraps


CALLS = {
    "sequence": 0.5,
    "identical one after the other": 0.5,
    "identical all at once": 0.5,
    "recorded by hand at the end": 0.5,
    "silent": 0.0,
    "nested deep": 0.0,
    "wrapped deep": 0.5,
}


@pytest.mark.parametrize("kind", CALLS)
def test_crowds_are_counted_in_bounded_time(kind: str) -> None:
    size = 2_000
    facts = crowd(kind, size)
    began = time.process_time()
    calls = len(resolve(facts).calls)
    assert time.process_time() - began < 10
    assert calls == max(size * CALLS[kind], 1 if kind == "nested deep" else 0)
