"""From our span to the SDK's `ReadableSpan`: done off the caller's path, only for spans somebody takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link
from opentelemetry.trace.status import Status

from jobspan._guard import guarded
from jobspan.spans.content import (
    UNSET,
    SpanContent,
    exportable_attributes,
    exportable_text,
)

if TYPE_CHECKING:
    from jobspan.spans.span import AttributeSource, RunSpan


_NOTHING = SpanContent()


def build_readable(
    span: RunSpan,
    content: SpanContent | None,
    sources: Iterable[AttributeSource | None],
    status: Status | None,
) -> ReadableSpan:
    """Return `span` as a ReadableSpan any exporter can encode.

    Args:
        span: The span; where it has not ended, the result has no end time.
        content: What was written on it, if anything.
        sources: The run's own attributes, the later the stronger, all stronger than `content`.
        status: The run's last word; None leaves what `content` says.
    """
    return ReadableSpan(
        name=exportable_text(span.name),
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=_attributes(content or _NOTHING, sources),
        events=_events(content) if content and content.events else (),
        links=_links(content) if content and content.links else (),
        kind=span.kind,
        status=_status(status or (content or _NOTHING).status),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _attributes(content: SpanContent, sources: Iterable[AttributeSource | None]) -> Mapping[str, Any]:
    merged = dict(content.attributes)
    for source in sources:
        if source is not None:
            merged.update(_evaluated(source))
    return exportable_attributes(merged, content.attributes_dropped)


def _evaluated(source: AttributeSource) -> Mapping[str, Any]:
    result: Mapping[str, Any] = {}
    with guarded("spans.attributes"):
        result = source() if callable(source) else source
    return result


def _events(content: SpanContent) -> Sequence[Any]:
    events = [
        Event(exportable_text(event.name), _exportable(event.attributes), event.timestamp)
        for event in list(content.events)
    ]
    return _bounded(events, content.events_dropped)


def _links(content: SpanContent) -> Sequence[Any]:
    links = [Link(link.context, _exportable(link.attributes)) for link in list(content.links)]
    return _bounded(links, content.links_dropped)


def _bounded(items: Iterable[Any], dropped: int) -> Sequence[Any]:
    result = cast(Any, BoundedList).from_seq(None, items)  # its own types say less than strict wants
    result.dropped = dropped
    return cast("Sequence[Any]", result)


def _exportable(attributes: object) -> Mapping[str, Any]:
    assert isinstance(attributes, BoundedAttributes)  # SpanContent makes them so
    return exportable_attributes(attributes)


def _status(status: Status) -> Status:
    if status is UNSET or not status.description:
        return status
    return Status(status.status_code, exportable_text(status.description))
