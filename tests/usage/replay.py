"""Replay recorded spans through a real SDK provider: their own starts and ends, in order, on threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

Span = dict[str, Any]


class _Ids(IdGenerator):
    """Gives the recorded ids."""

    def __init__(self) -> None:
        self.trace_id = self.span_id = 1

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class _Worker(threading.Thread):
    """A thread that does one thing after the other."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.jobs: queue.SimpleQueue[tuple[Callable[[], None], threading.Event] | None] = queue.SimpleQueue()
        self.start()

    def run(self) -> None:
        while (job := self.jobs.get()) is not None:
            job[0]()
            job[1].set()

    def do(self, work: Callable[[], None]) -> None:
        done = threading.Event()
        self.jobs.put((work, done))
        assert done.wait(10)


class Replay:
    """Plays spans into a provider. Run spans of the recording are left out: `roots` takes their place."""

    def __init__(self) -> None:
        self._ids = _Ids()
        self.provider = TracerProvider(id_generator=self._ids)

    def play(self, spans: list[Span], roots: dict[str, SpanContext], *, threads: int = 1) -> None:
        """Start and end the spans in the order of their times.

        Args:
            spans: As recorded.
            roots: By the id of a recorded span, the span that stands in its place.
            threads: Spans are started and ended on so many threads without any context, or 0: on this one.
        """
        played = [span for span in spans if span["span_id"] not in roots]
        moments = [(span["start_time_unix_nano"], 0, n) for n, span in enumerate(played)]
        moments += [(span["end_time_unix_nano"], 1, n) for n, span in enumerate(played)]
        workers = [_Worker() for _ in range(threads)]
        live: dict[int, Any] = {}
        by_id = {span["span_id"]: span for span in played}
        for _, is_end, n in sorted(moments, key=lambda m: (m[0], m[1], m[2] if not m[1] else -m[2])):
            span = played[n]
            work = (
                (lambda s=span, n=n: live.pop(n).end(s["end_time_unix_nano"]))
                if is_end
                else (lambda s=span, n=n: live.__setitem__(n, self._start(s, roots, by_id)))
            )
            if workers:
                workers[n % threads].do(work)
            else:
                work()
        for worker in workers:
            worker.jobs.put(None)

    def _start(self, span: Span, roots: dict[str, SpanContext], by_id: dict[str, Span]) -> Any:
        parent = span["parent_id"]
        up: SpanContext | None = None
        if parent in roots:
            up = roots[parent]
        elif parent is not None:
            up = SpanContext(self._trace(span, roots, by_id), int(parent, 16), False, TraceFlags(1))
        context = Context() if up is None else set_span_in_context(NonRecordingSpan(up), Context())
        self._ids.trace_id, self._ids.span_id = int(span["trace_id"], 16), int(span["span_id"], 16)
        made = self.provider.get_tracer(span["scope"]["name"]).start_span(
            span["name"],
            context,
            kind=SpanKind[span["kind"]] if span["kind"] in SpanKind.__members__ else SpanKind.INTERNAL,
            start_time=span["start_time_unix_nano"],
        )
        for name, value in span["attributes"].items():
            made.set_attribute(name, value)
        if span["status"] == "ERROR":
            made.set_status(Status(StatusCode.ERROR))
        return made

    @staticmethod
    def _trace(span: Span, roots: dict[str, SpanContext], by_id: dict[str, Span]) -> int:
        at: Span | None = span
        while at is not None:
            parent = at["parent_id"]
            if parent in roots:
                return roots[parent].trace_id
            at = by_id.get(parent or "")
        return int(span["trace_id"], 16)
