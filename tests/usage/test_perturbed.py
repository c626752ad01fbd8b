"""Recordings changed in ways that change no bill: the same total, or exactly twice as much."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from jobspan.model.usage.resolve import resolve
from tests.usage.recorded import EXACT, EXPECTED, fact_of, spans_of

Span = dict[str, Any]
HOUR_NS = 3_600 * 10**9

OLD_NAMES = {
    "gen_ai.usage.input_tokens": "gen_ai.usage.prompt_tokens",
    "gen_ai.usage.output_tokens": "gen_ai.usage.completion_tokens",
    "gen_ai.usage.total_tokens": "llm.usage.total_tokens",
    "gen_ai.usage.cache_read.input_tokens": "gen_ai.usage.cache_read_input_tokens",
    "gen_ai.usage.cache_creation.input_tokens": "gen_ai.usage.cache_creation_input_tokens",
    "gen_ai.provider.name": "gen_ai.system",
}


def total(spans: list[Span]) -> tuple[int, int]:
    links = {(span["trace_id"], span["span_id"]): span["parent_id"] for span in spans}
    calls = resolve((fact for span in spans if (fact := fact_of(span)) is not None), links=links).calls
    return sum(call.prompt for call in calls), sum(call.completion for call in calls)


def billed(name: str) -> tuple[int, int]:
    true = EXPECTED[name]["true"]
    return true["prompt_tokens"], true["completion_tokens"]


def copied(spans: list[Span], mark: str, shift_ns: int = 0) -> list[Span]:
    """Return the spans as those of another execution: other ids of traces, spans and responses."""
    made = copy.deepcopy(spans)
    for span in made:
        for key in ("trace_id", "span_id", "parent_id"):
            span[key] = span[key] and mark + span[key][1:]
        span["start_time_unix_nano"] += shift_ns
        span["end_time_unix_nano"] += shift_ns
        attributes = span["attributes"]
        if "gen_ai.response.id" in attributes:
            attributes["gen_ai.response.id"] += mark
        attributes.pop("output.value", None)
    return made


def renamed(spans: list[Span]) -> list[Span]:
    made = copy.deepcopy(spans)
    for span in made:
        span["attributes"] = {OLD_NAMES.get(name, name): value for name, value in span["attributes"].items()}
    return made


def hidden(spans: list[Span]) -> list[Span]:
    """Take out all a user may have hidden: inputs, outputs, messages."""
    made = copy.deepcopy(spans)
    for span in made:
        span["attributes"] = {
            name: value
            for name, value in span["attributes"].items()
            if not name.startswith(("output.", "input.", "llm.output_messages", "llm.input_messages"))
        }
    return made


def without_ids(spans: list[Span]) -> list[Span]:
    made = hidden(spans)
    for span in made:
        span["attributes"].pop("gen_ai.response.id", None)
    return made


CHANGES: dict[str, Callable[[list[Span]], list[Span]]] = {
    "an hour later": lambda spans: copied(spans, "f", HOUR_NS),
    "old names": renamed,
    "texts hidden": hidden,
    "no ids": without_ids,
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_no_bill_changes_no_total(change: str) -> None:
    wrong = {name for name in EXACT if total(CHANGES[change](spans_of(name))) != billed(name)}
    assert not wrong


@pytest.mark.parametrize("shift_ns", [HOUR_NS, 50_000_000, 1])
def test_the_same_work_done_twice_costs_twice(shift_ns: int) -> None:
    wrong = {
        name
        for name in EXACT
        if total(spans_of(name) + copied(spans_of(name), "f", shift_ns)) != tuple(2 * n for n in billed(name))
    }
    assert not wrong


def look_like_one_call(spans: list[Span], others: list[Span]) -> bool:
    """Tell whether equal usage was seen by strangers to each other: two calls and one look the same."""
    seen = [
        {(fact.prompt, fact.completion): fact.scope for span in some if (fact := fact_of(span)) is not None}
        for some in (spans, others)
    ]
    scopes = [{span["scope"]["name"] for span in some} - {"jobspan"} for some in (spans, others)]
    return not seen[0].keys().isdisjoint(seen[1]) and scopes[0].isdisjoint(scopes[1])


@pytest.mark.parametrize("step", [1, 7, 23, 41])
def test_two_recordings_at_the_same_time_add_up(step: int) -> None:
    wrong: dict[str, Any] = {}
    for at, name in enumerate(EXACT):
        other = EXACT[(at + step) % len(EXACT)]
        spans, others = spans_of(name), spans_of(other)
        if look_like_one_call(spans, others):
            continue
        shift = min(s["start_time_unix_nano"] for s in spans) - min(s["start_time_unix_nano"] for s in others)
        found = total(spans + copied(others, "f", shift))
        expected = tuple(a + b for a, b in zip(billed(name), billed(other), strict=True))
        if found != expected:
            wrong[f"{name} + {other}"] = (found, expected)
    assert not wrong
