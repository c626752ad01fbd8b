"""Every dialect of GenAI attributes becomes the same fact."""

from __future__ import annotations

import json
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobspan.model.usage.attribute import MARKERS
from jobspan.model.usage.fact import AGGREGATE, LLM, UsageFact
from jobspan.model.usage.normalise import id_in_output, might_be_genai, normalise

OI = "openinference.instrumentation.openai"
OTEL = "opentelemetry.instrumentation."


def fact_of(attributes: Any, scope: str = "some.scope", **options: Any) -> UsageFact | None:
    return normalise(
        attributes,
        scope=scope,
        name="chat",
        trace_id="t",
        span_id="s",
        parent_span_id="p",
        start_ns=1,
        end_ns=2,
        kind="CLIENT",
        **options,
    )


def gen(**values: Any) -> dict[str, Any]:
    return {f"gen_ai.usage.{name.replace('__', '.')}": value for name, value in values.items()}


EMITTERS: dict[str, tuple[str, dict[str, Any], tuple[int, int, int | None, int | None, int | None]]] = {
    "openllmetry openai": (
        OTEL + "openai.v1",
        gen(
            input_tokens=1000,
            output_tokens=200,
            total_tokens=1200,
            cache_read__input_tokens=600,
            reasoning_tokens=120,
        ),
        (1000, 200, 600, None, 120),
    ),
    "openllmetry 0.40": (
        OTEL + "openai.v1",
        gen(prompt_tokens=1000, completion_tokens=200, cache_read_input_tokens=600)
        | {"llm.usage.total_tokens": 1200},
        (1000, 200, 600, None, None),
    ),
    "openllmetry anthropic": (
        OTEL + "anthropic",
        gen(
            input_tokens=1000,
            output_tokens=50,
            cache_read__input_tokens=700,
            cache_creation__input_tokens=200,
        ),
        (1000, 50, 700, 200, None),
    ),
    "openllmetry gemini leaves thoughts out": (
        OTEL + "google_generativeai",
        gen(input_tokens=800, output_tokens=50, total_tokens=950),
        (800, 150, None, None, None),
    ),
    "openllmetry gemini with as many cached as thoughts": (
        OTEL + "google_generativeai",
        gen(input_tokens=800, output_tokens=50, total_tokens=950, cache_read__input_tokens=100),
        (800, 150, 100, None, None),
    ),
    "openllmetry bedrock leaves cache out": (
        OTEL + "bedrock",
        gen(
            input_tokens=500,
            output_tokens=80,
            total_tokens=580,
            cache_read__input_tokens=300,
            cache_creation__input_tokens=100,
        ),
        (900, 80, 300, 100, None),
    ),
    "official bedrock leaves cache out": (
        OTEL + "genai.bedrock",
        gen(input_tokens=500, output_tokens=80, cache_read__input_tokens=300, cache_write__input_tokens=100),
        (900, 80, 300, 100, None),
    ),
    "unknown emitter, total includes cache": (
        "x",
        gen(
            input_tokens=500,
            output_tokens=80,
            total_tokens=980,
            cache_read__input_tokens=300,
            cache_write__input_tokens=100,
        ),
        (900, 80, 300, 100, None),
    ),
    "unknown emitter, more cached than prompt": (
        "x",
        gen(input_tokens=100, output_tokens=50, cache_read__input_tokens=700, cache_write__input_tokens=200),
        (1000, 50, 700, 200, None),
    ),
    "langchain bedrock converse includes cache": (
        OTEL + "langchain",
        gen(input_tokens=900, output_tokens=80, total_tokens=980, cache_read__input_tokens=300),
        (900, 80, 300, None, None),
    ),
    "openllmetry mistral": (
        OTEL + "mistralai",
        gen(input_tokens=120, output_tokens=30) | {"llm.usage.total_tokens": 150, "llm.request.type": "chat"},
        (120, 30, None, None, None),
    ),
    "mistral's own tracer mixes names": (
        "mistralai_sdk_tracer",
        gen(prompt_tokens=120, output_tokens=30) | {"mistral_ai.request.total_tokens": 150},
        (120, 30, None, None, None),
    ),
    "openllmetry cohere floats": (
        OTEL + "cohere",
        gen(prompt_tokens=40.0, completion_tokens=12.0) | {"llm.usage.total_tokens": 52.0},
        (40, 12, None, None, None),
    ),
    "openinference": (
        OI,
        {
            "llm.token_count.prompt": 1000,
            "llm.token_count.completion": 200,
            "llm.token_count.total": 1200,
            "llm.token_count.prompt_details.cache_read": 600,
            "llm.token_count.prompt_details.cache_write": 10,
            "llm.token_count.completion_details.reasoning": 120,
            "openinference.span.kind": "LLM",
        },
        (1000, 200, 600, 10, 120),
    ),
    "openinference in both namespaces": (
        OI,
        gen(input_tokens=10, output_tokens=5)
        | {"llm.token_count.prompt": 10, "llm.token_count.completion": 5},
        (10, 5, None, None, None),
    ),
    "anthropic's own span": (
        "com.anthropic.sdk.python",
        gen(input_tokens=400, output_tokens=60, cache_read__input_tokens=100, reasoning__output_tokens=20)
        | {"anthropic.message.count_tokens.input_tokens": 9999},
        (400, 60, 100, None, 20),
    ),
    "pydantic-ai": (
        "pydantic-ai",
        gen(input_tokens=260, output_tokens=22, details__cache_read_tokens=128, details__reasoning_tokens=4)
        | {"gen_ai.aggregated_usage.input_tokens": 780},
        (260, 22, 128, None, 4),
    ),
    "strands under both names": (
        "strands.telemetry.tracer",
        gen(
            prompt_tokens=320,
            input_tokens=320,
            completion_tokens=30,
            output_tokens=30,
            total_tokens=350,
            cache_write_input_tokens=0,
        ),
        (320, 30, None, 0, None),
    ),
    "only a total": ("x", gen(total_tokens=77), (77, 0, None, None, None)),
    "total and completion": ("x", gen(total_tokens=77, output_tokens=7), (70, 7, None, None, None)),
    "digit strings": ("x", gen(input_tokens="12", output_tokens="3"), (12, 3, None, None, None)),
    "embeddings": (
        OI,
        {"llm.token_count.prompt": 66, "openinference.span.kind": "EMBEDDING"},
        (66, 0, None, None, None),
    ),
}


