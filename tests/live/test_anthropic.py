"""The Anthropic client: messages, streams, tools, refusals and retries."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import jobspan
from tests.conftest import Fresh
from tests.live.server import Provider
from tests.live.watching import WATCHERS, check, in_run, watched


@pytest.mark.parametrize("watcher", WATCHERS)
def test_anthropic(fresh: Fresh, server: Provider, watcher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK has a span of its own for each call, where a global provider is set."""
    anthropic = pytest.importorskip("anthropic")
    ask: dict[str, Any] = {
        "model": "claude-3-5-haiku-latest",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "hi"}],
    }

    def work() -> None:
        assert client.messages.create(**ask).content[0].text == "hello"
        with client.messages.stream(**ask) as stream:
            assert "".join(stream.text_stream) == "hello"
        assert len(list(client.messages.create(**ask, stream=True))) == 6

    with watched(watcher, "anthropic") as (spans, by_us):
        monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", spans)
        client = anthropic.Anthropic(base_url=server.url, api_key="k")
        if by_us:
            jobspan.instrument(client)
        in_run(fresh, spans, work)
    check(fresh, server)


@pytest.mark.parametrize("watcher", WATCHERS)
def test_anthropic_tools_errors_and_retries(fresh: Fresh, server: Provider, watcher: str) -> None:
    anthropic = pytest.importorskip("anthropic")
    tool = {"name": "look", "input_schema": {"type": "object", "properties": {}}}
    messages: list[Any] = [{"role": "user", "content": "hi"}]
    ask: dict[str, Any] = {"model": "claude-3-5-haiku-latest", "max_tokens": 50, "tools": [tool]}

    def work() -> None:
        server.refuse_next = 1
        answer = client.messages.create(messages=messages, **ask)
        assert answer.stop_reason == "tool_use"
        result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "seen"}
        turns = [{"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
        assert client.messages.create(messages=messages + turns, **ask).content[0].text == "hello"
        server.refuse_next = 1
        with pytest.raises(anthropic.InternalServerError):
            client.with_options(max_retries=0).messages.create(messages=messages, **ask)

    with watched(watcher, "anthropic") as (spans, by_us):
        client = anthropic.Anthropic(base_url=server.url, api_key="k", max_retries=2)
        if by_us:
            jobspan.instrument(client)
        in_run(fresh, spans, work)
    check(fresh, server)


OVER = pytest.mark.xfail(
    reason="OpenLLMetry adds a stream's first count of output tokens to its last one, which has them all"
)


@pytest.mark.parametrize(
    "watcher", [pytest.param(name, marks=OVER if name == "openllmetry" else ()) for name in WATCHERS]
)
@pytest.mark.parametrize("is_async", [False, True])
def test_a_stream_without_a_global_provider(
    fresh: Fresh, server: Provider, watcher: str, is_async: bool
) -> None:
    """The SDK's own span needs a global provider; without one OpenLLMetry alone is wrong, unseen."""
    anthropic = pytest.importorskip("anthropic")
    messages: list[Any] = [{"role": "user", "content": "hi"}]
    ask: dict[str, Any] = {"model": "claude-3-5-haiku-latest", "max_tokens": 50, "messages": messages}

    async def later() -> None:
        client = anthropic.AsyncAnthropic(base_url=server.url, api_key="k")
        if by_us:
            jobspan.instrument(client)
        stream = await client.messages.create(stream=True, **ask)
        assert len([event async for event in stream]) == 6

    def now() -> None:
        client = anthropic.Anthropic(base_url=server.url, api_key="k")
        if by_us:
            jobspan.instrument(client)
        assert len(list(client.messages.create(stream=True, **ask))) == 6

    with watched(watcher, "anthropic") as (spans, by_us):
        in_run(fresh, spans, lambda: asyncio.run(later()) if is_async else now())
    check(fresh, server)
