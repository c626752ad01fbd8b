"""The counting rule, trap by trap: each is a shape that real instrumentations produce."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from jobspan.model.usage.resolve import resolve
from tests.usage.witness import (
    LITELLM,
    LOGFIRE,
    NATIVE,
    OFFICIAL,
    OI_LANGCHAIN,
    OI_LITELLM,
    OI_OPENAI,
    OWN,
    PYDANTIC,
    STRANDS,
    TL_ANTHROPIC,
    TL_LANGCHAIN,
    TL_OPENAI,
    beneath,
    by_hand,
    counted,
    fact,
    long_id,
    silent,
    total_of_agent,
    totals,
    unmetered,
)

ID = long_id("a")


# identity


def test_the_same_id_is_one_call_wherever_it_is_seen() -> None:
    far = fact(OI_OPENAI, response_id=ID, trace_id="other", parent_span_id=None, at=(9000, 9100))
    assert counted(fact(TL_OPENAI, response_id=ID), far) == (1, 100, 20)


def test_short_colliding_ids_are_two_calls() -> None:
    first = fact(TL_OPENAI, response_id="chatcmpl-123", at=(0, 100))
    second = fact(TL_OPENAI, response_id="chatcmpl-123", at=(200, 300))
    assert counted(first, second) == (2, 200, 40)


def test_openllmetry_anthropic_streams_that_add_events_up_do_not_spoil_the_count() -> None:
    wrong = fact(TL_ANTHROPIC, 400, 468, response_id=long_id(1, "msg_"))
    right = fact(NATIVE, 400, 460, response_id=long_id(1, "msg_"))
    assert counted(wrong, right) == (1, 400, 460)


def test_a_polled_response_is_one_call() -> None:
    polls = [fact(TL_OPENAI, response_id=long_id(7, "resp_"), at=(n * 1000, n * 1000 + 50)) for n in range(4)]
    assert counted(*polls) == (1, 100, 20)


# nesting


def test_nested_witnesses_are_one_call() -> None:
    outer = fact(PYDANTIC)
    middle = beneath(outer, fact(TL_OPENAI))
    assert counted(outer, middle, beneath(middle, fact(OI_OPENAI))) == (1, 100, 20)


def test_spans_without_usage_between_witnesses_do_not_hide_the_nesting() -> None:
    outer, inner = fact(PYDANTIC), fact(OI_OPENAI, parent_span_id="http2", prompt=101)
    links = {("trace", "http2"): "http1", ("trace", "http1"): outer.span_id}
    assert counted(outer, inner, links=links)[0] == 1


def test_a_sum_over_several_calls_is_dropped() -> None:
    outer = fact(STRANDS, 200, 40)
    assert counted(
        outer, beneath(outer, fact(OI_OPENAI)), beneath(outer, fact(OI_OPENAI, at=(200, 300)))
    ) == (
        2,
        200,
        40,
    )


def test_the_last_of_several_calls_is_not_counted_again() -> None:
    outer = fact(PYDANTIC, response_id=ID)
    first = beneath(outer, fact(TL_OPENAI, 70, 10, response_id=long_id("b")))
    last = beneath(outer, fact(TL_OPENAI, response_id=ID, at=(200, 300)))
    assert counted(outer, first, last) == (2, 170, 30)


def test_an_outer_fact_that_saw_more_than_all_beneath_speaks_for_them() -> None:
    outer = fact(PYDANTIC, 500, 90)
    seen = [beneath(outer, fact(OI_OPENAI, at=(n * 200, n * 200 + 100))) for n in range(3)]
    assert counted(outer, *seen) == (1, 500, 90)


def test_a_model_asked_by_a_tool_within_an_llm_span_is_a_call_of_its_own() -> None:
    outer = fact(TL_OPENAI, 900, 90, response_id=long_id(1), at=(0, 500))
    tool = beneath(outer, fact(TL_OPENAI, 50, 5, response_id=long_id(2), at=(100, 200)))
    assert counted(outer, tool) == (2, 950, 95)


def test_a_raw_and_a_parsed_span_of_one_emitter_are_one_call() -> None:
    outer = fact(TL_OPENAI)
    assert counted(outer, beneath(outer, fact(TL_OPENAI, at=(1, 99)))) == (1, 100, 20)


def test_two_siblings_beneath_one_outer_witness_are_one_call() -> None:
    outer = fact(OI_LANGCHAIN)
    assert counted(outer, beneath(outer, fact(TL_LANGCHAIN)), beneath(outer, fact(TL_OPENAI))) == (1, 100, 20)


# cousins


def test_siblings_of_two_emitters_are_one_call() -> None:
    assert counted(fact(TL_LANGCHAIN), fact(OI_OPENAI, at=(2, 99))) == (1, 100, 20)


def test_cousins_deep_under_a_graph_are_one_call() -> None:
    deep = fact(OI_LANGCHAIN, parent_span_id="model")
    assert counted(deep, fact(OI_OPENAI, at=(2, 99)), links={("trace", "model"): "graph"}) == (1, 100, 20)


def test_two_concurrent_calls_with_equal_usage_are_two_calls() -> None:
    pairs = [(fact(TL_LANGCHAIN, at=(n, 100 + n)), fact(OI_OPENAI, at=(n + 2, 99 + n))) for n in range(5)]
    assert counted(*(one for pair in pairs for one in pair)) == (5, 500, 100)


def test_three_emitters_side_by_side_are_matched_one_to_one() -> None:
    facts = [fact(scope, at=(n, 100 + n)) for n in range(4) for scope in (TL_LANGCHAIN, OI_OPENAI, NATIVE)]
    assert counted(*facts) == (4, 400, 80)


def test_a_partner_taken_by_another_is_given_back() -> None:
    # the short late witness fits both long ones; the early one fits only the first
    facts = [
        fact(TL_LANGCHAIN, at=(0, 100)),
        fact(TL_LANGCHAIN, at=(20, 120)),
        fact(OI_OPENAI, at=(30, 40)),
        fact(OI_OPENAI, at=(110, 119)),
    ]
    assert counted(*facts) == (2, 200, 40)


def test_different_usage_is_never_matched() -> None:
    assert counted(fact(TL_LANGCHAIN), fact(OI_OPENAI, 100, 21)) == (2, 200, 41)


def test_witnesses_that_do_not_overlap_in_time_are_two_calls() -> None:
    assert counted(fact(TL_LANGCHAIN, at=(0, 100)), fact(OI_OPENAI, at=(106, 200)))[0] == 2
    assert counted(fact(TL_LANGCHAIN, at=(0, 100)), fact(OI_OPENAI, at=(104, 200)))[0] == 1


def test_different_ids_of_providers_are_two_calls() -> None:
    one, other = fact(TL_LANGCHAIN, response_id=long_id(1)), fact(OFFICIAL, response_id=long_id(2))
    assert counted(one, other)[0] == 2


def test_ids_of_a_response_and_of_a_message_in_it_do_not_contradict() -> None:
    one = fact(TL_OPENAI, response_id=long_id(1, "resp_"))
    assert counted(one, fact(OI_LANGCHAIN, response_id=long_id(2, "msg_")))[0] == 1


def test_ids_that_litellm_invents_are_no_evidence() -> None:
    assert counted(fact(LITELLM, response_id=long_id(1)), fact(OI_OPENAI, response_id=long_id(2)))[0] == 1


@pytest.mark.parametrize(
    ("one", "other", "calls"),
    [
        ("openai/gpt-4o-mini", "gpt-4o-mini", 1),
        ("gpt-4o", "gpt-4o-2024-08-06", 1),
        ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929", 1),
        ("us.anthropic.claude-3-5-sonnet", "anthropic.claude-3-5-sonnet", 1),
        ("GPT-4o", "gpt-4o", 1),
        (None, "gpt-4o", 1),
        ("arn:aws:bedrock:eu:1:application-inference-profile/x", "claude-3-5-sonnet", 1),
        ("gpt-4o", "claude-sonnet-4-5", 2),
    ],
)
def test_models_must_agree(one: str | None, other: str, calls: int) -> None:
    assert counted(fact(TL_LANGCHAIN, model=one), fact(OI_OPENAI, model=other))[0] == calls


def test_a_deployment_is_known_by_the_model_asked_for() -> None:
    one = fact(TL_OPENAI, model="gpt-4o-2024", request_model="my-deployment")
    assert counted(one, fact(OI_OPENAI, model="my-deployment"))[0] == 1


def test_calls_of_one_emitter_are_never_cousins() -> None:
    assert counted(fact(TL_OPENAI), fact(TL_OPENAI))[0] == 2


def test_threads_without_context_are_roots_of_their_own_traces() -> None:
    facts = [
        fact(scope, trace_id=f"t{n}{scope}", parent_span_id=None, at=(n, 100 + n))
        for n in range(4)
        for scope in (TL_OPENAI, OI_LANGCHAIN)
    ]
    assert counted(*facts) == (4, 400, 80)


# LiteLLM on a span of ours


def test_usage_on_our_own_span_does_not_swallow_what_is_beneath() -> None:
    own = fact(OWN, 66, 0, span_id="run", parent_span_id=None, at=(0, 1000))
    assert counted(own, fact(TL_OPENAI)) == (2, 166, 20)


def test_usage_on_our_own_span_is_the_same_call_as_its_witness_beneath() -> None:
    own = fact(OWN, span_id="run", parent_span_id=None, at=(0, 1000), response_id=long_id(1))
    assert counted(own, fact(OI_OPENAI, response_id=long_id(2)), fact(OI_OPENAI, 7, 7)) == (2, 107, 27)


def test_litellm_and_openinference_nested_are_one_call() -> None:
    outer = fact(OI_LITELLM, model="openai/gpt-4o-mini")
    inner = beneath(
        outer, fact(LITELLM, response_id="5588d170-0b7f-4a3e-8b1d-000000000000", model="gpt-4o-mini")
    )
    assert counted(outer, inner) == (1, 100, 20)


# aggregates


def test_an_agent_s_sum_is_not_counted_beside_its_calls() -> None:
    agent = total_of_agent(PYDANTIC, 780, 72, at=(0, 900))
    calls = [beneath(agent, fact(PYDANTIC, 260, 24, at=(n * 200, n * 200 + 100))) for n in range(3)]
    assert counted(agent, *calls) == (3, 780, 72)


def test_running_totals_of_inner_agents_are_not_counted() -> None:
    boss = total_of_agent(PYDANTIC, 570, 57, at=(0, 900))
    first = beneath(boss, fact(PYDANTIC, 150, 15))
    inner = beneath(boss, total_of_agent(PYDANTIC, 360, 36, at=(200, 500)))
    second = beneath(inner, fact(PYDANTIC, 210, 21, at=(210, 300)))
    last = beneath(boss, fact(PYDANTIC, 210, 21, at=(600, 700)))
    assert counted(boss, first, inner, second, last) == (3, 570, 57)


def test_the_topmost_sum_counts_when_no_call_is_seen() -> None:
    boss = total_of_agent(STRANDS, 570, 57)
    inner = beneath(boss, total_of_agent(STRANDS, 210, 21))
    assert counted(boss, inner) == (1, 570, 57)


def test_a_sum_counts_where_only_another_branch_has_calls() -> None:
    boss = total_of_agent(STRANDS, 570, 57)
    branch = beneath(boss, total_of_agent(STRANDS, 210, 21))
    assert counted(boss, branch, beneath(boss, fact(STRANDS, 360, 36))) == (2, 570, 57)


def test_a_sum_beneath_a_call_that_repeats_it_is_not_counted() -> None:
    outer = fact("some.wrapper", 570, 57)
    assert counted(outer, beneath(outer, total_of_agent(STRANDS, 570, 57))) == (1, 570, 57)


def test_an_agent_s_sum_covers_its_silent_calls() -> None:
    agent = total_of_agent(PYDANTIC, 100, 20)
    assert unmetered(agent, beneath(agent, silent(PYDANTIC))) == 0


# by hand


def test_a_record_by_hand_is_the_call_that_was_instrumented() -> None:
    assert counted(fact(TL_OPENAI, response_id=ID), by_hand(response_id=ID, at=(5000, 5000))) == (1, 100, 20)


def test_a_record_by_hand_without_any_id_is_matched_by_its_numbers() -> None:
    assert counted(fact(TL_OPENAI, 77, 0), by_hand(77, 0, model=None, at=(5000, 5000))) == (1, 77, 0)


def test_a_record_by_hand_speaks_first() -> None:
    assert counted(fact(TL_OPENAI, response_id=ID), by_hand(90, 10, response_id=ID)) == (1, 90, 10)


def test_the_same_id_by_hand_replaces() -> None:
    first, second = by_hand(10, 5, response_id="m1"), by_hand(12, 6, response_id="m1", at=(500, 500))
    assert counted(first, second) == (1, 12, 6)


def test_records_by_hand_without_instrumentation_all_count() -> None:
    assert counted(by_hand(), by_hand(), by_hand(at=(500, 500))) == (3, 300, 60)


def test_each_record_by_hand_is_matched_once() -> None:
    facts = [fact(TL_OPENAI, at=(n * 200, n * 200 + 100)) for n in range(200)]
    records = [by_hand(at=(90_000 + n, 90_000 + n)) for n in range(200)]
    assert counted(*facts, *records) == (200, 20_000, 4_000)


def result_by_hand(prompt: int = 300, completion: int = 60, **fields: object) -> object:
    return by_hand(prompt, completion, role="agg", requests=3, at=(900, 900), **fields)


def test_an_agent_result_by_hand_does_not_double_instrumented_calls() -> None:
    facts = [fact(TL_OPENAI, at=(n * 200, n * 200 + 100)) for n in range(3)]
    assert counted(*facts, result_by_hand()) == (3, 300, 60)  # type: ignore[arg-type]


def test_an_agent_result_by_hand_does_not_double_calls_in_other_traces() -> None:
    facts = [fact(TL_OPENAI, trace_id=f"t{n}", parent_span_id=None) for n in range(3)]
    assert counted(*facts, result_by_hand()) == (3, 300, 60)  # type: ignore[arg-type]


def test_agent_results_by_hand_count_when_nobody_saw_the_calls() -> None:
    found = resolve([result_by_hand(), result_by_hand(30, 6)])  # type: ignore[list-item]
    assert totals(found) == (2, 330, 66)
    assert sum(call.requests for call in found.calls) == 6


def test_an_agent_result_counts_beside_embeddings_and_other_records_by_hand() -> None:
    embedding = fact(TL_OPENAI, 55, 0)
    assert counted(embedding, by_hand(7, 7), result_by_hand()) == (3, 362, 67)  # type: ignore[arg-type]


def test_an_agent_result_is_the_sum_of_the_responses_recorded_before() -> None:
    records = [by_hand(5, 5, at=(1, 1)), *(by_hand(at=(n, n)) for n in (10, 20, 30))]
    assert counted(*records, result_by_hand()) == (4, 305, 65)  # type: ignore[arg-type]


# unmetered


def test_a_call_without_usage_is_counted_as_unmetered() -> None:
    assert unmetered(silent(TL_OPENAI), fact(TL_OPENAI)) == 1


def test_an_outer_span_without_usage_is_joined_to_its_metered_call() -> None:
    outer = silent(OI_LANGCHAIN)
    assert unmetered(outer, beneath(outer, fact(OI_OPENAI))) == 0
    metered = fact(OI_LANGCHAIN)
    assert unmetered(metered, beneath(metered, silent(TL_ANTHROPIC))) == 0


def test_a_silent_cousin_is_joined_to_its_metered_call() -> None:
    assert unmetered(silent(TL_ANTHROPIC), fact(OI_LANGCHAIN)) == 0
    assert unmetered(silent(TL_ANTHROPIC), silent(TL_ANTHROPIC, at=(50, 120)), fact(OI_LANGCHAIN)) == 1


def test_a_silent_call_does_not_join_two_metered_ones() -> None:
    found = resolve([fact(TL_OPENAI), fact(OI_OPENAI, 7, 7), silent(NATIVE), silent(NATIVE, at=(300, 400))])
    assert (totals(found), found.unmetered) == ((2, 107, 27), 1)


def test_several_witnesses_of_a_silent_call_are_one_unmetered_call() -> None:
    outer = silent(OI_LANGCHAIN)
    assert unmetered(outer, beneath(outer, silent(OI_OPENAI))) == 1
    assert unmetered(silent(OI_LANGCHAIN), silent(TL_OPENAI)) == 1
    assert unmetered(silent(OI_LANGCHAIN, response_id=ID), silent(OI_LANGCHAIN, response_id=ID)) == 1


def test_logfire_s_request_span_is_joined_to_the_log_of_its_stream() -> None:
    streams = [
        f
        for n in range(3)
        for f in (silent(LOGFIRE, at=(n * 10, n * 10 + 5)), fact(LOGFIRE, at=(n * 10 + 90, n * 10 + 90)))
    ]
    assert unmetered(*streams) == 0
    assert counted(*streams) == (3, 300, 60)
    assert unmetered(*streams, silent(LOGFIRE, at=(200, 205))) == 1


def test_logfire_s_stream_log_is_matched_by_the_span_of_its_request() -> None:
    stream = silent(LOGFIRE, at=(0, 5)), fact(LOGFIRE, at=(150, 150))
    assert counted(*stream, fact(OI_OPENAI, at=(1, 100))) == (1, 100, 20)


def test_an_abandoned_stream_by_hand_counts_what_was_seen_and_is_unmetered() -> None:
    partial = by_hand(400, 8, metered=False)
    found = resolve([partial])
    assert (totals(found), found.unmetered) == ((1, 400, 8), 1)


def test_an_abandoned_stream_is_joined_to_a_witness_that_knows_more() -> None:
    partial = by_hand(400, 8, metered=False, at=(100, 100))
    found = resolve([partial, fact(NATIVE, 400, 60)])
    assert (totals(found), found.unmetered) == ((1, 400, 60), 0)


# values


def test_who_speaks_first_gives_the_numbers_and_others_fill_the_gaps() -> None:
    outer = fact(PYDANTIC, cost=Decimal("0.01"), provider="openai")
    inner = beneath(outer, fact(OI_OPENAI, cache_read=60, reasoning=5, model="gpt-4o-2024-08-06"))
    (call,) = resolve([outer, inner]).calls
    assert (call.cost, call.cached, call.reasoning) == (Decimal("0.01"), 60, 5)
    assert (call.provider, call.model) == ("openai", "gpt-4o-2024-08-06")


def test_a_call_keeps_its_key_when_another_witness_comes_late() -> None:
    first, late = fact(TL_OPENAI, response_id=ID), fact(NATIVE, response_id=ID)
    assert resolve([first]).calls[0].key == resolve([late, first]).calls[0].key == ID


# versions, hostile input


def test_of_two_versions_of_a_fact_the_one_that_ends_last_holds() -> None:
    early = fact(TL_OPENAI, 5, 5, span_id="x", at=(0, 50))
    assert counted(early, replace(early, prompt=9, end_ns=early.end_ns + 1)) == (1, 9, 5)


def test_facts_without_span_ids_are_told_apart_by_what_they_say() -> None:
    one = fact(TL_OPENAI, span_id="", trace_id="", parent_span_id=None)
    assert counted(one, one, replace(one, prompt=7)) == (2, 107, 40)


def test_loops_of_parents_are_harmless() -> None:
    one, two = (
        fact(TL_OPENAI, span_id="a", parent_span_id="b"),
        fact(TL_OPENAI, span_id="b", parent_span_id="a"),
    )
    itself = fact(TL_OPENAI, span_id="c", parent_span_id="c")
    hanging = fact(TL_OPENAI, span_id="d", parent_span_id="l1", at=(500, 600))
    links = {("trace", "l1"): "l2", ("trace", "l2"): "l1"}
    assert counted(one, two, itself, hanging, links=links) == (4, 400, 80)


def test_nothing_gives_nothing() -> None:
    assert resolve([]) == resolve(iter(()), links={})
    assert resolve([]).calls == ()


@pytest.mark.parametrize("whole", [NATIVE, TL_ANTHROPIC])
def test_who_missed_the_prompt_saw_the_same_call(whole: str) -> None:
    """LangChain reads a stream of Anthropic's by its last event."""
    seen = [fact(whole, 100, 20, at=(5, 95)), fact(whole, 130, 20, at=(205, 295))]
    half = [fact(OI_LANGCHAIN, 0, 20, at=(0, 100)), fact(TL_LANGCHAIN, 0, 20, at=(0, 100))]
    assert counted(*seen, *half) == (2, 230, 40)
    assert counted(*half) == (1, 0, 20)
    assert counted(*seen, fact(OI_LANGCHAIN, 0, 21, at=(0, 100))) == (3, 230, 61)