@pytest.mark.parametrize("name", EMITTERS)
def test_each_emitter_is_read(name: str) -> None:
    scope, attributes, expected = EMITTERS[name]
    fact = fact_of(attributes, scope)
    assert fact is not None
    assert (fact.prompt, fact.completion, fact.cache_read, fact.cache_write, fact.reasoning) == expected
    assert (fact.role, fact.metered) == (LLM, True)
    assert might_be_genai(attributes)
    assert UsageFact.from_dict(json.loads(json.dumps(fact.to_dict()))) == fact


BAD: list[Any] = [True, False, -1, -1.0, float("nan"), float("inf"), 1.5, 10**30, 2**53 + 1, 1j, None]
BAD += ["", "-1", "1e3", "\u00b2", "x" * 10_000, "9" * 17, b"5", [], [5], {}, object()]

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.lists(st.integers()),
    st.binary(),
)
NAMES = st.sampled_from([*sorted(MARKERS), "operation.cost", "output.value", "gen_ai.response.id"])


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_a_bad_value_is_no_value(bad: Any) -> None:
    assert fact_of(gen(input_tokens=bad, output_tokens=bad, total_tokens=bad)) is None
    fact = fact_of(gen(input_tokens=bad, prompt_tokens=7, output_tokens=bad, cache_read__input_tokens=bad))
    assert fact is not None
    assert (fact.prompt, fact.completion, fact.cache_read) == (7, 0, None)


@given(st.dictionaries(NAMES, VALUES))
def test_no_attributes_raise_or_give_impossible_numbers(attributes: dict[str, Any]) -> None:
    fact = fact_of(attributes)
    if fact is not None:
        assert fact.prompt is None or fact.prompt >= 0
        assert fact.completion is None or fact.completion >= 0
        assert UsageFact.from_dict(json.loads(json.dumps(fact.to_dict()))) == fact
        assert might_be_genai(attributes)


def test_five_thousand_attributes_are_harmless() -> None:
    attributes: dict[str, Any] = {f"gen_ai.usage.details.token_{n}": n for n in range(5000)}
    assert not might_be_genai(attributes)
    assert fact_of(attributes) is None
    fact = fact_of(MappingProxyType(attributes | gen(input_tokens=3)))
    assert fact is not None
    assert fact.total == 3


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.operation.name": "invoke_agent"},
        {"gen_ai.operation.name": "execute_task"},
        {"openinference.span.kind": "CHAIN"},
        {"openinference.span.kind": "AGENT"},
        {"traceloop.span.kind": "workflow"},
        {"openinference.span.kind": "LLM", "gen_ai.operation.name": "invoke_workflow"},
    ],
)
def test_agents_chains_and_tools_are_aggregates(attributes: dict[str, Any]) -> None:
    fact = fact_of(attributes | gen(input_tokens=780))
    assert fact is not None
    assert fact.role == AGGREGATE
    assert fact_of(attributes) is None


