"""Every recorded call of every recorded instrumentation counts exactly once."""

from __future__ import annotations

import random

import pytest

from jobspan.model.usage.resolve import resolve
from tests.usage.recorded import EXACT, EXPECTED, facts_and_links


@pytest.mark.parametrize("name", EXACT)
def test_what_was_billed_is_what_is_counted(name: str) -> None:
    facts, links = facts_and_links(name)
    calls = resolve(facts, links=links).calls
    true = EXPECTED[name]["true"]
    assert sum(call.prompt for call in calls) == true["prompt_tokens"]
    assert sum(call.completion for call in calls) == true["completion_tokens"]
    assert sum(call.total for call in calls) == EXPECTED[name]["true_total_tokens"]


@pytest.mark.parametrize("name", EXACT)
def test_the_calls_that_were_billed_are_the_calls_found(name: str) -> None:
    facts, links = facts_and_links(name)
    found = resolve(facts, links=links)
    assert len(found.calls) == EXPECTED[name]["llm_calls_billed"]
    assert found.unmetered == 0


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_order_and_repetition_change_nothing(name: str) -> None:
    facts, links = facts_and_links(name)
    shuffled = facts + facts[::2]
    random.Random(name).shuffle(shuffled)
    assert resolve(shuffled, links=links) == resolve(facts, links=links)


@pytest.mark.parametrize("name", sorted(set(EXPECTED) - set(EXACT)))
def test_what_no_span_tells_is_not_invented(name: str) -> None:
    facts, links = facts_and_links(name)
    reachable = EXPECTED[name]["reachable_from_spans"]
    assert sum(call.total for call in resolve(facts, links=links).calls) == reachable["total_tokens"]
