"""Every response shape is read by its fields alone."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from jobspan.model.usage.fact import AGGREGATE
from jobspan.model.usage.response import read_response
from jobspan.model.usage.stream import StreamReading

OPENAI = {
    "prompt_tokens": 1000,
    "completion_tokens": 200,
    "total_tokens": 1200,
    "prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 120},
}
ANTHROPIC = {
    "input_tokens": 100,
    "output_tokens": 50,
    "cache_read_input_tokens": 700,
    "cache_creation_input_tokens": 200,
}
BEDROCK = {"inputTokens": 500, "outputTokens": 80, "cacheReadInputTokens": 300, "cacheWriteInputTokens": 100}
GEMINI = {
    "prompt_token_count": 800,
    "tool_use_prompt_token_count": 20,
    "candidates_token_count": 50,
    "thoughts_token_count": 100,
    "cached_content_token_count": 300,
}
GEMINI_REST = {"promptTokenCount": 800, "candidatesTokenCount": 50, "thoughtsTokenCount": 100}
COHERE = {"billed_units": {"input_tokens": 40.0, "output_tokens": 12.0}, "tokens": {"input_tokens": 500.0}}
RESPONSES = {
    "input_tokens": 500,
    "output_tokens": 300,
    "total_tokens": 800,
    "input_tokens_details": {"cached_tokens": 256},
    "output_tokens_details": {"reasoning_tokens": 192},
}
LANGCHAIN = {
    "input_tokens": 900,
    "output_tokens": 80,
    "total_tokens": 980,
    "input_token_details": {"cache_read": 300},
    "output_token_details": {"reasoning": 30},
}
LANGCHAIN_EXCLUSIVE = {**LANGCHAIN, "input_tokens": 600, "total_tokens": 980}
RUN_USAGE = {"requests": 3, "input_tokens": 780, "output_tokens": 72, "cache_read_tokens": 384}
AGENTS_USAGE = {**RESPONSES, "requests": 2}

SHAPES: list[tuple[dict[str, Any], tuple[int, int, int | None, int | None]]] = [
    ({"usage": OPENAI}, (1000, 200, 600, 120)),
    ({"usage": {"prompt_tokens": 77, "total_tokens": 77}}, (77, 0, None, None)),
    ({"usage": ANTHROPIC}, (1000, 50, 700, None)),
    ({"usage": BEDROCK, "ResponseMetadata": {"RequestId": "r"}}, (900, 80, 300, None)),
    ({"metadata": {"usage": BEDROCK}}, (900, 80, 300, None)),
    ({"usage_metadata": GEMINI}, (820, 150, 300, 100)),
    ({"usageMetadata": GEMINI_REST}, (800, 150, None, 100)),
    ({"usage": COHERE}, (40, 12, None, None)),
    ({"meta": COHERE}, (40, 12, None, None)),
    ({"type": "message-end", "delta": {"usage": COHERE}}, (40, 12, None, None)),
    ({"usage": RESPONSES}, (500, 300, 256, 192)),
    ({"type": "response.completed", "response": {"usage": RESPONSES}}, (500, 300, 256, 192)),
    ({"data": {"usage": OPENAI}}, (1000, 200, 600, 120)),
    ({"usage_metadata": LANGCHAIN}, (900, 80, 300, 30)),
    ({"usage_metadata": LANGCHAIN_EXCLUSIVE}, (900, 80, 300, 30)),
    ({"usage_metadata": {"input_tokens": 7, "output_tokens": 3}}, (7, 3, None, None)),
    ({"llm_output": {"token_usage": OPENAI}}, (1000, 200, 600, 120)),
    ({"context_wrapper": {"usage": AGENTS_USAGE}}, (500, 300, 256, 192)),
    (RUN_USAGE, (780, 72, 384, None)),
    (OPENAI, (1000, 200, 600, 120)),
]


def as_objects(value: Any) -> Any:
    if isinstance(value, dict):
        return SimpleNamespace(**{name: as_objects(inner) for name, inner in value.items()})
    return [as_objects(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("response", "expected"), SHAPES)
@pytest.mark.parametrize("form", [dict, as_objects])
def test_each_shape_is_read_as_a_dict_and_as_an_object(
    response: dict[str, Any], expected: Any, form: Any
) -> None:
    reading = read_response(form(response))
    assert reading is not None
    assert (reading.prompt, reading.completion, reading.cache_read, reading.reasoning) == expected
    assert reading.metered


@pytest.mark.parametrize(
    ("response", "aggregate", "requests"),
    [
        (RUN_USAGE, True, 3),
        ({"usage": RUN_USAGE}, True, 3),
        ({**RUN_USAGE, "requests": 1}, False, 1),
        ({"context_wrapper": {"usage": AGENTS_USAGE}}, True, 2),
        ({"usage": OPENAI}, False, 1),
    ],
)
def test_a_sum_over_several_requests_is_an_aggregate(
    response: dict[str, Any], aggregate: bool, requests: int
) -> None:
    reading = read_response(as_objects(response))
    assert reading is not None
    assert (reading.aggregate, reading.requests) == (aggregate, requests)
    fact = reading.to_fact(trace_id="t", span_id="s", parent_span_id=None, at_ns=5)
    assert (fact.role == AGGREGATE) is aggregate
    assert fact.manual


def test_usage_may_be_a_method() -> None:
    class Result:
        def usage(self) -> Any:
            return as_objects(RUN_USAGE)

    reading = read_response(Result())
    assert reading is not None
    assert reading.total == 852


def test_an_async_method_named_usage_is_never_called() -> None:
    class Result:
        async def usage(self) -> Any:
            raise AssertionError

    reading = read_response(Result())
    assert reading is not None
    assert not reading.metered


def test_properties_that_raise_are_absent() -> None:
    class Broken:
        model = "gpt-4o"

        @property
        def usage(self) -> Any:
            raise RuntimeError("no")

        @property
        def id(self) -> str:
            raise ValueError("no")

    reading = read_response(Broken())
    assert reading is not None
    assert (reading.metered, reading.model, reading.response_id) == (False, "gpt-4o", None)


@pytest.mark.parametrize(
    "response",
    [
        {"id": "chatcmpl-1", "choices": [], "usage": None},
        {"usage": {"prompt_tokens": 0, "completion_tokens": 0}},
        {"usage": {"prompt_tokens": True, "completion_tokens": -3}},
        {"usage": {"prompt_tokens": 10**30}},
        {"usage": {"input_tokens": float("nan")}},
        {"type": "duration", "usage": {"type": "duration", "seconds": 12}},
        {},
        object(),
        MagicMock(),
        [1, 2],
    ],
)
def test_a_response_without_usage_is_not_metered(response: Any) -> None:
    reading = read_response(response)
    assert reading is not None
    assert (reading.metered, reading.prompt, reading.completion) == (False, None, None)


@pytest.mark.parametrize("thing", [None, "text", 5, 1.5, b"x", True, Decimal(1)])
def test_what_is_no_response_gives_nothing(thing: Any) -> None:
    assert read_response(thing) is None


APIFY = {
    "id": "HG7ML7M8z78YcAPEB",
    "actId": "a",
    "status": "SUCCEEDED",
    "usage": {"ACTOR_COMPUTE_UNITS": 0.1, "DATASET_READS": 4},
    "usageTotalUsd": 0.2,
}


@pytest.mark.parametrize("form", [dict, as_objects])
def test_an_apify_run_is_no_usage_of_a_model(form: Any) -> None:
    assert read_response(form(APIFY)) is None
    assert read_response(form({**APIFY, "usage": None})) is None
    assert read_response(form({"id": "x", "usage": {"actor_compute_units": 1}, "act_id": "a"})) is None


def test_an_agent_result_without_requests_is_nothing() -> None:
    assert read_response({"requests": 0, "input_tokens": 0, "output_tokens": 0}) is None


def test_names_are_read() -> None:
    reading = read_response({"id": "chatcmpl-0123456789abcdef", "model": "gpt-4o-mini", "usage": OPENAI})
    assert reading is not None
    assert reading.response_id == "chatcmpl-0123456789abcdef"
    assert (reading.provider, reading.model) == ("openai", "gpt-4o-mini")
    groq = read_response({"model": "llama-3.3-70b", "usage": OPENAI})
    assert groq is not None
    assert groq.provider is None


def test_reported_costs_are_read() -> None:
    hidden = {"usage": OPENAI, "_hidden_params": {"response_cost": 0.0045}}
    openrouter = {"usage": {**OPENAI, "cost": 0.00014}}
    perplexity = {"usage": {**OPENAI, "cost": {"total_cost": 0.006}}}
    costs = [reading.cost for r in (hidden, openrouter, perplexity) if (reading := read_response(r))]
    assert costs == [Decimal("0.0045"), Decimal("0.00014"), Decimal("0.006")]


def test_ids_that_frameworks_invent_are_none() -> None:
    for made_up in ("run-5f32b95f5a326dbe1706d11c", "lc_run--01a2095f-7447-739a-8c61-56981431233f"):
        reading = read_response({"id": made_up, "usage_metadata": LANGCHAIN})
        assert reading is not None
        assert reading.response_id is None


def streamed(*chunks: Any, ended: bool = True) -> Any:
    stream = StreamReading()
    for chunk in chunks:
        stream.feed(chunk)
    return stream.reading(ended=ended)


START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "model": "claude",
        "usage": {"input_tokens": 300, "cache_read_input_tokens": 100, "output_tokens": 8},
    },
}
DELTA = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 60}}


@pytest.mark.parametrize("form", [dict, as_objects])
def test_an_anthropic_stream_is_not_added_up(form: Any) -> None:
    middle = {"type": "content_block_delta", "delta": {"text": "x"}}
    reading = streamed(form(START), form(middle), form(DELTA), form({"type": "message_stop"}))
    assert (reading.prompt, reading.completion, reading.cache_read) == (400, 60, 100)
    assert (reading.response_id, reading.model, reading.metered) == ("msg_1", "claude", True)


def test_an_anthropic_delta_may_repeat_the_input() -> None:
    again = {**DELTA, "usage": {"input_tokens": 300, "cache_read_input_tokens": 100, "output_tokens": 60}}
    assert streamed(START, again).total == 460


def test_an_abandoned_stream_gives_what_was_seen_and_is_not_metered() -> None:
    reading = streamed(START, ended=False)
    assert (reading.prompt, reading.completion, reading.metered) == (400, 8, False)
    assert streamed(START, DELTA, ended=False).metered


def test_an_openai_stream_without_usage_is_not_metered() -> None:
    chunk = {
        "id": "chatcmpl-1",
        "model": "gpt-4o",
        "choices": [{"delta": {}, "finish_reason": None}],
        "usage": None,
    }
    reading = streamed(chunk, chunk)
    assert (reading.prompt, reading.metered, reading.model) == (None, False, "gpt-4o")


def test_the_last_gemini_chunk_holds() -> None:
    chunks = [{"usageMetadata": {**GEMINI_REST, "candidatesTokenCount": n}} for n in (5, 20, 50)]
    assert streamed(*chunks).total == 950


def test_langchain_chunks_add_up() -> None:
    parts = [{"usage_metadata": {"input_tokens": i, "output_tokens": o}} for i, o in ((400, 0), (0, 60))]
    assert streamed(*parts).total == 460


def test_bedrock_and_cohere_streams_end_with_their_usage() -> None:
    assert streamed({"contentBlockDelta": {}}, {"metadata": {"usage": BEDROCK}}, ended=False).metered
    end = {"type": "message-end", "id": "c1", "delta": {"usage": COHERE}}
    assert streamed({"type": "content-delta"}, end, ended=False).total == 52


def test_several_responses_in_one_stream_are_an_aggregate() -> None:
    events = [
        {"type": "response.completed", "response": {"id": f"resp_{n}", "usage": RESPONSES}} for n in (1, 2)
    ]
    reading = streamed(*events)
    assert (reading.total, reading.requests, reading.aggregate) == (1600, 2, True)


def test_hostile_chunks_are_harmless() -> None:
    reading = streamed(None, "x", 5, object(), MagicMock(), {"usage": {"input_tokens": "NaN"}}, [])
    assert not reading.metered
