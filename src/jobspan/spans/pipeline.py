"""The road of spans: started under the caller's trace, handed to processors and exporters when they end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Span

from jobspan import _clock
from jobspan._guard import guard, guarded
from jobspan.journal import process
from jobspan.spans import names
from jobspan.spans.attempt import Tell, attempt
from jobspan.spans.context import SPAN_KEY, current_context
from jobspan.spans.identifier import new_span_id, new_trace_id
from jobspan.spans.lineage import valid_context
from jobspan.spans.span import AttributeSource, RunSpan

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

    from jobspan.spans.feed import ExporterFeed

_told = process.told
_ON_START = guarded("spans.on_start")
_ON_END = guarded("spans.on_end")
_INTERRUPT_AT = 0.8
"""The part of a shutdown's time after which an exporter that is still busy is told to give up."""


def _note(where: str, error: BaseException | str) -> None:
    guard.note(where, error if isinstance(error, str) else guard.describe(error))


def _unchanged(text: str) -> str:
    return text


class SpanPipeline:
    """Makes the spans of runs and delivers the ended ones; nothing in it reaches business code.

    Spans are always recorded and always sampled: no sampler, no sampled=0 of a parent, no
    `OTEL_SDK_DISABLED` and no OTEL_* limit switches them off. Without exporters and processors an ended
    span is dropped at once.

    Args:
        exporters: Fed in the background, each by a daemon thread of its own.
        span_processors: Called on the thread that starts or ends the span, each call guarded.
        resource_attributes: Added to OpenTelemetry's own resource (`OTEL_RESOURCE_ATTRIBUTES`, …).
        on_trouble: Told where something went wrong and what, on any thread; default is the guard.
        redact: Applied to every text of an exception before it is kept.
        stack_traces: Put stack traces into exception events; they may hold secrets, so default off.
        queue_size: Spans an exporter may be behind by; what ends beyond that is counted as dropped.
    """

    def __init__(
        self,
        *,
        exporters: Sequence[SpanExporter] = (),
        span_processors: Sequence[SpanProcessor] = (),
        resource_attributes: Mapping[str, Any] | None = None,
        on_trouble: Tell = _note,
        redact: Callable[[str], str] = _unchanged,
        stack_traces: bool = False,
        queue_size: int | None = None,
    ) -> None:
        self.tell = on_trouble
        self.stack_traces = stack_traces
        self._redact = redact
        self._resource_attributes = dict(resource_attributes or {})
        self._resource: tuple[int, Resource] | None = None
        self._scope: InstrumentationScope | None = None
        self.processors = tuple(span_processors)
        """Told of each start and end, on the thread that starts or ends."""
        self._feeds = _feeds(exporters, on_trouble, queue_size)
        self.active = bool(self.processors or self._feeds)
        """True where somebody takes ended spans."""

    # -- spans

    def start_span(
        self,
        name: str,
        parent: Context | None = None,
        start_ns: int | None = None,
        attributes: AttributeSource | None = None,
        owned: bool = False,
        span_id: int = 0,
    ) -> RunSpan:
        """Start a span under the current span of `parent` (default: the current context), or a new trace.

        Args:
            name: The span's name.
            parent: The context to look for the parent in; a remote parent counts as well.
            start_ns: Nanoseconds since the epoch; default now.
            attributes: The run's own; a callable is called only when somebody looks.
            owned: The span ends by `finish` alone.
            span_id: Its id, from `new_span_id`; 0: a new one.
        """
        if start_ns is None:
            start_ns = _clock.now_ns()
        span_id = span_id or new_span_id()
        current = (current_context() if parent is None else parent).get(SPAN_KEY)
        if type(current) is RunSpan:
            span = RunSpan(self, name, current._trace_id, span_id, current, start_ns, attributes, owned)
        else:
            up = valid_context(current) if isinstance(current, Span) else None
            trace_id = new_trace_id() if up is None else up.trace_id
            span = RunSpan(self, name, trace_id, span_id, up, start_ns, attributes, owned)
        if self.processors:
            self.tell_start(span, parent)
        return span

    def tell_start(self, span: RunSpan, parent: Context | None = None) -> None:
        """Tell the processors of a span that started; its parent was to be looked for in `parent`."""
        for processor in self.processors:
            with _ON_START:
                processor.on_start(span, parent_context=parent)  # type: ignore[arg-type] # has all a Span has

    def deliver(self, span: RunSpan) -> None:
        """Hand an ended span to the processors, now, and to the exporters, later."""
        if self.processors:
            with _ON_END:
                readable = span.to_readable(late=True)
                for processor in self.processors:
                    with _ON_END:
                        processor.on_end(readable)
        for feed in self._feeds:
            with _ON_END:
                feed.put(span)

    @property
    def resource(self) -> Resource:
        """OpenTelemetry's resource of this process, made when it is first needed, and anew after a fork."""
        known = self._resource
        if known is None or known[0] != _told[0]:
            known = self._resource = (process.pid(), self._make_resource())
        return known[1]

    def _make_resource(self) -> Resource:
        with attempt("spans.resource", self.tell):
            return Resource.create(self._resource_attributes)
        return Resource(self._resource_attributes)

    @property
    def scope(self) -> InstrumentationScope:
        """The instrumentation scope: `jobspan` and its version."""
        if self._scope is None:
            self._scope = InstrumentationScope(names.SCOPE_NAME, _version())
        return self._scope

    def redacted(self, text: str) -> str:
        """Return `text` without secrets; nothing of it where the redactor fails."""
        with attempt("spans.redact", self.tell):
            return self._redact(text)
        return ""

    def text_of(self, error: BaseException) -> str:
        """Return the redacted text of an exception, its type's name where it has none or cannot be had."""
        text = ""
        with attempt("spans.text", self.tell):
            text = self.redacted(str(error))
        return text or type(error).__name__

    # -- delivery

    def pending(self) -> int:
        """Return how many span deliveries to exporters are still to be made."""
        return sum(feed.pending() for feed in self._feeds)

    @property
    def dropped(self) -> dict[str, int]:
        """How many span deliveries failed for good in this process, by reason."""
        total: dict[str, int] = {}
        for feed in self._feeds:
            for reason, count in feed.dropped.items():
                total[reason] = total.get(reason, 0) + count
        return total

    def force_flush(self, timeout_seconds: float = 10.0) -> bool:
        """Export what has ended; True iff everything ended before this call was exported with SUCCESS.

        Takes `timeout_seconds` at most, however exporters and processors behave. A span that was dropped
        stays unexported: from then on the answer is False in this process, and `dropped` says why.
        """
        deadline = _clock.monotonic() + timeout_seconds
        marks = [feed.flush(deadline) for feed in self._feeds]
        calls = [_call_flush(processor, timeout_seconds) for processor in self.processors]
        processed = self._in_threads("spans.flush", calls, deadline)
        return all([mark.wait(deadline) for mark in marks]) and processed

    def shutdown(self, timeout_seconds: float = 10.0) -> bool:
        """Export what has ended and shut exporters and processors down; True iff all of it was done.

        Takes `timeout_seconds` at most as a whole. What still hangs then is left to a daemon thread, which
        does not keep the interpreter alive.
        """
        begin = _clock.monotonic()
        deadline = begin + timeout_seconds
        marks = [(feed, feed.stop(deadline)) for feed in self._feeds]
        processed = self._in_threads("spans.shutdown", [p.shutdown for p in self.processors], deadline)
        for feed, mark in marks:
            mark.done.wait(max(0.0, begin + timeout_seconds * _INTERRUPT_AT - _clock.monotonic()))
            if not mark.done.is_set():
                feed.interrupt()
        return all([mark.wait(deadline) for _, mark in marks]) and processed

    def _in_threads(self, where: str, calls: Sequence[Callable[[], object]], deadline: float) -> bool:
        """Run somebody else's calls, each in a daemon thread; True iff all ended well in time."""
        outcomes: list[bool] = []

        def run(call: Callable[[], object]) -> None:
            with attempt(where, self.tell, everything=True):
                if call() is not False:
                    outcomes.append(True)

        threads = [
            threading.Thread(target=run, args=(call,), name="jobspan-" + where, daemon=True) for call in calls
        ]
        for thread in threads:
            with attempt("spans.thread", self.tell):
                thread.start()
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - _clock.monotonic()))
        return len(outcomes) == len(calls)


def _feeds(
    exporters: Sequence[SpanExporter], on_trouble: Tell, queue_size: int | None
) -> tuple[ExporterFeed, ...]:
    if not exporters:
        return ()
    from jobspan.spans.feed import QUEUE_SIZE, ExporterFeed  # most programs have no exporter

    size = QUEUE_SIZE if queue_size is None else queue_size
    return tuple(ExporterFeed(exporter, on_trouble, queue_size=size) for exporter in exporters)


def _call_flush(processor: SpanProcessor, timeout_seconds: float) -> Callable[[], object]:
    return lambda: processor.force_flush(int(timeout_seconds * 1000))


def _version() -> str:
    import importlib.metadata  # 10 ms, so only when a span is really exported

    try:
        return importlib.metadata.version(names.SCOPE_NAME)
    except importlib.metadata.PackageNotFoundError:
        return ""
