"""LangChain over OpenAI and Anthropic: chains, streams, tools, embeddings, refusals."""

from __future__ import annotations

import asyncio
from importlib import import_module

import pytest

import jobspan
from tests.conftest import Fresh
from tests.live.server import Provider
from tests.live.watching import WATCHERS, check, in_run, watched


@pytest.mark.parametrize("watcher", WATCHERS)
def test_langchain(fresh: Fresh, server: Provider, watcher: str) -> None:
    langchain = pytest.importorskip("langchain_openai")

    def work() -> None:
        model.invoke("hi")
        for _ in model.stream("hi", stream_usage=True):
            pass
        model.batch(["a", "b"])

    with watched(watcher, "langchain", "openai") as (spans, by_us):
        model = langchain.ChatOpenAI(model="gpt-4o-mini", base_url=server.url, api_key="k")
        if by_us:
            jobspan.instrument(model.root_client)
        in_run(fresh, spans, work)
    check(fresh, server)


@pytest.mark.parametrize("watcher", WATCHERS)
def test_langchain_tools_and_embeddings(fresh: Fresh, server: Provider, watcher: str) -> None:
    langchain = pytest.importorskip("langchain_openai")
    messages = import_module("langchain_core.messages")

    def look() -> str:
        """Look."""
        return "seen"

    def work() -> None:
        bound = model.bind_tools([look])
        asked = messages.HumanMessage("hi")
        answer = bound.invoke([asked])
        assert answer.tool_calls[0]["name"] == "look"
        bound.invoke([asked, answer, messages.ToolMessage("seen", tool_call_id="call_1")])
        assert embeddings.embed_query("hi") == [0.1, 0.2]
        assert asyncio.run(embeddings.aembed_query("hi")) == [0.1, 0.2]

    with watched(watcher, "langchain", "openai") as (spans, by_us):
        model = langchain.ChatOpenAI(model="gpt-4o-mini", base_url=server.url, api_key="k")
        embeddings = langchain.OpenAIEmbeddings(
            base_url=server.url, api_key="k", check_embedding_ctx_length=False
        )
        if by_us:
            jobspan.instrument(model.root_client)
            jobspan.instrument(embeddings.client._client)
            jobspan.instrument(embeddings.async_client._client)
        in_run(fresh, spans, work)
    check(fresh, server)


@pytest.mark.parametrize("watcher", WATCHERS)
def test_refusals_and_retries(fresh: Fresh, server: Provider, watcher: str) -> None:
    langchain, openai = pytest.importorskip("langchain_openai"), import_module("openai")

    def work() -> None:
        server.refuse_next = 1
        model.invoke("hi")
        server.refuse_next = 1
        with pytest.raises(openai.InternalServerError):
            strict.invoke("hi")
        server.refuse_next = 1
        fallback.invoke("hi")

    with watched(watcher, "langchain", "openai") as (spans, by_us):
        where = {"model": "gpt-4o-mini", "base_url": server.url, "api_key": "k"}
        model = langchain.ChatOpenAI(max_retries=2, **where)
        strict = langchain.ChatOpenAI(max_retries=0, **where)
        fallback = strict.with_fallbacks([model])
        if by_us:
            jobspan.instrument(model.root_client)
            jobspan.instrument(strict.root_client)
        in_run(fresh, spans, work)
    check(fresh, server)


@pytest.mark.parametrize("watcher", WATCHERS)
def test_langchain_over_anthropic(
    fresh: Fresh, server: Provider, watcher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    langchain, anthropic = pytest.importorskip("langchain_anthropic"), import_module("anthropic")
    messages = import_module("langchain_core.messages")
    tool = {"name": "look", "input_schema": {"type": "object", "properties": {}}}

    def work() -> None:
        model.invoke("hi")
        assert "".join(part.text for part in model.stream("hi")) == "hello"
        asked, bound = messages.HumanMessage("hi"), model.bind_tools([tool])
        answer = bound.invoke([asked])
        assert answer.tool_calls[0]["name"] == "look"
        bound.invoke([asked, answer, messages.ToolMessage("seen", tool_call_id="toolu_1")])
        server.refuse_next = 1
        with pytest.raises(anthropic.InternalServerError):
            model.invoke("hi")

    with watched(watcher, "langchain", "anthropic") as (spans, by_us):
        monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", spans)
        model = langchain.ChatAnthropic(
            model="claude-3-5-haiku-latest", base_url=server.url, api_key="k", max_retries=0, max_tokens=50
        )
        if by_us:
            jobspan.instrument(model._client)
        in_run(fresh, spans, work)
    check(fresh, server)
