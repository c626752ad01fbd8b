"""How a span of ours joins a trace."""

from __future__ import annotations

from opentelemetry.trace import SpanContext, TraceFlags
from opentelemetry.trace.span import DEFAULT_TRACE_STATE

from jobspan._guard import guarded

_RANDOM = 0x02
"""The flag that says a trace id is random (W3C trace context, level 2): ours are."""
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_SAMPLED_RANDOM = TraceFlags(TraceFlags.SAMPLED | _RANDOM)


def context_under(parent: SpanContext | None, trace_id: int, span_id: int) -> SpanContext:
    """Return the context of a span under `parent`: its trace state kept, always sampled."""
    if parent is None:
        return SpanContext(trace_id, span_id, False, _SAMPLED_RANDOM, DEFAULT_TRACE_STATE)
    theirs = parent.trace_flags
    flags = _SAMPLED_RANDOM if theirs is _SAMPLED_RANDOM or theirs & _RANDOM else _SAMPLED
    return SpanContext(trace_id, span_id, False, flags, parent.trace_state)


def valid_context(span: object) -> SpanContext | None:
    """Return the context of somebody else's span if a trace can be joined by it."""
    with guarded("spans.parent"):
        context = span.get_span_context()  # type: ignore[attr-defined]
        if isinstance(context, SpanContext) and context.is_valid:
            return context
    return None
