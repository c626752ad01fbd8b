"""LiteLLM, whose calls our callback books: chat, streams, tools, embeddings, refusals and retries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

import jobspan
from tests.conftest import Fresh
from tests.live.server import Provider
from tests.live.watching import check, in_run, watched

WATCHERS = ["instrument", "openllmetry", "openinference", "both"]
"""OpenLLMetry has nothing for LiteLLM but what it has for OpenAI's client, through which LiteLLM calls."""
TOLD = {"include_usage": True}
MESSAGES: list[Any] = [{"role": "user", "content": "hi"}]


@pytest.fixture
def litellm() -> Any:
    library = pytest.importorskip("litellm")
    jobspan.job  # noqa: B018 # the first name of jobspan has the callback registered
    return library


def told(fresh: Fresh, spans: TracerProvider, work: Callable[[], Any]) -> None:
    """Let LiteLLM's own thread, which tells of a call behind it, come to its end."""

    def whole() -> None:
        work()
        time.sleep(1.0)

    in_run(fresh, spans, whole)


def text_of(stream: Any) -> str:
    return "".join(part.choices[0].delta.content or "" for part in stream if part.choices)


@pytest.mark.parametrize("watcher", WATCHERS)
@pytest.mark.parametrize("model", ["openai/gpt-4o-mini", "anthropic/claude-3-5-haiku-latest"])
def test_chat_and_streams(fresh: Fresh, server: Provider, litellm: Any, watcher: str, model: str) -> None:
    base = server.url if model.startswith("openai") else f"{server.url}/v1/messages"
    ask: dict[str, Any] = {"model": model, "messages": MESSAGES, "api_base": base, "api_key": "k"}

    async def later() -> None:
        await litellm.acompletion(**ask)
        stream = await litellm.acompletion(stream=True, stream_options=TOLD, **ask)
        assert text_of([part async for part in stream]) == "hello"
        await asyncio.sleep(0.5)

    def work() -> None:
        assert litellm.completion(**ask).choices[0].message.content == "hello"
        assert text_of(litellm.completion(stream=True, stream_options=TOLD, **ask)) == "hello"
        asyncio.run(later())

    with watched(watcher, "litellm", "openai", "anthropic") as (spans, _):
        told(fresh, spans, work)
    check(fresh, server)


@pytest.mark.parametrize("watcher", WATCHERS)
def test_tools_and_embeddings(fresh: Fresh, server: Provider, litellm: Any, watcher: str) -> None:
    where = {"api_base": server.url, "api_key": "k"}
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    ask: dict[str, Any] = {"model": "openai/gpt-4o-mini", "tools": [tool], **where}
    embed: dict[str, Any] = {"model": "openai/text-embedding-3-small", "input": ["hi"], **where}

    async def later() -> None:
        await litellm.aembedding(**embed)
        await asyncio.sleep(0.5)

    def work() -> None:
        answer = litellm.completion(messages=MESSAGES, **ask).choices[0].message
        assert answer.tool_calls
        turns = [answer.model_dump(), {"role": "tool", "tool_call_id": "call_1", "content": "seen"}]
        litellm.completion(messages=MESSAGES + turns, **ask)
        litellm.embedding(**embed)
        asyncio.run(later())

    with watched(watcher, "litellm", "openai") as (spans, _):
        told(fresh, spans, work)
    check(fresh, server)


@pytest.mark.parametrize("watcher", WATCHERS)
def test_refusals_and_retries(fresh: Fresh, server: Provider, litellm: Any, watcher: str) -> None:
    where = {"api_base": server.url, "api_key": "k"}
    ask: dict[str, Any] = {"model": "openai/gpt-4o-mini", "messages": MESSAGES, **where}

    async def later() -> None:
        server.refuse_next = 1
        await litellm.acompletion(num_retries=2, max_retries=0, **ask)
        server.refuse_next = 1
        with pytest.raises(litellm.exceptions.ServiceUnavailableError):
            await litellm.acompletion(max_retries=0, **ask)
        await asyncio.sleep(0.5)

    def work() -> None:
        server.refuse_next = 1
        litellm.completion(max_retries=2, **ask)
        server.refuse_next = 1
        litellm.completion(num_retries=2, max_retries=0, **ask)
        server.refuse_next = 1
        with pytest.raises(litellm.exceptions.ServiceUnavailableError):
            litellm.completion(max_retries=0, **ask)
        asyncio.run(later())

    with watched(watcher, "litellm", "openai") as (spans, _):
        told(fresh, spans, work)
    check(fresh, server)


def test_its_own_callback_for_opentelemetry(
    fresh: Fresh, server: Provider, litellm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes the last call onto the run's own span, with a status that hides a later failure."""
    otel = pytest.importorskip("litellm.integrations.opentelemetry")
    spans = TracerProvider()
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", spans)
    callback = otel.OpenTelemetry()
    monkeypatch.setattr(litellm, "callbacks", [*litellm.callbacks, callback])
    ask: dict[str, Any] = {
        "model": "openai/gpt-4o-mini",
        "messages": MESSAGES,
        "api_base": server.url,
        "api_key": "k",
    }

    def work() -> None:
        litellm.completion(**ask)
        litellm.completion(**ask)
        list(litellm.completion(stream=True, stream_options=TOLD, **ask))
        time.sleep(1.0)
        raise LookupError("behind the calls")

    with pytest.raises(LookupError):
        in_run(fresh, spans, work)
    check(fresh, server)
    assert fresh.client("Wilson").status == "Failed"
