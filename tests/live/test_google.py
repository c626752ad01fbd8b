"""The google-genai client: content, streams, tools, refusals and embeddings."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

import jobspan
from tests.conftest import Fresh
from tests.live.server import Provider
from tests.live.watching import WATCHERS, check, in_run, watched

MODEL = "gemini-2.5-flash"


def google(server: Provider, by_us: bool) -> Any:
    genai = pytest.importorskip("google.genai")
    client = genai.Client(api_key="k", http_options={"base_url": server.url})
    if by_us:
        assert jobspan.instrument(client) is client
    return client


@pytest.mark.parametrize("watcher", WATCHERS)
def test_content_and_streams(fresh: Fresh, server: Provider, watcher: str) -> None:
    async def later() -> None:
        await client.aio.models.generate_content(model=MODEL, contents="hi")
        async for _ in await client.aio.models.generate_content_stream(model=MODEL, contents="hi"):
            pass

    def work() -> None:
        assert client.models.generate_content(model=MODEL, contents="hi").text == "hello"
        for _ in client.models.generate_content_stream(model=MODEL, contents="hi"):
            pass
        asyncio.run(later())

    with watched(watcher, "google") as (spans, by_us):
        client = google(server, by_us)
        in_run(fresh, spans, work)
    check(fresh, server)
    jobspan.uninstrument(client)
    assert "request" not in vars(client._api_client)


@pytest.mark.parametrize("watcher", WATCHERS)
def test_tools_and_refusals(fresh: Fresh, server: Provider, watcher: str) -> None:
    types, errors = (pytest.importorskip(f"google.genai.{name}") for name in ("types", "errors"))
    look = types.Tool(function_declarations=[types.FunctionDeclaration(name="look")])
    config = types.GenerateContentConfig(tools=[look])

    def work() -> None:
        turns = [types.Content(role="user", parts=[types.Part(text="hi")])]
        answer = client.models.generate_content(model=MODEL, contents=turns, config=config)
        assert answer.function_calls[0].name == "look"
        seen = types.Part.from_function_response(name="look", response={"result": "seen"})
        turns += [answer.candidates[0].content, types.Content(role="user", parts=[seen])]
        assert client.models.generate_content(model=MODEL, contents=turns, config=config).text == "hello"
        server.refuse_next = 1
        with pytest.raises(errors.ServerError):
            client.models.generate_content(model=MODEL, contents="hi")

    with watched(watcher, "google") as (spans, by_us):
        client = google(server, by_us)
        in_run(fresh, spans, work)
    check(fresh, server)


@pytest.mark.parametrize("is_async", [False, True])
def test_embeddings_are_unmetered(fresh: Fresh, server: Provider, is_async: bool) -> None:
    client = google(server, by_us=True)
    ask: dict[str, Any] = {"model": "gemini-embedding-001", "contents": "hi"}

    def work() -> None:
        if is_async:
            asyncio.run(client.aio.models.embed_content(**ask))
        else:
            client.models.embed_content(**ask)

    in_run(fresh, TracerProvider(), work)
    run = fresh.client("Wilson")
    assert run.prompt_tokens is None
    assert "1 call reported no usage" in run.system_notes


@pytest.mark.parametrize("watcher", ["instrument", "all"])
def test_functions_that_the_client_calls_by_itself(fresh: Fresh, server: Provider, watcher: str) -> None:
    """Automatic function calling is several requests in one call; a span tells of the last one alone."""
    types = import_module("google.genai.types") if pytest.importorskip("google.genai") else None

    def look() -> str:
        """Look."""
        return "seen"

    with watched(watcher, "google") as (spans, by_us):
        client = google(server, by_us)
        config = types.GenerateContentConfig(tools=[look])
        in_run(
            fresh, spans, lambda: client.models.generate_content(model=MODEL, contents="hi", config=config)
        )
    assert len(server.billed) == 2
    check(fresh, server)
