"""Whose a call is: by its ancestors, else the context, else the only open client run, else the job's."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import set_span_in_context

import jobspan
from jobspan import _runtime
from jobspan.model.usage.fact import UsageFact
from jobspan.spans.fact_text import fact_json
from tests.conftest import Fresh
from tests.program import run_python

CHAT: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 20,
    "gen_ai.response.model": "gpt-4o",
}


@pytest.fixture
def tracer(fresh: Fresh) -> trace.Tracer:
    provider = TracerProvider()
    fresh.configure(tracer_provider=provider)
    return provider.get_tracer("opentelemetry.instrumentation.openai.v1")


def call(tracer: trace.Tracer, context: Context | None = None, **more: Any) -> None:
    tracer.start_span("chat", context, attributes=CHAT | more).end()


def on_a_thread(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def tokens(fresh: Fresh) -> dict[str, int | None]:
    return {run.client_id: run.total_tokens for run in fresh.job().client_runs}


def test_two_clients_at_once_with_equal_usage_keep_their_own(fresh: Fresh, tracer: trace.Tracer) -> None:
    met = threading.Barrier(2)

    def work(client: str) -> None:
        with job.client(client):
            with tracer.start_as_current_span("chat", attributes=CHAT):
                met.wait(10)

    with jobspan.job("scoring") as job:
        threads = [threading.Thread(target=jobspan.wrap(work), args=(name,)) for name in ("A", "B")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert tokens(fresh) == {"A": 120, "B": 120}
    assert fresh.job().total_tokens == 240


def test_ancestors_are_believed_before_the_context(fresh: Fresh, tracer: trace.Tracer) -> None:
    with jobspan.job("scoring") as job:
        with job.client("A") as run:
            agent = tracer.start_span("agent")
            step = tracer.start_span("step", set_span_in_context(agent))
            assert run.uid
        with job.client("B"):
            call(tracer, set_span_in_context(step))
        step.end()
        agent.end()
    assert tokens(fresh) == {"A": 120, "B": None}
    assert fresh.job().total_tokens == 120


def test_a_span_that_ends_after_its_run_still_counts(fresh: Fresh, tracer: trace.Tracer) -> None:
    with jobspan.job("scoring") as job:
        with job.client("A"):
            span = tracer.start_span("chat", attributes=CHAT)
        with job.client("B"):
            span.end()
    assert tokens(fresh) == {"A": 120, "B": None}


def test_without_a_context_the_only_open_client_run_is_meant(fresh: Fresh, tracer: trace.Tracer) -> None:
    with jobspan.job("scoring") as job:
        with job.client("A"):
            on_a_thread(lambda: call(tracer, Context()))
    assert tokens(fresh) == {"A": 120}
    assert "no other was open" in fresh.client("A").system_notes


def test_with_several_open_it_is_the_jobs_and_never_the_last_ones(fresh: Fresh, tracer: trace.Tracer) -> None:
    with jobspan.job("scoring") as job, job.client("A"), job.client("B"):
        on_a_thread(lambda: call(tracer, Context()))
    assert tokens(fresh) == {"A": None, "B": None}
    assert fresh.job().total_tokens == 120
    assert "not attributed to any client run" in fresh.job().system_notes


def test_a_witness_without_a_run_does_not_double_a_call_of_a_run(fresh: Fresh, tracer: trace.Tracer) -> None:
    other = TracerProvider()
    fresh.configure(tracer_provider=other)
    with jobspan.job("scoring") as job, job.client("A"), job.client("B"):
        with tracer.start_as_current_span("chat", attributes=CHAT):
            on_a_thread(lambda: call(other.get_tracer("litellm"), Context()))
    assert fresh.job().total_tokens == 120
    assert tokens(fresh) == {"A": None, "B": 120}


def test_a_call_that_could_be_of_several_jobs_is_in_a_job_of_its_own(
    fresh: Fresh, tracer: trace.Tracer
) -> None:
    with jobspan.job("one"), jobspan.job("other"):
        for _ in range(2):
            on_a_thread(lambda: call(tracer, Context()))
        on_a_thread(lambda: list(jobspan.track_stream(iter([{"usage": {"prompt_tokens": 7}}]))))
    with jobspan.job("one"), jobspan.job("other"):
        on_a_thread(lambda: call(tracer, Context()))
    found: dict[str, list[int | None]] = {}
    for job in fresh.jobs():
        found.setdefault(job.job_type, []).append(job.total_tokens)
    assert found == {"one": [None] * 2, "other": [None] * 2, "unattributed": [247, 120]}
    held = [job for job in fresh.jobs() if job.job_type == "unattributed"]
    assert {job.status for job in held} == {"Completed"}
    assert all("several jobs were open" in job.system_notes for job in held)
    with jobspan._runtime.runtime().reading(10) as reader:
        assert sum(row.total_tokens or 0 for row in reader.usage("job")) == 367


def test_a_call_beneath_a_foreign_root_is_not_lost_when_several_jobs_are_open(
    fresh: Fresh, tracer: trace.Tracer
) -> None:
    def beneath_a_root() -> None:
        with tracer.start_as_current_span("request", Context()):
            call(tracer)

    with jobspan.job("one"), jobspan.job("other"):
        on_a_thread(beneath_a_root)
    assert sorted((job.job_type, job.total_tokens) for job in fresh.jobs())[-1] == ("unattributed", 120)


def test_the_global_provider_is_found_whenever_it_is_set(
    fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    with jobspan.job("scoring") as job:
        provider = TracerProvider()
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
        for _ in range(2):
            with job.client("A"):
                call(provider.get_tracer("x"))
    assert tokens(fresh) == {"A": 240}


def test_usage_on_the_runs_own_span_counts_unless_it_was_booked(fresh: Fresh) -> None:
    with jobspan.job("scoring") as job, job.client("A"):
        trace.get_current_span().set_attributes(CHAT)
        trace.get_current_span().set_status(trace.StatusCode.OK)
        trace.get_current_span().end()
    assert tokens(fresh) == {"A": 120}


HOSTILE: list[dict[str, Any]] = [
    {"gen_ai.usage.input_tokens": True},
    {"gen_ai.usage.input_tokens": -5, "gen_ai.usage.output_tokens": "x"},
    {"gen_ai.usage.input_tokens": float("nan")},
    {"gen_ai.usage.input_tokens": float("inf"), "llm.token_count.total": 1.5},
    {"gen_ai.usage.input_tokens": 10**30},
    {"gen_ai.usage.prompt_tokens": "10" * 400, "operation.cost": "nan"},
    {"gen_ai.operation.name": ["chat", "x"], "gen_ai.response.model": [1, 2]},
    {f"gen_ai.{n}": "x" * 1000 for n in range(5_000)} | {"gen_ai.operation.name": "chat"},
    {"output.value": '{"id":"' * 5_000, "openinference.span.kind": "LLM"},
    {"gen_ai.response.model": "\ud800 \x00 = model", "gen_ai.usage.input_tokens": 0},
]


@pytest.mark.parametrize("attributes", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_span_raises_nothing_and_spoils_no_total(
    fresh: Fresh, tracer: trace.Tracer, attributes: dict[str, Any]
) -> None:
    with jobspan.job("scoring") as job, job.client("A"):
        call(tracer)
        span = tracer.start_span("bad")
        span._attributes._dict.update(attributes)  # type: ignore[attr-defined] # past the SDK's own checks
        span.end()
        call(tracer)
    assert tokens(fresh) == {"A": 240}
    assert jobspan.health().ok


def test_a_cycle_of_parents_ends(fresh: Fresh, tracer: trace.Tracer) -> None:
    def context(trace_id: int, span_id: int) -> trace.SpanContext:
        return trace.SpanContext(trace_id, span_id, False, trace.TraceFlags(1))

    with jobspan.job("scoring") as job, job.client("A"):
        spans = [tracer.start_span("x", Context(), attributes=CHAT if n == 0 else {}) for n in range(3)]
        for n, span in enumerate(spans):
            span._context = context(7, n + 1)  # type: ignore[attr-defined]
            span._parent = context(7, (n + 1) % 3 + 1)  # type: ignore[attr-defined]
        for span in spans:
            span.end()
    assert tokens(fresh) == {"A": 120}


KILLED = """
import os, signal
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
import jobspan
trace.set_tracer_provider(TracerProvider())
tracer = trace.get_tracer("opentelemetry.instrumentation.openai.v1")
with jobspan.job("scoring") as job, job.client("A"):
    for n in range(5):
        span = tracer.start_span("chat", attributes={
            "gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 20 + n, "gen_ai.response.id": f"chatcmpl-0123456789-{n}"})
        if n == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        span.end()
"""


def test_calls_before_a_kill_are_counted(fresh: Fresh) -> None:
    done = run_python(["-c", KILLED], fresh.folder)
    assert done.returncode == -9, done.stderr
    with _runtime.runtime().reading(10) as reader:
        (row,) = reader.usage("client")
    assert (row.calls, row.prompt_tokens, row.completion_tokens) == (3, 300, 63)


COUNTS = st.none() | st.integers(0, 9)
NAMES = st.none() | st.text(min_size=1)
FACTS = st.builds(
    UsageFact,
    trace_id=st.just("0a"),
    span_id=st.just("0b"),
    parent_span_id=st.none() | st.just("ab"),
    scope=st.text(),
    start_ns=st.integers(0, 2**62),
    end_ns=st.integers(0, 2**62),
    role=st.sampled_from(["llm", "agg"]),
    prompt=st.just(5),
    completion=st.just(6),
    cache_read=COUNTS,
    cache_write=COUNTS,
    reasoning=COUNTS,
    cost=st.none() | st.decimals(0, 9, places=9),
    provider=NAMES,
    model=NAMES,
    request_model=NAMES,
    response_id=NAMES,
    metered=st.booleans(),
    manual=st.booleans(),
    requests=st.integers(1, 3),
)


@given(FACTS)
def test_the_json_of_a_fact_is_that_of_its_dict(fact: UsageFact) -> None:
    assert UsageFact.from_dict(json.loads(fact_json(None, fact))) == UsageFact.from_dict(fact.to_dict())


def test_a_global_provider_that_cannot_be_hashed_is_read(
    fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logfire's is a dataclass around the SDK's, and compares by value."""

    @dataclass
    class Proxy(trace.TracerProvider):
        provider: TracerProvider

        def get_tracer(self, *args: Any, **options: Any) -> trace.Tracer:
            return self.provider.get_tracer(*args, **options)

        def add_span_processor(self, processor: Any) -> None:
            self.provider.add_span_processor(processor)

    provider = Proxy(TracerProvider())
    monkeypatch.setattr("opentelemetry.trace._TRACER_PROVIDER", provider)
    for _ in range(2):
        with jobspan.job("x") as job, job.client("A"):
            call(provider.get_tracer("logfire"))
    assert [run.total_tokens for run in (job.client_runs[0] for job in fresh.jobs())] == [120, 120]
