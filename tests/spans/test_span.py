"""The span itself: it says what the SDK's span says, survives anything, and its run has the last word."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from jobspan.spans import names
from jobspan.spans.pipeline import SpanPipeline
from jobspan.spans.span import RunSpan
from tests.spans.support import Troubles, as_json, collecting, exported

LINKED = SpanContext(0xABC, 0xDEF, True, TraceFlags(1))
START, END = 1_750_000_000_000_000_000, 1_750_000_001_500_000_000

Script = Callable[[Any], None]


def sdk_span(script: Script, attributes: dict[str, Any] | None = None) -> ReadableSpan:
    exporter = InMemorySpanExporter()
    unlimited = SpanLimits(max_span_attributes=128, max_events=128, max_links=128)
    provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False, span_limits=unlimited)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    span = provider.get_tracer("jobspan").start_span("a run", start_time=START, attributes=attributes)
    script(span)
    span.end(END)
    (found,) = exporter.get_finished_spans()
    return found


def our_span(script: Script, attributes: dict[str, Any] | None = None, **options: Any) -> ReadableSpan:
    pipeline, exporter = collecting(**options)
    span = pipeline.start_span("a run", start_ns=START, attributes=attributes)
    script(span)
    span.end(END)
    (found,) = exported(pipeline, exporter)
    return found


def without_ids(span: ReadableSpan) -> dict[str, Any]:
    found = as_json(span)
    del found["context"]["trace_id"], found["context"]["span_id"]
    found["resource"]["attributes"].pop("service.instance.id", None)
    found["dropped"] = [span.dropped_attributes, span.dropped_events, span.dropped_links]
    return found


def plain_attributes(span: Any) -> None:
    span.set_attribute("text", "x")
    span.set_attributes({"n": 1, "f": 1.5, "yes": True, "many": ["a", "b"], "numbers": (1, 2)})
    span.set_attribute("text", "again")


def events_and_links(span: Any) -> None:
    span.add_event("began", {"step": 1}, timestamp=START + 5)
    span.add_event("bare", timestamp=START + 6)
    span.add_link(LINKED, {"why": "batch"})
    span.add_link(SpanContext(0, 0, False))


def odd_values(span: Any) -> None:
    span.set_attribute("", "no key")
    span.set_attribute("nothing", None)
    span.set_attribute("mixed", ["a", 1])
    span.set_attribute("nested", {"a": {"b": [1, 2]}})
    span.set_attribute("object", 1 + 2j)


def too_much(span: Any) -> None:
    for n in range(140):
        span.set_attribute(f"a{n}", n)
        span.add_event(f"e{n}", timestamp=START)
        span.add_link(SpanContext(1, n + 1, False))
    span.set_attribute("a20", "renewed")
    span.set_attribute("one more", 1)


def statuses(span: Any) -> None:
    span.set_status(StatusCode.ERROR, "first")
    span.set_status(Status(StatusCode.ERROR, "second"))
    span.set_status(StatusCode.UNSET)


def ok_is_final(span: Any) -> None:
    span.set_status(StatusCode.OK)
    span.set_status(StatusCode.ERROR, "too late")


def renamed(span: Any) -> None:
    span.update_name("another name")


def failing_block(span: Any) -> None:
    span.update_name("a with block")
    with pytest.raises(LookupError), span:
        raise LookupError("no such lead")


def failed_twice(span: Any) -> None:
    span.record_exception(ValueError("bad"), {"lead": 17}, timestamp=START + 9)
    span.record_exception(KeyError("k"), timestamp=START + 10, escaped=True)


SCRIPTS = [
    plain_attributes,
    events_and_links,
    odd_values,
    too_much,
    statuses,
    ok_is_final,
    renamed,
    failed_twice,
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_a_span_exports_what_the_sdks_span_exports(script: Script) -> None:
    first = {} if script is too_much else {"given": "at start"}  # ours are never crowded out
    assert without_ids(our_span(script, first, stack_traces=True)) == without_ids(sdk_span(script, first))


def test_a_failing_with_block_exports_what_the_sdks_exports() -> None:
    ours, theirs = (
        without_ids(made) for made in (our_span(failing_block, stack_traces=True), sdk_span(failing_block))
    )
    for found in (ours, theirs):
        del found["end_time"], found["events"][0]["timestamp"]
        stack = found["events"][0]["attributes"].pop(names.EXCEPTION_STACKTRACE)
        assert stack.endswith("LookupError: no such lead\n")
    assert ours == theirs


attribute_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(given_attributes=st.dictionaries(st.text(max_size=5), attribute_values, max_size=6))
def test_any_attributes_come_out_as_from_the_sdk(given_attributes: dict[str, Any]) -> None:
    theirs = sdk_span(lambda span: span.set_attributes(given_attributes))
    span = SpanPipeline().start_span("a run")
    span.set_attributes(given_attributes)
    ours = span.to_readable()
    assert ours.attributes == theirs.attributes
    assert ours.dropped_attributes == theirs.dropped_attributes


def test_a_run_span_is_a_span_and_reads_like_one() -> None:
    span = SpanPipeline().start_span("job nightly", start_ns=START, attributes=lambda: {"a": 1})
    assert isinstance(span, Span)
    assert isinstance(span, ReadableSpan)
    assert (span.name, span.kind, span.parent, span.start_time) == (
        "job nightly",
        SpanKind.INTERNAL,
        None,
        START,
    )
    assert span.context == span.get_span_context()
    assert span.context.trace_flags.sampled
    assert (span.attributes, span.events, span.links, span.end_time) == ({"a": 1}, (), (), None)
    assert span.status.status_code is StatusCode.UNSET
    assert span.resource.attributes["telemetry.sdk.language"] == "python"
    assert span.instrumentation_scope.name == "jobspan"
    assert (span.dropped_attributes, span.dropped_events, span.dropped_links) == (0, 0, 0)
    assert as_json(span)["end_time"] is None
    assert "job nightly" in repr(span)


def test_a_readable_span_is_the_sdks_own_class() -> None:
    span = SpanPipeline().start_span("x")
    span.end()
    assert type(span.to_readable()) is ReadableSpan
    assert span.to_readable() is span.to_readable()


def test_writing_after_the_end_is_ignored() -> None:
    span = SpanPipeline().start_span("x")
    span.end(END)
    before = span.to_json()
    for script in [
        *SCRIPTS,
        lambda span: span.end(END + 5),
        lambda span: span.finish(END + 9, status_ok=False),
    ]:
        script(span)
    assert not span.is_recording()
    assert span.to_json() == before


class Spiteful:
    def __str__(self) -> str:
        raise RuntimeError("no text for you")

    def __len__(self) -> int:
        raise RuntimeError("no length either")

    __repr__ = __str__


def endless() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


HOSTILE = {
    "spiteful": Spiteful(),
    "endless": endless(),
    "huge": 10**5000,
    "surrogate": "\ud800",
    "nul": "a\x00b",
    "nan": float("nan"),
    "bytes": b"\xff\x00",
    "long": "x" * 300_000,
    "type": int,
    "\udcff": 1,
}


def test_hostile_values_raise_nothing_and_spoil_no_neighbour() -> None:
    troubles = Troubles()
    pipeline, exporter = collecting(on_trouble=troubles)
    span = pipeline.start_span("x \ud800")
    for key, value in HOSTILE.items():
        span.set_attribute(key, value)
        span.add_event("e \udc00", {key: value})
    for call in (span.set_attributes, span.add_link, span.set_status):
        call(17)  # type: ignore[operator]
    span.set_attribute(None, 1)  # type: ignore[arg-type]
    span.record_exception(ValueError(Spiteful()), {"a": Spiteful()})
    span.set_attribute("good", 1)
    span.finish(attributes={"nested": {"\ud800": [10**400, b"\xff"]}})
    (found,) = exported(pipeline, exporter)
    assert found.name == "x \\ud800"
    assert found.attributes is not None
    assert found.attributes["good"] == 1
    assert found.attributes["huge"] == float("inf")
    assert found.attributes["nested"] == {"\\ud800": (float("inf"), "\\xff")}
    assert "\\ud800" in as_json(found)["attributes"]["surrogate"]
    assert troubles.places <= {"spans.write", "spans.text"}


def test_the_otlp_encoder_takes_hostile_values() -> None:
    encoder = pytest.importorskip("opentelemetry.exporter.otlp.proto.common.trace_encoder")
    pipeline, exporter = collecting(on_trouble=Troubles())
    span = pipeline.start_span("x \ud800")
    for key, value in HOSTILE.items():
        span.set_attribute(key, value)
        span.add_event("e \udc00", {key: value})
    span.set_status(StatusCode.ERROR, "why \ud800")
    span.end()
    (sent,) = encoder.encode_spans(exported(pipeline, exporter)).resource_spans[0].scope_spans[0].spans
    assert {"huge", "surrogate", "bytes", "long"} <= {attribute.key for attribute in sent.attributes}


def test_attributes_dropped_from_events_and_links_are_counted_once() -> None:
    many = {f"k{n}": "ü" for n in range(140)}
    pipeline, exporter = collecting()
    span = pipeline.start_span("x")
    span.add_event("e", many)
    span.add_link(LINKED, many)
    span.end()
    (found,) = exported(pipeline, exporter)
    assert found.events[0].dropped_attributes == found.links[0].dropped_attributes == 12


# -- the run's last word


def test_finish_overrules_a_status_somebody_else_set() -> None:
    pipeline, exporter = collecting()
    span = pipeline.start_span("client_run scoring")
    span.set_status(StatusCode.OK)
    span.finish(END, error=ValueError("bad profile"))
    other = pipeline.start_span("client_run scoring")
    other.set_status(StatusCode.ERROR, "a call failed and was tried again")
    other.finish(END, status_ok=True)
    failed, fine = exported(pipeline, exporter)
    assert (failed.status.status_code, failed.status.description) == (
        StatusCode.ERROR,
        "ValueError: bad profile",
    )
    assert fine.status.status_code is StatusCode.OK


def test_an_owned_span_ends_by_finish_alone() -> None:
    pipeline, exporter = collecting()
    span = pipeline.start_span("x", owned=True)
    span.end()
    with span:
        pass
    assert span.is_recording()
    span.set_attribute("still", "open")
    span.finish(END)
    (found,) = exported(pipeline, exporter)
    assert found.end_time == END
    assert found.attributes == {"still": "open"}


def test_a_failed_run_tells_its_exception_without_secrets_and_without_a_stack() -> None:
    pipeline, exporter = collecting(redact=lambda text: text.replace("sk-123", "***"))
    span = pipeline.start_span("x")
    span.finish(END, error=PermissionError("key sk-123 refused"), attributes={names.STATUS: "Failed"})
    (found,) = exported(pipeline, exporter)
    (event,) = found.events
    assert event.name == "exception"
    assert event.attributes == {
        "exception.type": "PermissionError",
        "exception.message": "key *** refused",
        "exception.escaped": "True",
    }
    assert found.attributes == {"error.type": "PermissionError", "jobspan.status": "Failed"}
    assert found.status.description == "PermissionError: key *** refused"
    assert "sk-123" not in found.to_json()


def test_a_stack_trace_is_redacted_as_well() -> None:
    pipeline, exporter = collecting(redact=lambda text: text.replace("sk-123", "***"), stack_traces=True)
    span = pipeline.start_span("x")
    span.finish(END, error=PermissionError("key sk-123 refused"))
    (found,) = exported(pipeline, exporter)
    stack = found.events[0].attributes
    assert stack is not None
    assert "PermissionError: key *** refused" in str(stack["exception.stacktrace"])


def test_a_failing_redactor_costs_the_text_not_the_span() -> None:
    troubles = Troubles()

    def broken(text: str) -> str:
        raise RuntimeError("no redactor")

    pipeline, exporter = collecting(redact=broken, on_trouble=troubles)
    pipeline.start_span("x").finish(END, error=ValueError("secret"))
    (found,) = exported(pipeline, exporter)
    assert found.status.description == "ValueError"
    assert "secret" not in found.to_json()
    assert "spans.redact" in troubles.places


def test_a_message_given_ready_is_taken_as_it_is() -> None:
    pipeline, exporter = collecting(redact=lambda text: "redacted twice")
    pipeline.start_span("x").finish(END, error=ValueError("raw"), message="ready")
    pipeline.start_span("y").finish(END, status_ok=False, message="canceled by a person")
    first, second = exported(pipeline, exporter)
    assert first.status.description == "ValueError: ready"
    assert (second.status.status_code, second.status.description) == (
        StatusCode.ERROR,
        "canceled by a person",
    )
    assert second.events == ()


def test_the_runs_own_attributes_win_and_are_never_crowded_out() -> None:
    pipeline, exporter = collecting()
    span = pipeline.start_span("x", attributes={names.RUN_ID: "260101-000000", "n": 1})
    for n in range(500):
        span.set_attribute(f"noise{n}", n)
    span.set_attribute(names.RUN_ID, "forged")
    span.finish(attributes={"n": 2})
    (found,) = exported(pipeline, exporter)
    assert found.attributes is not None
    assert found.attributes[names.RUN_ID] == "260101-000000"
    assert found.attributes["n"] == 2
    assert len(found.attributes) == 128 + 1
    assert found.dropped_attributes == 501 - 128


def test_lazy_attributes_are_made_only_for_somebody_who_looks() -> None:
    calls: list[str] = []

    def expensive() -> dict[str, Any]:
        calls.append(threading.current_thread().name)
        return {"a": 1}

    SpanPipeline().start_span("x", attributes=expensive).finish(attributes=expensive)
    assert calls == []
    pipeline, exporter = collecting()
    pipeline.start_span("x", attributes=expensive).finish()
    assert exported(pipeline, exporter)[0].attributes == {"a": 1}
    assert calls == ["jobspan-export-InMemorySpanExporter"]


def test_a_span_ends_once_however_many_threads_end_it() -> None:
    pipeline, exporter = collecting()
    for _ in range(50):
        span = pipeline.start_span("x")
        gate = threading.Barrier(4)

        def end(span: RunSpan = span, gate: threading.Barrier = gate) -> None:
            gate.wait()
            span.finish()

        threads = [threading.Thread(target=end) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(exported(pipeline, exporter)) == 50


def test_threads_may_write_on_one_span() -> None:
    pipeline, exporter = collecting()
    span = pipeline.start_span("x")

    def write(who: int) -> None:
        for n in range(200):
            span.set_attribute(f"k{(who * 7 + n) % 150}", n)
            span.add_event("e")
            span.add_link(Link(LINKED).context)

    threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    span.end()
    (found,) = exported(pipeline, exporter)
    assert len(found.events) == 128
    assert len(found.attributes or {}) <= 128 + 4


@pytest.mark.parametrize("limit", ["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"])
def test_otel_limits_do_not_change_our_spans(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(limit, "1")
    pipeline, exporter = collecting()
    pipeline.start_span("x", attributes={"one": "abc", "two": "def"}).end()
    assert exported(pipeline, exporter)[0].attributes == {"one": "abc", "two": "def"}