@pytest.mark.parametrize(
    "operation", ["chat", "acompletion", "embedding", "something_new", None, ["chat"], 5]
)
def test_all_else_with_usage_is_a_call(operation: Any) -> None:
    fact = fact_of({"gen_ai.operation.name": operation} | gen(input_tokens=5))
    assert fact is not None
    assert fact.role == LLM


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.operation.name": "chat"},
        {"llm.request.type": "chat"},
        {"openinference.span.kind": "LLM"},
        {"openinference.span.kind": "EMBEDDING"},
        {"gen_ai.operation.name": "chat"} | gen(input_tokens=0, output_tokens=0, total_tokens=0),
    ],
)
def test_a_call_without_usage_is_not_metered(attributes: dict[str, Any]) -> None:
    fact = fact_of(attributes)
    assert fact is not None
    assert (fact.metered, fact.prompt, fact.has_usage) == (False, None, False)
    assert UsageFact.from_dict(fact.to_dict()) == fact


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        None,
        {"http.method": "GET"},
        {"gen_ai.operation.name": "execute_event_loop_cycle", "gen_ai.system": "strands-agents"},
        {"gen_ai.aggregated_usage.input_tokens": 10, "gen_ai.operation.name": "invoke_agent"},
        {"anthropic.message.count_tokens.input_tokens": 10},
        {"gen_ai.request.max_tokens": 100},
        {"operation.cost": 0.5},
    ],
)
def test_what_is_no_call_gives_nothing(attributes: Any) -> None:
    assert fact_of(attributes) is None


def test_a_failed_call_without_usage_is_not_a_call() -> None:
    assert fact_of({"gen_ai.operation.name": "chat", "error.type": "RateLimitError"}) is None
    assert fact_of({"gen_ai.operation.name": "chat"}, failed=True) is None
    billed = fact_of({"gen_ai.operation.name": "chat"} | gen(input_tokens=5), failed=True)
    assert billed is not None


@pytest.mark.parametrize(
    ("value", "cost"),
    [
        (0.00183, "0.00183"),
        (2.2499999999999998e-05, "0.0000225"),
        (1.32e-06, "0.00000132"),
        ("0.25", "0.25"),
        (3, "3"),
        (0.0, None),
        (-1.0, None),
        (float("nan"), None),
        (True, None),
        (10**30, None),
        ("1e999999999", None),
        ("x", None),
    ],
)
def test_a_reported_cost_is_read_exactly(value: Any, cost: str | None) -> None:
    fact = fact_of(gen(input_tokens=5) | {"llm.cost.total": value})
    assert fact is not None
    assert fact.cost == (None if cost is None else Decimal(cost))


def test_names_are_read_and_bounded() -> None:
    fact = fact_of(
        gen(input_tokens=5)
        | {
            "gen_ai.system": "openai",
            "gen_ai.request.model": "deployment-1",
            "gen_ai.response.model": "gpt-4o-2024-08-06",
            "gen_ai.response.id": "x" * 5000,
        }
    )
    assert fact is not None
    assert (fact.provider, fact.model, fact.request_model) == ("openai", "gpt-4o-2024-08-06", "deployment-1")
    assert fact.response_id == "x" * 200


LONG = "0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (json.dumps({"id": f"chatcmpl-{LONG}", "choices": []}), f"chatcmpl-{LONG}"),
        (json.dumps({"a": {"response_metadata": {"id": f"msg_{LONG}"}}}), f"msg_{LONG}"),
        (json.dumps({"a": [{"id": f"resp_{LONG}", "content": [{"id": f"msg_{LONG}"}]}]}), f"resp_{LONG}"),
        (json.dumps({"a": [{"id": f"msg_{LONG}"}, {"id": f"msg_{LONG}1"}]}), None),
        (json.dumps({"text": f'"id": "chatcmpl-{LONG}"'}), None),
        (f"see chatcmpl-{LONG}", None),
        ("[]", None),
        ("{" * 100_000, None),
        ("", None),
    ],
)
def test_the_response_id_is_found_in_an_openinference_output(output: str, expected: str | None) -> None:
    assert id_in_output(output) == expected


@given(st.text())
def test_any_output_is_harmless(output: str) -> None:
    assert id_in_output(output) is None or isinstance(id_in_output(output), str)


@given(st.dictionaries(st.text(max_size=3), st.one_of(st.none(), st.booleans(), st.integers(), st.text())))
def test_a_damaged_fact_can_be_read_back(data: dict[str, Any]) -> None:
    fact = UsageFact.from_dict(data)
    assert UsageFact.from_dict(fact.to_dict()) == fact


def test_no_message_content_is_kept() -> None:
    secret = "the patient's name is"
    attributes = gen(input_tokens=5) | {
        "gen_ai.input.messages": secret,
        "output.value": json.dumps({"id": "x", "text": secret}),
        "llm.prompts.0.content": secret,
    }
    fact = fact_of(attributes)
    assert fact is not None
    assert secret not in json.dumps(fact.to_dict())
