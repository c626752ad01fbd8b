"""The OpenAI client: chat, Responses, embeddings, tools, streams, refusals and retries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

import jobspan
from tests.conftest import Fresh
from tests.live.server import Provider
from tests.live.watching import WATCHERS, check, in_run, watched


def openai_work(client: Any) -> None:
    messages = [{"role": "user", "content": "hi"}]
    ask = client.chat.completions.create
    assert ask(model="gpt-4o-mini", messages=messages).choices[0].message.content == "hello"
    told = {"include_usage": True}
    chunks = list(ask(model="gpt-4o-mini", messages=messages, stream=True, stream_options=told))
    assert chunks[0].choices[0].delta.content == "hel"
    assert client.responses.create(model="gpt-4o-mini", input="hi").output_text == "hello"
    for _ in client.responses.create(model="gpt-4o-mini", input="hi", stream=True):
        pass
    client.embeddings.create(model="text-embedding-3-small", input="hi")


def openai_tools(client: Any) -> None:
    tools = [
        {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    ]
    messages: list[Any] = [{"role": "user", "content": "hi"}]
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=tools)
    messages += [answer.choices[0].message, {"role": "tool", "tool_call_id": "call_1", "content": "seen"}]
    client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=tools)


@pytest.mark.parametrize("watcher", WATCHERS)
@pytest.mark.parametrize("work", [openai_work, openai_tools])
def test_openai(fresh: Fresh, server: Provider, watcher: str, work: Callable[[Any], None]) -> None:
    openai = pytest.importorskip("openai")
    with watched(watcher, "openai") as (spans, by_us):
        client = openai.OpenAI(base_url=server.url, api_key="k")
        if by_us:
            assert jobspan.instrument(client) is client
        in_run(fresh, spans, lambda: work(client))
    check(fresh, server)


@pytest.mark.parametrize("watcher", WATCHERS)
def test_openai_async(fresh: Fresh, server: Provider, watcher: str) -> None:
    openai = pytest.importorskip("openai")

    async def work() -> None:
        client = openai.AsyncOpenAI(base_url=server.url, api_key="k")
        if by_us:
            jobspan.instrument(client)
        ask = client.chat.completions.create
        messages = [{"role": "user", "content": "hi"}]
        await asyncio.gather(*(ask(model="gpt-4o-mini", messages=messages) for _ in range(5)))
        told = {"include_usage": True}
        stream = await ask(model="gpt-4o-mini", messages=messages, stream=True, stream_options=told)
        assert len([chunk async for chunk in stream]) == 4
        await client.embeddings.create(model="text-embedding-3-small", input="hi")

    with watched(watcher, "openai") as (spans, by_us):
        in_run(fresh, spans, lambda: asyncio.run(work()))
    check(fresh, server)


@pytest.mark.parametrize("watcher", WATCHERS)
def test_a_stream_without_usage_is_unmetered(fresh: Fresh, server: Provider, watcher: str) -> None:
    openai = pytest.importorskip("openai")

    def work() -> None:
        ask = client.chat.completions.create
        messages = [{"role": "user", "content": "hi"}]
        list(ask(model="gpt-4o-mini", messages=messages, stream=True))

    with watched(watcher, "openai") as (spans, by_us):
        client = openai.OpenAI(base_url=server.url, api_key="k")
        if by_us:
            jobspan.instrument(client)
        in_run(fresh, spans, work)
    run = fresh.client("Wilson")
    assert run.prompt_tokens is None
    assert "1 call reported no usage" in run.system_notes


@pytest.mark.parametrize("watcher", WATCHERS)
def test_refused_calls_and_retries_are_not_billed(fresh: Fresh, server: Provider, watcher: str) -> None:
    openai = pytest.importorskip("openai")

    def work() -> None:
        messages = [{"role": "user", "content": "hi"}]
        server.refuse_next = 1
        client.chat.completions.create(model="gpt-4o-mini", messages=messages)
        server.refuse_next = 1
        with pytest.raises(openai.InternalServerError):
            client.with_options(max_retries=0).chat.completions.create(model="gpt-4o-mini", messages=messages)

    with watched(watcher, "openai") as (spans, by_us):
        client = openai.OpenAI(base_url=server.url, api_key="k", max_retries=2)
        if by_us:
            jobspan.instrument(client)
        in_run(fresh, spans, work)
    check(fresh, server, calls=1)


def test_raw_and_streaming_responses_stay_what_they_are(fresh: Fresh, server: Provider) -> None:
    openai = pytest.importorskip("openai")
    client = jobspan.instrument(openai.OpenAI(base_url=server.url, api_key="k"))
    ask: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}

    def work() -> None:
        raw = client.chat.completions.with_raw_response.create(**ask)
        assert raw.http_response.status_code == 200
        assert raw.parse().choices[0].message.content == "hello"
        with client.chat.completions.with_streaming_response.create(**ask) as answer:
            assert answer.parse().choices[0].message.content == "hello"
        told = {"include_usage": True}
        raw = client.chat.completions.with_raw_response.create(**ask, stream=True, stream_options=told)
        stream = raw.parse()
        assert type(stream) is openai.Stream
        assert len(list(stream)) == 4
        with client.chat.completions.with_streaming_response.create(**ask) as answer:
            assert '"hello"' in "".join(answer.iter_lines())

    in_run(fresh, TracerProvider(), work)
    check(fresh, server)


def test_a_client_can_be_undone(fresh: Fresh, server: Provider) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=server.url, api_key="k")
    before = dict(vars(client))
    jobspan.uninstrument(jobspan.instrument(jobspan.instrument(client)))
    assert vars(client) == before
    in_run(fresh, TracerProvider(), lambda: openai_tools(client))
    assert '"e":"usage"' not in fresh.journal()
