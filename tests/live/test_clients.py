"""Real clients against a loopback provider: what it billed is what is counted, whoever watches.

Needs the packages of the extra `live`; each part is skipped where its package is missing. How the calls
are watched: by `instrument` alone, by OpenLLMetry, by OpenInference, by both, and by all three.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

import jobspan
from tests.conftest import Fresh
from tests.live.server import Provider, provider

WATCHERS = {
    "instrument": (),
    "openllmetry": ("opentelemetry",),
    "openinference": ("openinference",),
    "both": ("opentelemetry", "openinference"),
    "all": ("opentelemetry", "openinference", "instrument"),
}
CLASSES = {
    ("opentelemetry", "openai"): ("opentelemetry.instrumentation.openai", "OpenAIInstrumentor"),
    ("openinference", "openai"): ("openinference.instrumentation.openai", "OpenAIInstrumentor"),
    ("opentelemetry", "anthropic"): ("opentelemetry.instrumentation.anthropic", "AnthropicInstrumentor"),
    ("openinference", "anthropic"): ("openinference.instrumentation.anthropic", "AnthropicInstrumentor"),
    ("opentelemetry", "langchain"): ("opentelemetry.instrumentation.langchain", "LangchainInstrumentor"),
    ("openinference", "langchain"): ("openinference.instrumentation.langchain", "LangChainInstrumentor"),
    ("openinference", "litellm"): ("openinference.instrumentation.litellm", "LiteLLMInstrumentor"),
}


@pytest.fixture
def server() -> Iterator[Provider]:
    with provider() as made:
        yield made


@contextmanager
def watched(watcher: str, *libraries: str) -> Iterator[tuple[TracerProvider, bool]]:
    """Install instrumentations; gives the tracer provider, and whether clients are to be instrumented."""
    spans = TracerProvider()
    with ExitStack() as stack:
        for family in WATCHERS[watcher]:
            for library in libraries:
                if (family, library) in CLASSES:
                    module, name = CLASSES[family, library]
                    instrumentor = getattr(pytest.importorskip(module), name)()
                    instrumentor.instrument(tracer_provider=spans)
                    stack.callback(instrumentor.uninstrument)
        yield spans, watcher in ("instrument", "all")


def check(fresh: Fresh, server: Provider, *, calls: int | None = None, unmetered: int = 0) -> None:
    run = fresh.client("Wilson")
    assert (run.prompt_tokens, run.completion_tokens) == server.total, run.system_notes
    with jobspan._runtime.runtime().reading(10) as reader:
        (row,) = reader.usage("client")
    assert row.calls == (len(server.billed) if calls is None else calls), run.system_notes
    assert row.unmetered_calls == unmetered, run.system_notes
    if unmetered:
        assert "reported no usage" in run.system_notes


def in_run(fresh: Fresh, spans: TracerProvider, work: Callable[[], Any]) -> Any:
    fresh.configure(tracer_provider=spans)
    with jobspan.job("live") as job, job.client("Wilson"):
        return work()


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


def test_google(fresh: Fresh, server: Provider) -> None:
    genai = pytest.importorskip("google.genai")
    client = genai.Client(api_key="k", http_options={"base_url": server.url})
    jobspan.instrument(client)

    async def later() -> None:
        await client.aio.models.generate_content(model="gemini-2.5-flash", contents="hi")
        async for _ in await client.aio.models.generate_content_stream(
            model="gemini-2.5-flash", contents="hi"
        ):
            pass

    def work() -> None:
        assert client.models.generate_content(model="gemini-2.5-flash", contents="hi").text == "hello"
        for _ in client.models.generate_content_stream(model="gemini-2.5-flash", contents="hi"):
            pass
        asyncio.run(later())

    in_run(fresh, TracerProvider(), work)
    check(fresh, server)
    jobspan.uninstrument(client)
    assert "request" not in vars(client._api_client)


@pytest.mark.parametrize("watcher", ["instrument", "openinference", "openllmetry", "both"])
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


@pytest.mark.parametrize("watcher", ["instrument", "openinference"])
def test_litellm(fresh: Fresh, server: Provider, watcher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    litellm = pytest.importorskip("litellm")
    ask: dict[str, Any] = {
        "model": "openai/gpt-4o-mini",
        "messages": [{"role": "user", "content": "hi"}],
        "api_base": server.url,
        "api_key": "k",
    }

    def work() -> None:
        litellm.completion(**ask)
        list(litellm.completion(**ask, stream=True, stream_options={"include_usage": True}))
        asyncio.run(later())

    async def later() -> None:
        await litellm.acompletion(**ask)
        await asyncio.sleep(0.5)

    with watched(watcher, "litellm") as (spans, _):
        in_run(fresh, spans, lambda: (work(), import_module("time").sleep(1.0)))
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

    async def later() -> None:
        other = anthropic.AsyncAnthropic(base_url=server.url, api_key="k")
        if by_us:
            jobspan.instrument(other)
        stream = await other.messages.create(messages=messages, stream=True, **{**ask, "tools": []})
        assert len([event async for event in stream]) == 6

    with watched(watcher, "anthropic") as (spans, by_us):
        client = anthropic.Anthropic(base_url=server.url, api_key="k", max_retries=2)
        if by_us:
            jobspan.instrument(client)
        in_run(fresh, spans, lambda: (work(), asyncio.run(later())))
    check(fresh, server)


def test_google_tools_and_errors(fresh: Fresh, server: Provider) -> None:
    genai = pytest.importorskip("google.genai")
    types, errors = import_module("google.genai.types"), import_module("google.genai.errors")
    client = jobspan.instrument(genai.Client(api_key="k", http_options={"base_url": server.url}))
    look = types.Tool(function_declarations=[types.FunctionDeclaration(name="look")])
    config = types.GenerateContentConfig(tools=[look])

    def work() -> None:
        turns = [types.Content(role="user", parts=[types.Part(text="hi")])]
        answer = client.models.generate_content(model="gemini-2.5-flash", contents=turns, config=config)
        assert answer.function_calls[0].name == "look"
        seen = types.Part.from_function_response(name="look", response={"result": "seen"})
        turns += [answer.candidates[0].content, types.Content(role="user", parts=[seen])]
        again = client.models.generate_content(model="gemini-2.5-flash", contents=turns, config=config)
        assert again.text == "hello"
        server.refuse_next = 1
        with pytest.raises(errors.ServerError):
            client.models.generate_content(model="gemini-2.5-flash", contents="hi")

    in_run(fresh, TracerProvider(), work)
    check(fresh, server)


def test_embeddings_of_google_are_unmetered(fresh: Fresh, server: Provider) -> None:
    genai = pytest.importorskip("google.genai")
    client = jobspan.instrument(genai.Client(api_key="k", http_options={"base_url": server.url}))

    def work() -> None:
        client.models.embed_content(model="gemini-embedding-001", contents="hi")

    in_run(fresh, TracerProvider(), work)
    run = fresh.client("Wilson")
    assert run.prompt_tokens is None
    assert "1 call reported no usage" in run.system_notes


@pytest.mark.parametrize("watcher", ["instrument", "openinference", "openllmetry", "both"])
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

    with watched(watcher, "langchain", "openai") as (spans, by_us):
        model = langchain.ChatOpenAI(model="gpt-4o-mini", base_url=server.url, api_key="k")
        embeddings = langchain.OpenAIEmbeddings(
            base_url=server.url, api_key="k", check_embedding_ctx_length=False
        )
        if by_us:
            jobspan.instrument(model.root_client)
            jobspan.instrument(embeddings.client._client)
        in_run(fresh, spans, work)
    check(fresh, server)


@pytest.mark.parametrize("watcher", ["instrument", "openinference"])
def test_litellm_tools_embeddings_and_async_streams(
    fresh: Fresh, server: Provider, watcher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    litellm = pytest.importorskip("litellm")
    where = {"api_base": server.url, "api_key": "k"}
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    messages: list[Any] = [{"role": "user", "content": "hi"}]
    ask: dict[str, Any] = {"model": "openai/gpt-4o-mini", **where}

    def work() -> None:
        answer = litellm.completion(messages=messages, tools=[tool], **ask).choices[0].message
        assert answer.tool_calls
        turns = [answer.model_dump(), {"role": "tool", "tool_call_id": "call_1", "content": "seen"}]
        litellm.completion(messages=messages + turns, tools=[tool], **ask)
        litellm.embedding(model="openai/text-embedding-3-small", input=["hi"], **where)
        asyncio.run(later())
        import_module("time").sleep(1.0)

    async def later() -> None:
        told = {"include_usage": True}
        stream = await litellm.acompletion(messages=messages, stream=True, stream_options=told, **ask)
        assert (
            "".join([part.choices[0].delta.content or "" async for part in stream if part.choices]) == "hello"
        )
        await asyncio.sleep(0.5)

    with watched(watcher, "litellm") as (spans, _):
        in_run(fresh, spans, work)
    check(fresh, server)
