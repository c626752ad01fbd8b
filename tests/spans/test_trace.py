"""Traces are joined in both directions; no sampler and no switch of OpenTelemetry's loses a span."""

from __future__ import annotations

import random

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from jobspan.spans.pipeline import SpanPipeline
from tests.spans.support import Troubles, collecting, exported, run_program, under


def sdk_tracer(**settings: object) -> tuple[trace.Tracer, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False, **{"sampler": ALWAYS_ON, **settings})  # type: ignore[arg-type]
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("caller"), exporter


def test_a_span_without_a_parent_begins_a_new_trace() -> None:
    pipeline, exporter = collecting()
    for _ in range(2):
        pipeline.start_span("x", parent=Context()).end()
    first, second = exported(pipeline, exporter)
    assert first.parent is second.parent is None
    assert first.context.trace_id != second.context.trace_id


def test_our_span_stands_under_the_callers_current_span() -> None:
    tracer, _ = sdk_tracer()
    pipeline, exporter = collecting()
    with tracer.start_as_current_span("request") as caller:
        pipeline.start_span("job nightly").end()
    (found,) = exported(pipeline, exporter)
    assert found.parent == caller.get_span_context()
    assert found.context.trace_id == caller.get_span_context().trace_id


def test_a_span_of_the_sdk_stands_under_ours() -> None:
    tracer, theirs = sdk_tracer(sampler=ParentBased(ALWAYS_ON))
    span = SpanPipeline().start_span("client_run scoring")
    tracer.start_span("chat gpt", context=under(span)).end()
    (child,) = theirs.get_finished_spans()
    assert child.parent == span.get_span_context()
    assert child.context.trace_id == span.trace_id


def test_ours_under_theirs_under_ours_is_one_trace() -> None:
    tracer, theirs = sdk_tracer()
    pipeline, exporter = collecting()
    job = pipeline.start_span("job", parent=Context())
    middle = tracer.start_span("middle", context=under(job))
    client = pipeline.start_span("client_run", parent=under(middle))
    inner = pipeline.start_span("operation", parent=under(client))
    for span in (inner, client, middle, job):
        span.end()
    operation, run, outer = exported(pipeline, exporter)
    (between,) = theirs.get_finished_spans()
    parents = [operation.parent, run.parent, between.parent]
    assert [parent and parent.span_id for parent in parents] == [
        run.context.span_id,
        between.context.span_id,
        outer.context.span_id,
    ]
    assert len({span.context.trace_id for span in (operation, run, between, outer)}) == 1


@pytest.mark.parametrize("flags", ["00", "01", "03"])
def test_a_remote_parent_is_joined_whatever_it_sampled(flags: str) -> None:
    header = {"traceparent": f"00-{0xABC:032x}-{0xDEF:016x}-{flags}", "tracestate": "vendor=1"}
    context = TraceContextTextMapPropagator().extract(header)
    pipeline, exporter = collecting()
    span = pipeline.start_span("x", parent=context)
    span.end()
    (found,) = exported(pipeline, exporter)
    assert (found.context.trace_id, found.parent and found.parent.span_id) == (0xABC, 0xDEF)
    assert found.parent is not None
    assert found.parent.is_remote
    assert found.context.trace_flags.sampled
    assert found.context.trace_state == {"vendor": "1"}
    assert not found.context.is_remote
    sent: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(sent, under(span))
    assert sent["traceparent"].startswith(f"00-{0xABC:032x}-{span.span_id:016x}-0")
    assert sent["tracestate"] == "vendor=1"


def test_an_unsampled_trace_is_recorded_and_exported_all_the_same() -> None:
    tracer, theirs = sdk_tracer(sampler=TraceIdRatioBased(0))
    pipeline, exporter = collecting()
    with tracer.start_as_current_span("dropped by the user's sampler") as dropped:
        assert not dropped.is_recording()
        span = pipeline.start_span("x")
        assert span.is_recording()
        span.set_attribute("kept", 1)
        span.end()
    (found,) = exported(pipeline, exporter)
    assert found.attributes == {"kept": 1}
    assert found.context.trace_id == dropped.get_span_context().trace_id
    assert theirs.get_finished_spans() == ()


def test_no_setting_of_the_environment_switches_spans_off() -> None:
    program = """
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from jobspan.spans.pipeline import SpanPipeline
        exporter = InMemorySpanExporter()
        pipeline = SpanPipeline(exporters=[exporter], resource_attributes={"team": "ops"})
        pipeline.start_span("x", attributes={"a": 1, "b": 2}).end()
        assert pipeline.force_flush(10)
        (span,) = exporter.get_finished_spans()
        resource = span.resource.attributes
        print(sorted(span.attributes), resource["team"], resource["service.name"], resource["from"])
    """
    printed = run_program(
        program,
        OTEL_SDK_DISABLED="true",
        OTEL_TRACES_SAMPLER="always_off",
        OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="1",
        OTEL_BSP_MAX_QUEUE_SIZE="0",
        OTEL_SERVICE_NAME="nightly",
        OTEL_RESOURCE_ATTRIBUTES="from=env",
    )
    assert printed.strip() == "['a', 'b'] ops nightly env"


def test_late_children_join_an_ended_parent() -> None:
    pipeline, exporter = collecting()
    parent = pipeline.start_span("job", parent=Context())
    parent.end()
    assert pipeline.force_flush(10)
    pipeline.start_span("late", parent=under(parent)).end()
    first, late = exported(pipeline, exporter)
    assert late.parent == first.context


def test_an_invalid_or_strange_parent_begins_a_new_trace() -> None:
    class Strange(NonRecordingSpan):
        def get_span_context(self) -> SpanContext:
            return "no context"  # type: ignore[return-value]

    invalid = NonRecordingSpan(SpanContext(0, 0, False, TraceFlags(1), TraceState()))
    pipeline = SpanPipeline(on_trouble=Troubles())
    for parent in (invalid, Strange(invalid.get_span_context())):
        span = pipeline.start_span("x", parent=under(parent))
        assert span.parent is None
        assert span.context.is_valid


def test_spans_leave_the_programs_random_numbers_alone() -> None:
    random.seed(7)
    expected = [random.random() for _ in range(3)]
    random.seed(7)
    pipeline, exporter = collecting()
    found = []
    for _ in range(3):
        span = pipeline.start_span("x")
        span.end()
        found.append(random.random())
    assert len(exported(pipeline, exporter)) == 3
    assert found == expected
