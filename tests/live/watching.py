"""Real clients against a loopback provider: what it billed is what is counted, whoever watches.

Needs the packages of the extra `live`; each part is skipped where its package is missing. How the calls
are watched: by `instrument` alone, by OpenLLMetry, by OpenInference, by both, and by all three.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

import jobspan
from tests.conftest import Fresh
from tests.live.server import Provider

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
    ("opentelemetry", "google"): (
        "opentelemetry.instrumentation.google_generativeai",
        "GoogleGenerativeAiInstrumentor",
    ),
    ("openinference", "google"): ("openinference.instrumentation.google_genai", "GoogleGenAIInstrumentor"),
}


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
