"""What the calling thread pays for a block when spans go to an OTLP collector, beside a raw span that does.

Both have the same exporter (OTLP over HTTP) to a server on loopback, in a process of its own, that answers
200 and counts the spans it gets: raw spans by a BatchSpanProcessor, ours by `configure(exporters=[…])` and,
in a second run, by `configure(span_processors=[BatchSpanProcessor(…)])`. Time is CPU of the calling
thread, the medians of alternating rounds. Between the rounds, unmeasured, both are flushed, as a
BatchSpanProcessor drops what exceeds its queue of 2,048.
``python benchmarks/exporters.py [rounds] [blocks]``
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from measure import Timing, interleaved
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from raw import raw_provider

import jobspan
from jobspan import client_run, job

RAW = "raw span"
WAYS: dict[str, Callable[[SpanExporter], dict[str, Any]]] = {
    "exporters=": lambda exporter: {"exporters": [exporter]},
    "span_processors=": lambda exporter: {"span_processors": [BatchSpanProcessor(exporter)]},
}


def timed(work: Callable[[int], None], blocks: int, flush: Callable[[], bool]) -> float:
    """Return microseconds of CPU per block, of the calling thread."""
    start = time.thread_time_ns()
    work(blocks)
    took = time.thread_time_ns() - start
    assert flush()
    return took / blocks / 1000


def raw_spans(provider: TracerProvider) -> Callable[[int], None]:
    tracer = provider.get_tracer("bench")

    def work(blocks: int) -> None:
        for _ in range(blocks):
            with tracer.start_as_current_span("client_run") as span:
                span.set_attribute("leads", 1)

    return work


def client_runs(blocks: int) -> None:
    for _ in range(blocks):
        with client_run("x") as run:
            run.add(leads=1)


def measured(way: str, rounds: int, blocks: int, endpoint: str) -> dict[str, Timing]:
    """Return the microseconds per block of raw spans and of ours, all spans exported."""
    exporter = OTLPSpanExporter(f"{endpoint}/ours")
    with (
        tempfile.TemporaryDirectory() as folder,
        raw_provider(OTLPSpanExporter(f"{endpoint}/raw")) as provider,
    ):
        spans = raw_spans(provider)
        jobspan.configure(ledger=Path(folder) / "ledger.db", **WAYS[way](exporter))
        with job("bench"):
            found = interleaved(
                {
                    RAW: lambda: timed(spans, blocks, provider.force_flush),
                    way: lambda: timed(client_runs, blocks, lambda: jobspan.flush(60)),
                },
                rounds,
            )
        jobspan.shutdown()
    return found


class Collector(BaseHTTPRequestHandler):
    """Counts the spans posted to each path; a GET of the path tells their number."""

    counts: dict[str, int] = {}
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        import gzip

        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        request = ExportTraceServiceRequest.FromString(body)
        got = sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)
        self.counts[self.path] = self.counts.get(self.path, 0) + got
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(str(self.counts.get(self.path, 0)).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        return


def collect() -> None:
    """Serve until standard input ends."""
    import threading

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


def main(rounds: int = 30, blocks: int = 1_000) -> None:
    """Print the tables; fail if a span did not arrive."""
    for way in WAYS:
        with collector() as endpoint:
            table(way, rounds, blocks, endpoint)


@contextmanager
def collector() -> Iterator[str]:
    """Give the address of a collector in a process of its own."""
    command = [sys.executable, __file__, "--collect"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.communicate("")


def table(way: str, rounds: int, blocks: int, endpoint: str) -> None:
    """Print one table."""
    from urllib.request import urlopen

    found = measured(way, rounds, blocks, endpoint)
    got = {}
    for name, path in ((RAW, "raw"), (way, "ours")):
        with urlopen(f"{endpoint}/{path}") as answer:
            got[name] = int(answer.read())
    base = found[RAW].median
    made = (rounds + 3) * blocks
    print(f"{'OTLP by ' + way:40}{'median µs':>10}{'ratio':>8}{'arrived':>12}")
    for name, timing in found.items():
        label = f"raw span beside {way}" if name == RAW else f"with client_run(), {way}"
        print(f"{label:40}{timing.median:10.2f}{timing.median / base:8.2f}{got[name]:12,}")
    if got != {RAW: made, way: made + 1}:  # and the job around them
        sys.exit(f"of {made:,} spans each, and one of the job, some are missing")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--collect"]:
        collect()
    else:
        main(*map(int, sys.argv[1:]))
