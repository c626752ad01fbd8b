"""Span processors are called on the caller's thread, see a full span, and reach nobody when they raise."""

from __future__ import annotations

import json
import pickle
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from jobspan._guard import guard
from jobspan.spans.pipeline import SpanPipeline
from tests.spans.support import Scripted, Stopwatch, Troubles


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "strict", False)


class Looking(SpanProcessor):
    """Uses a span as processors in the wild do."""

    def __init__(self) -> None:
        self.started: list[dict[str, Any]] = []
        self.ended: list[ReadableSpan] = []
        self.threads: set[int] = set()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.threads.add(threading.get_ident())
        span.set_attribute("baggage.tenant", "acme")
        self.started.append(
            {
                "name": span.name,
                "context": span.context,
                "parent": span.parent,
                "start": span.start_time,
                "attributes": dict(span.attributes or {}),
                "service": span.resource.attributes["service.name"],
                "scope": span.instrumentation_scope and span.instrumentation_scope.name,
                "recording": span.is_recording(),
                "snapshot": span._readable_span(),
                "given": parent_context,
            }
        )

    def on_end(self, span: ReadableSpan) -> None:
        self.threads.add(threading.get_ident())
        self.ended.append(span)


def test_a_processor_sees_the_span_at_its_start_and_at_its_end() -> None:
    looking = Looking()
    pipeline = SpanPipeline(span_processors=[looking])
    context = Context()
    span = pipeline.start_span("job nightly", parent=context, start_ns=5, attributes={"jobspan.run.id": "r"})
    span.finish(9)
    (seen,), (ended,) = looking.started, looking.ended
    assert (seen["name"], seen["start"], seen["parent"]) == ("job nightly", 5, None)
    assert seen["attributes"] == {"jobspan.run.id": "r", "baggage.tenant": "acme"}
    assert (seen["scope"], seen["recording"], seen["given"]) == ("jobspan", True, context)
    assert type(seen["snapshot"]) is type(ended) is ReadableSpan
    assert seen["context"] == ended.context
    assert seen["snapshot"].end_time is None
    assert (ended.end_time, dict(ended.attributes or {})) == (
        9,
        {"baggage.tenant": "acme", "jobspan.run.id": "r"},
    )
    assert looking.threads == {threading.get_ident()}


@pytest.mark.parametrize("make", [SimpleSpanProcessor, BatchSpanProcessor])
def test_the_sdks_processors_take_our_spans(make: Any) -> None:
    exporter = InMemorySpanExporter()
    pipeline = SpanPipeline(span_processors=[make(exporter)])
    for _ in range(5):
        pipeline.start_span("x").finish()
    assert pipeline.force_flush(10)
    assert [span.name for span in exporter.get_finished_spans()] == ["x"] * 5
    assert pipeline.shutdown(10)


class Raising(SpanProcessor):
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        raise ValueError("on_start")

    def on_end(self, span: ReadableSpan) -> None:
        raise ValueError("on_end")

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        raise ValueError("force_flush")

    def shutdown(self) -> None:
        raise SystemExit("shutdown")


@pytest.mark.usefixtures("lenient")
def test_a_raising_processor_reaches_neither_the_caller_nor_its_neighbours() -> None:
    looking, exporter, troubles = Looking(), Scripted(), Troubles()
    before = guard.counts()
    pipeline = SpanPipeline(exporters=[exporter], span_processors=[Raising(), looking], on_trouble=troubles)
    pipeline.start_span("x").finish()
    assert not pipeline.force_flush(10)
    assert not pipeline.shutdown(10)
    assert (len(looking.started), len(looking.ended), len(exporter.spans)) == (1, 1, 1)
    for place in ("spans.on_start: ValueError", "spans.on_end: ValueError"):
        assert guard.counts()[place] == before.get(place, 0) + 1
    assert troubles.places == {"spans.flush", "spans.shutdown"}


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_a_hanging_processor_cannot_hold_flush_or_shutdown(gate: threading.Event) -> None:
    class Hanging(SpanProcessor):
        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return gate.wait()

        def shutdown(self) -> None:
            gate.wait()

    pipeline = SpanPipeline(span_processors=[Hanging(), Hanging()])
    with Stopwatch() as flushing:
        assert not pipeline.force_flush(0.3)
    with Stopwatch() as closing:
        assert not pipeline.shutdown(0.3)
    assert flushing.seconds < 2
    assert closing.seconds < 2


def test_lazy_attributes_that_fail_cost_themselves_only(lenient: None) -> None:
    exporter = Scripted()
    pipeline = SpanPipeline(exporters=[exporter])

    def broken() -> dict[str, Any]:
        time.sleep(0)
        raise LookupError("gone")

    span = pipeline.start_span("x", attributes=broken)
    span.set_attribute("kept", 1)
    span.finish(attributes={"also": 2})
    assert pipeline.force_flush(10)
    assert exporter.spans[0].attributes == {"kept": 1, "also": 2}


def test_the_runs_own_attributes_are_made_once_for_whoever_looks_first() -> None:
    calls: list[int] = []
    held: list[ReadableSpan] = []

    class Queueing(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            held.append(span)

    def source() -> dict[str, Any]:
        calls.append(threading.get_ident())
        time.sleep(0)
        return {"a": len(calls)}

    SpanPipeline(span_processors=[Queueing()]).start_span("x").finish(attributes=source)
    (ended,) = held
    assert (type(ended), ended.name, ended.context.span_id > 0, calls) == (ReadableSpan, "x", True, [])
    seen: list[dict[str, Any]] = []
    gate = threading.Barrier(4)

    def look() -> None:
        gate.wait()
        seen.append(dict(ended.attributes or {}))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({found["a"] for found in seen}) == 1
    assert json.loads(ended.to_json())["attributes"] == seen[0]
    kept: Any = ended._attributes  # processors of vendors write there
    kept["theirs"] = 2
    kept["gone"] = kept.pop("a")
    del kept["gone"]
    assert repr(kept) == repr(pickle.loads(pickle.dumps(kept))) == "{'theirs': 2}"
    assert ended.attributes == {"theirs": 2}
