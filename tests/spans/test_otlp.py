"""The real OTLP exporter against a loopback server that accepts, answers 503, refuses and hangs."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from jobspan.spans import names
from jobspan.spans.pipeline import SpanPipeline
from tests.spans.support import Stopwatch, Troubles

otlp = pytest.importorskip("opentelemetry.exporter.otlp.proto.http.trace_exporter")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (  # noqa: E402
    ExportTraceServiceRequest,
)


class Collector(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, status: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), Receiver)
        self.status = status
        self.requests: list[ExportTraceServiceRequest] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/traces"

    @property
    def spans(self) -> list[object]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class Receiver(http.server.BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def collector(status: int = 200) -> Iterator[Collector]:
    server = Collector(status)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def end_spans(pipeline: SpanPipeline, count: int) -> None:
    for n in range(count):
        span = pipeline.start_span("client_run scoring", attributes={names.CLIENT_ID: f"client {n}"})
        span.finish(
            error=ValueError("bad profile") if n % 2 else None, attributes={names.STATUS: "Completed"}
        )


def test_every_span_arrives_at_a_collector() -> None:
    with collector() as server:
        pipeline = SpanPipeline(exporters=[otlp.OTLPSpanExporter(endpoint=server.url)])
        end_spans(pipeline, 1_000)
        assert pipeline.force_flush(20)
        assert pipeline.shutdown(5)
        assert len(server.spans) == 1_000
        (resource, *_) = server.requests[0].resource_spans
        assert resource.scope_spans[0].scope.name == "jobspan"
        first, second, *_ = resource.scope_spans[0].spans
        assert {attribute.key for attribute in first.attributes} == {names.CLIENT_ID, names.STATUS}
        assert (first.flags & 0x300, first.status.code, second.status.code) == (0x100, 1, 2)
        assert second.events[0].name == "exception"


@contextmanager
def refusing() -> Iterator[str]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        yield f"http://127.0.0.1:{unused.getsockname()[1]}/v1/traces"


@contextmanager
def hanging() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0), backlog=16) as silent:  # accepts, never answers
        yield f"http://127.0.0.1:{silent.getsockname()[1]}/v1/traces"


@contextmanager
def overloaded() -> Iterator[str]:
    with collector(status=503) as server:
        yield server.url


@pytest.mark.parametrize("backend", [refusing, hanging, overloaded], ids=lambda backend: backend.__name__)
def test_a_dead_backend_costs_the_bounds_and_no_more(backend: object) -> None:
    troubles = Troubles()
    with backend() as url:  # type: ignore[operator]
        pipeline = SpanPipeline(exporters=[otlp.OTLPSpanExporter(endpoint=url)], on_trouble=troubles)
        with Stopwatch() as working:
            end_spans(pipeline, 2_000)
        with Stopwatch() as flushing:
            assert not pipeline.force_flush(0.5)
        with Stopwatch() as closing:
            assert not pipeline.shutdown(0.7)
    assert working.seconds < 5
    assert flushing.seconds < 2
    assert closing.seconds < 2.2


@pytest.mark.slow
def test_retries_inside_the_exporter_give_up_at_shutdown() -> None:
    with refusing() as url:
        troubles = Troubles()
        pipeline = SpanPipeline(exporters=[otlp.OTLPSpanExporter(endpoint=url)], on_trouble=troubles)
        end_spans(pipeline, 10)
        with Stopwatch() as watch:
            assert not pipeline.shutdown(3)
        assert watch.seconds < 5
        assert pipeline.dropped == {"exporter failed": 10}  # told to stop, it answered within the bound
