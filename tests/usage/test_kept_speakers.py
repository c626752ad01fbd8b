"""What is kept of the kinds of calls seen makes reading faster, never other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobspan.model.usage import speaker
from jobspan.model.usage.fact import UsageFact
from jobspan.model.usage.normalise import fact_from, normalise, read_usage
from jobspan.spans.fact_text import fact_json, telling_json
from tests.usage.recorded import EXPECTED, fact_of, spans_of

SPANS = [span for name in sorted(EXPECTED) for span in spans_of(name)]
IDS = ("a" * 32, "b" * 16, "c" * 16, 1, 2)


@pytest.fixture(autouse=True)
def _nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(speaker, "_known", {})


def model_of(attributes: dict[str, Any]) -> str | None:
    fact = normalise(
        {"gen_ai.usage.input_tokens": 1, **attributes},
        scope="x",
        trace_id="t",
        span_id="s",
        parent_span_id=None,
        start_ns=1,
        end_ns=2,
    )
    assert fact is not None
    return fact.model


def test_a_fact_does_not_depend_on_what_was_read_before(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = [fact_of(span) for span in SPANS for _ in range(2)][::2]
    kept_later = [fact_of(span) for span in SPANS]
    monkeypatch.setattr(speaker, "_LONGEST_KEPT", -1)
    monkeypatch.setattr(speaker, "_known", {})
    assert kept == kept_later == [fact_of(span) for span in SPANS]
    assert not speaker._known


def test_what_a_span_tells_is_written_as_its_fact_would_be() -> None:
    told = 0
    for span in SPANS:
        telling = read_usage(span["attributes"], span["scope"]["name"])
        if telling is not None:
            fact = fact_from(telling, *IDS)
            text = telling_json(None, telling, *IDS)
            assert text == fact_json(None, fact)
            assert UsageFact.from_dict(json.loads(text)) == fact
            told += 1
    assert told > 200


def test_few_kinds_of_calls_are_kept_and_no_long_text() -> None:
    for number in range(2_500):
        assert model_of({"gen_ai.request.model": f"m{number}"}) == f"m{number}"
    assert 0 < len(speaker._known) <= 1_024
    speaker._known.clear()
    assert model_of({"gen_ai.request.model": "x" * 5_000}) == "x" * 200
    assert not speaker._known


@pytest.mark.parametrize("pair", [(1, True), (1.0, True), (0, False), ([], ()), ("a", ["a"]), ("", None)])
def test_a_value_that_equals_another_is_not_taken_for_it(pair: tuple[object, object]) -> None:
    for first, second in (pair, pair[::-1]):
        for value in (first, second):
            text = value if isinstance(value, str) and value else None
            assert model_of({"gen_ai.response.model": value, "gen_ai.system": "openai"}) == text
