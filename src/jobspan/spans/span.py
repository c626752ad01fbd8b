"""The span of a run: a real OpenTelemetry span that costs almost nothing until somebody looks at it.

The SDK's own span takes 20-26 µs, most of it for things nobody asks for. This one keeps its ids, its
name and its start; its context, its attributes and the true `ReadableSpan` are made when they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Span, SpanContext
from opentelemetry.trace.status import Status, StatusCode

from jobspan import _clock
from jobspan.spans import names
from jobspan.spans._readable import build_readable
from jobspan.spans.attempt import attempt
from jobspan.spans.content import SpanContent
from jobspan.spans.exception import described, exception_attributes, exception_type, stack_of
from jobspan.spans.face import ReadFace
from jobspan.spans.lineage import context_under

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from jobspan.spans.pipeline import SpanPipeline

_first: Any = dict[str, object].setdefault
_OK = Status(StatusCode.OK)

AttributeSource = Mapping[str, Any] | Callable[[], Mapping[str, Any]]
"""A run's own attributes, or a callable that makes them: called when somebody really looks, on any thread."""


class RunSpan(Span, ReadFace):
    """A span that is open; satisfies OpenTelemetry's `Span` and `ReadableSpan` interfaces.

    Every method may be called from any thread and signal handler, at any time; none raises for what it
    is given, and writing after the end is ignored. The span may outlive its end, as a parent.

    Ends by `end` (anybody's, as in any span) or by `finish` (the run's). A span made with `owned=True`
    ends by `finish` alone: code that finds it as the current span (LiteLLM's callback ends its parent,
    and sets it OK) cannot end a run early.
    """

    # What most spans never change stands here, not in `__init__`: that runs for each client.
    _end_ns: int | None = None
    _content: SpanContent | None = None
    _exact_context: SpanContext | None = None
    _hex_ids: tuple[str, str] | None = None
    _final: tuple[AttributeSource | None, Status] | None = None
    _ready: ReadableSpan | None = None

    def __init__(  # pyright: ignore[reportMissingSuperCall] - the SDK's constructor is what we save
        self,
        pipeline: SpanPipeline,
        name: str,
        trace_id: int,
        span_id: int,
        up: RunSpan | SpanContext | None,
        start_ns: int,
        source: AttributeSource | None,
        owned: bool,
    ) -> None:
        self._pipeline = pipeline
        self._label = name
        self._trace_id = trace_id
        self._span_id = span_id
        self._up = up
        self._start_ns = start_ns
        self._source = source
        self._owned = owned

    # -- ending

    def end(self, end_time: int | None = None) -> None:
        """End the span at `end_time` (ns since the epoch, default now); later calls are ignored."""
        if not self._owned and self.take_end(end_time):
            self._pipeline.deliver(self)

    def finish(
        self,
        end_ns: int | None = None,
        *,
        attributes: AttributeSource | None = None,
        error: BaseException | None = None,
        status_ok: bool = True,
        message: str | None = None,
    ) -> None:
        """End the span with the run's last word on its status and attributes.

        The status is OK or ERROR by `status_ok` and `error`, whatever anybody set before. An `error`
        becomes an exception event, `error.type` and the description ``Type: message``. Where nobody takes
        spans, only the end is kept.

        Args:
            end_ns: Nanoseconds since the epoch; default now.
            attributes: The run's own at its end; they win over equal names from elsewhere.
            error: The exception the run was left by, when that makes it fail.
            status_ok: False for a run that went wrong without an exception of its own.
            message: The error's text when it is already redacted, or the reason of a bad end.
        """
        pipeline = self._pipeline
        if not pipeline.active:
            self.take_end(end_ns)
            return
        if self._end_ns is None:
            fine = error is None and status_ok  # as most are
            final = (attributes, _OK) if fine else self._last_word(attributes, error, status_ok, message)
            if self.take_end(end_ns, final):
                pipeline.deliver(self)

    def take_end(
        self, end_ns: int | None, final: tuple[AttributeSource | None, Status] | None = None
    ) -> bool:
        """Claim the one end of this span; True for exactly one caller."""
        mine = object()
        if _first(self.__dict__, "_claim", mine) is not mine:  # one C call: one of two threads gets it
            return False
        self._final = final
        self._end_ns = _clock.now_ns() if end_ns is None else end_ns
        return True

    def _last_word(
        self, attributes: AttributeSource | None, error: BaseException | None, ok: bool, message: str | None
    ) -> tuple[AttributeSource | None, Status]:
        if error is None:
            return attributes, _OK if ok else Status(StatusCode.ERROR, message)
        kind = exception_type(error)
        text = self._pipeline.text_of(error) if message is None else message
        self._add_exception(error, text, None, None, escaped=True)
        self._write().set_attribute(names.ERROR_TYPE, kind)
        return attributes, Status(StatusCode.ERROR, described(error, text))

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        """Record an exception as the SDK does, then end."""
        if exc_val is not None and self._end_ns is None:
            text = self._pipeline.text_of(exc_val)
            self._add_exception(exc_val, text, None, None, escaped=True)
            self.set_status(Status(StatusCode.ERROR, described(exc_val, text)))
        self.end()

    # -- writing

    def _write(self) -> SpanContent:
        content = self._content
        if content is None:
            content = self._content = SpanContent()
        return content

    def _attempt(self) -> attempt:
        return attempt("spans.write", self._pipeline.tell)

    def is_recording(self) -> bool:
        """Return True until the span has ended."""
        return self._end_ns is None

    def set_attribute(self, key: str, value: object) -> None:
        """Set one attribute; a value the SDK would refuse is dropped with its warning."""
        if self._end_ns is None:
            with self._attempt():
                self._write().set_attribute(key, value)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set several attributes."""
        if self._end_ns is None:
            with self._attempt():
                for key, value in attributes.items():
                    self.set_attribute(key, value)

    def add_event(
        self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None
    ) -> None:
        """Add an event at `timestamp` (ns since the epoch, default now)."""
        if self._end_ns is None:
            with self._attempt():
                at = _clock.now_ns() if timestamp is None else timestamp
                self._write().add_event(name, attributes, at)

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        """Link to another span; a link that says nothing is ignored."""
        if self._end_ns is None:
            with self._attempt():
                self._write().add_link(context, attributes)

    def update_name(self, name: str) -> None:
        """Give the span another name."""
        if self._end_ns is None:
            self._label = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status; `finish` has the last word all the same."""
        if self._end_ns is None:
            with self._attempt():
                self._write().set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Add an exception event: its type and redacted message, its stack only where that was asked for."""
        if self._end_ns is None:
            text = self._pipeline.text_of(exception)
            self._add_exception(exception, text, attributes, timestamp, escaped=escaped)

    def _add_exception(
        self,
        error: BaseException,
        text: str,
        attributes: Mapping[str, Any] | None,
        timestamp: int | None,
        *,
        escaped: bool,
    ) -> None:
        with self._attempt():
            said = exception_attributes(error, text, escaped)
            if self._pipeline.stack_traces:
                said[names.EXCEPTION_STACKTRACE] = self._pipeline.redacted(stack_of(error))
            said.update(attributes or {})
            self.add_event(names.EXCEPTION_EVENT, said, timestamp)

    # -- reading

    @property
    def written_attributes(self) -> Mapping[str, Any]:
        """What others wrote onto this span, so far."""
        content = self._content
        return {} if content is None else content.attributes

    def get_span_context(self) -> SpanContext:
        """Return the context children and other processes are joined by; always sampled."""
        context = self._exact_context
        if context is None:
            context = self._exact_context = context_under(self.parent, self._trace_id, self._span_id)
        return context

    @property
    def trace_id(self) -> int:
        """The 128-bit id of the trace."""
        return self._trace_id

    @property
    def span_id(self) -> int:
        """The 64-bit id of this span."""
        return self._span_id

    @property
    def hex_ids(self) -> tuple[str, str]:
        """The ids of the trace and of this span as they are written."""
        ids = self._hex_ids
        if ids is None:
            ids = self._hex_ids = (f"{self._trace_id:032x}", f"{self._span_id:016x}")
        return ids

    @property
    def name(self) -> str:
        return self._label

    @property
    def context(self) -> SpanContext:
        return self.get_span_context()

    @property
    def parent(self) -> SpanContext | None:
        up = self._up
        return up.get_span_context() if isinstance(up, RunSpan) else up

    @property
    def start_time(self) -> int:
        return self._start_ns

    @property
    def end_time(self) -> int | None:
        return self._end_ns

    def to_readable(self, *, late: bool = False) -> ReadableSpan:
        """Return a true `ReadableSpan` of the SDK: of an open span as it is now, of an ended one for good.

        Args:
            late: Make the attributes of an ended span when somebody looks at them.
        """
        if self._end_ns is None:
            return build_readable(self, self._content, (self._source,), None)
        ready = self._ready
        if ready is None:
            later, status = self._final or (None, None)
            ready = self._ready = build_readable(
                self, self._content, (self._source, later), status, late=late
            )
        return ready

    @property
    def resource(self) -> Resource:
        return self._pipeline.resource

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        return self._pipeline.scope

    def __repr__(self) -> str:
        return (
            f"RunSpan(name={self._label!r}, trace_id=0x{self._trace_id:032x}, span_id=0x{self._span_id:016x})"
        )
