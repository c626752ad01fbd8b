"""The real response classes of provider SDKs, where they are installed, read as their plain forms do."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from jobspan.model.usage.response import Reading, read_response
from jobspan.model.usage.stream import StreamReading

CHAT: dict[str, Any] = {
    "id": "chatcmpl-ffb6610c86318693f5711e64483f6",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": {
        "prompt_tokens": 1000,
        "completion_tokens": 200,
        "total_tokens": 1200,
        "prompt_tokens_details": {"cached_tokens": 600},
        "completion_tokens_details": {"reasoning_tokens": 120},
    },
}
RESPONSE: dict[str, Any] = {
    "id": "resp_fdcff7cd85b0818a0fc8805ff544e5546e84a79e6e41003c",
    "object": "response",
    "created_at": 1,
    "model": "o4-mini",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 500,
        "input_tokens_details": {"cached_tokens": 256},
        "output_tokens": 300,
        "output_tokens_details": {"reasoning_tokens": 192},
        "total_tokens": 800,
    },
}
MESSAGE: dict[str, Any] = {
    "id": "msg_010deaf7a9d2f0b1c2d3e4f5",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "usage": {
        "input_tokens": 100,
        "output_tokens": 50,
        "cache_read_input_tokens": 700,
        "cache_creation_input_tokens": 200,
    },
}


def numbers(reading: Reading | None) -> tuple[int | None, int | None, int | None, int | None]:
    assert reading is not None
    return reading.prompt, reading.completion, reading.cache_read, reading.reasoning


def test_openai_chat_completion() -> None:
    openai = pytest.importorskip("openai")
    reading = read_response(openai.types.chat.ChatCompletion.model_validate(CHAT))
    assert numbers(reading) == (1000, 200, 600, 120)
    assert reading is not None
    assert (reading.provider, reading.model, reading.response_id) == ("openai", CHAT["model"], CHAT["id"])


def test_openai_embeddings_response_and_event() -> None:
    openai = pytest.importorskip("openai")
    embeddings = openai.types.CreateEmbeddingResponse.model_validate(
        {
            "object": "list",
            "model": "text-embedding-3-small",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.1]}],
            "usage": {"prompt_tokens": 77, "total_tokens": 77},
        }
    )
    assert numbers(read_response(embeddings)) == (77, 0, None, None)
    response = openai.types.responses.Response.model_construct(**RESPONSE)
    response.usage = openai.types.responses.ResponseUsage.model_construct(**RESPONSE["usage"])
    assert numbers(read_response(response)) == (500, 300, 256, 192)
    event = openai.types.responses.ResponseCompletedEvent.model_construct(
        type="response.completed", response=response, sequence_number=1
    )
    reading = read_response(event)
    assert numbers(reading) == (500, 300, 256, 192)
    assert reading is not None
    assert reading.response_id == RESPONSE["id"]


def test_openai_chat_stream() -> None:
    openai = pytest.importorskip("openai")
    chunk = openai.types.chat.ChatCompletionChunk
    common = {"id": CHAT["id"], "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
    stream = StreamReading()
    delta = {"index": 0, "delta": {"content": "x"}, "finish_reason": None}
    stream.feed(chunk.model_validate({**common, "choices": [delta]}))
    assert stream.reading().metered is False
    stream.feed(chunk.model_validate({**common, "choices": [], "usage": CHAT["usage"]}))
    reading = stream.reading(ended=False)
    assert numbers(reading) == (1000, 200, 600, 120)
    assert reading.metered
    assert reading.response_id == CHAT["id"]


def test_anthropic_message_and_stream() -> None:
    anthropic = pytest.importorskip("anthropic")
    message = anthropic.types.Message.model_validate(MESSAGE)
    reading = read_response(message)
    assert numbers(reading) == (1000, 50, 700, None)
    assert reading is not None
    assert (reading.provider, reading.response_id, reading.cache_write) == ("anthropic", MESSAGE["id"], 200)
    start = {
        **MESSAGE,
        "stop_reason": None,
        "usage": {"input_tokens": 300, "output_tokens": 8, "cache_read_input_tokens": 100},
    }
    stream = StreamReading()
    stream.feed(
        anthropic.types.RawMessageStartEvent.model_validate({"type": "message_start", "message": start})
    )
    partly = stream.reading(ended=False)
    assert (partly.prompt, partly.completion, partly.metered) == (400, 8, False)
    stream.feed(
        anthropic.types.RawMessageDeltaEvent.model_validate(
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": 60},
            }
        )
    )
    stream.feed(anthropic.types.RawMessageStopEvent.model_validate({"type": "message_stop"}))
    whole = stream.reading(ended=False)
    assert (whole.prompt, whole.completion, whole.metered, whole.response_id) == (
        400,
        60,
        True,
        MESSAGE["id"],
    )


def test_google_generate_content() -> None:
    types = pytest.importorskip("google.genai.types")
    usage = {
        "promptTokenCount": 800,
        "candidatesTokenCount": 50,
        "thoughtsTokenCount": 100,
        "cachedContentTokenCount": 300,
        "totalTokenCount": 950,
    }
    response = types.GenerateContentResponse.model_validate(
        {
            "responseId": "785b7fe17f1459",
            "modelVersion": "gemini-2.5-flash",
            "candidates": [],
            "usageMetadata": usage,
        }
    )
    reading = read_response(response)
    assert numbers(reading) == (800, 150, 300, 100)
    assert reading is not None
    assert (reading.provider, reading.model) == ("google", "gemini-2.5-flash")
    stream = StreamReading()
    for candidates in (10, 20, 40):
        stream.feed(
            types.GenerateContentResponse.model_validate(
                {
                    "usageMetadata": {
                        "promptTokenCount": 810,
                        "candidatesTokenCount": candidates,
                        "thoughtsTokenCount": 15,
                    }
                }
            )
        )
    assert numbers(stream.reading()) == (810, 55, None, 15)


def test_cohere_chat() -> None:
    cohere = pytest.importorskip("cohere")
    usage = cohere.Usage(
        billed_units=cohere.UsageBilledUnits(input_tokens=40.0, output_tokens=12.0),
        tokens=cohere.UsageTokens(input_tokens=500.0, output_tokens=14.0),
    )
    response = cohere.V2ChatResponse.construct(id="c14c80c3-18eb-4519-9460-6c92edd8cfb4", usage=usage)
    reading = read_response(response)
    assert numbers(reading) == (40, 12, None, None)
    assert reading is not None
    assert reading.provider == "cohere"


def test_mistral_chat_and_stream_event() -> None:
    models = pytest.importorskip("mistralai.client.models")
    usage = {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150}
    response = models.ChatCompletionResponse.model_validate(
        {
            "id": "cmpl-0123456789abcdef01234567",
            "object": "chat.completion",
            "created": 1,
            "model": "mistral-small-latest",
            "choices": [],
            "usage": usage,
        }
    )
    reading = read_response(response)
    assert numbers(reading) == (120, 30, None, None)
    assert reading is not None
    assert reading.provider == "mistral"
    event = models.CompletionEvent.model_validate(
        {"data": {"id": "cmpl-1", "model": "mistral-small-latest", "choices": [], "usage": usage}}
    )
    stream = StreamReading()
    stream.feed(event)
    assert numbers(stream.reading(ended=False)) == (120, 30, None, None)
    assert stream.reading(ended=False).metered


def test_langchain_messages_and_results() -> None:
    messages = pytest.importorskip("langchain_core.messages")
    outputs = pytest.importorskip("langchain_core.outputs")
    usage = {
        "input_tokens": 900,
        "output_tokens": 80,
        "total_tokens": 980,
        "input_token_details": {"cache_read": 300, "cache_creation": 100},
    }
    message = messages.AIMessage(
        content="hi",
        id="run--1",
        usage_metadata=usage,
        response_metadata={"model_name": "claude-x", "id": MESSAGE["id"]},
    )
    reading = read_response(message)
    assert numbers(reading) == (900, 80, 300, None)
    assert reading is not None
    assert (reading.model, reading.response_id) == ("claude-x", MESSAGE["id"])
    one = outputs.ChatGeneration(message=message)
    assert numbers(read_response(outputs.LLMResult(generations=[[one]]))) == (900, 80, 300, None)
    told = outputs.LLMResult(
        generations=[[one]], llm_output={"token_usage": CHAT["usage"], "model_name": "gpt-4o"}
    )
    assert numbers(read_response(told)) == (1000, 200, 600, 120)
    several = read_response(outputs.LLMResult(generations=[[one], [one]]))
    assert several is not None
    assert (several.total, several.requests, several.aggregate) == (1960, 2, True)
    stream = StreamReading()
    for given in ((400, 0), (0, 60)):
        stream.feed(
            messages.AIMessageChunk(
                content="x",
                id="lc_run--1",
                usage_metadata={
                    "input_tokens": given[0],
                    "output_tokens": given[1],
                    "total_tokens": sum(given),
                },
            )
        )
    assert numbers(stream.reading()) == (400, 60, None, None)
    assert stream.reading().response_id is None


def test_pydantic_ai_usages() -> None:
    usage = pytest.importorskip("pydantic_ai.usage")
    run = usage.RunUsage(requests=3, input_tokens=780, output_tokens=72, cache_read_tokens=384)
    reading = read_response(run)
    assert numbers(reading) == (780, 72, 384, None)
    assert reading is not None
    assert reading.aggregate
    single = read_response(usage.RequestUsage(input_tokens=200, output_tokens=20))
    assert single is not None
    assert (single.total, single.aggregate) == (220, False)
    assert read_response(usage.RunUsage()) is None


def test_pydantic_ai_agent_result() -> None:
    pydantic_ai = pytest.importorskip("pydantic_ai")
    testing = pytest.importorskip("pydantic_ai.models.test")
    result = pydantic_ai.Agent(testing.TestModel()).run_sync("hello")
    reading = read_response(result)
    assert reading is not None
    assert reading.metered
    assert reading.total > 0


def test_openai_agents_usage() -> None:
    usage_module = pytest.importorskip("agents.usage")

    @dataclasses.dataclass
    class Context:
        usage: Any

    @dataclasses.dataclass
    class Result:
        context_wrapper: Context

    usage = usage_module.Usage(requests=2, input_tokens=520, output_tokens=50, total_tokens=570)
    reading = read_response(Result(Context(usage)))
    assert reading is not None
    assert (reading.prompt, reading.completion, reading.aggregate, reading.requests) == (520, 50, True, 2)


def test_litellm_response() -> None:
    litellm = pytest.importorskip("litellm")
    response = litellm.ModelResponse(**{**CHAT, "usage": litellm.Usage(**CHAT["usage"])})
    response._hidden_params = {"response_cost": 0.0045, "custom_llm_provider": "openai"}
    reading = read_response(response)
    assert numbers(reading) == (1000, 200, 600, 120)
    assert reading is not None
    assert str(reading.cost) == "0.0045"
