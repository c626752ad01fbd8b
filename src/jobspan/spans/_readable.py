"""From our span to the SDK's `ReadableSpan`: only for spans somebody takes, and no more than they look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
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
_Sources = Iterable["AttributeSource | None"]


class _LateAttributes(MutableMapping[str, Any]):
    """The attributes of an ended span on which nobody else wrote: made when they are looked at, once.

    A processor that only queues its spans has the thread that exports them look.
    """

    __slots__ = ("__dict__", "_sources")

    def __init__(self, sources: _Sources) -> None:
        self._sources = sources

    def _made(self) -> dict[str, Any]:
        known: dict[str, dict[str, Any]] = self.__dict__
        if "made" not in known:  # one C call keeps one of what two threads may have made
            known.setdefault("made", dict(_attributes(_NOTHING, self._sources)))
        return known["made"]

    def __getitem__(self, key: str) -> Any:
        return self._made()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._made()[key] = value

    def __delitem__(self, key: str) -> None:
        del self._made()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made())

    def __len__(self) -> int:
        return len(self._made())

    def __repr__(self) -> str:
        return repr(self._made())

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any]]]:
        return dict, (self._made(),)


def build_readable(
    span: RunSpan,
    content: SpanContent | None,
    sources: _Sources,
    status: Status | None,
    *,
    late: bool = False,
) -> ReadableSpan:
    """Return `span` as a ReadableSpan any exporter can encode.

    Args:
        span: The span; where it has not ended, the result has no end time.
        content: What was written on it, if anything.
        sources: The run's own attributes, the later the stronger, all stronger than `content`.
        status: The run's last word; None leaves what `content` says.
        late: Evaluate the sources when somebody looks at the attributes, if nobody else wrote any.
    """
    pipeline = span._pipeline
    return ReadableSpan(
        name=exportable_text(span._label),
        context=span.get_span_context(),
        parent=span.parent,
        resource=pipeline.resource,
        attributes=(
            _LateAttributes(sources)
            if late and content is None
            else _attributes(content or _NOTHING, sources)
        ),
        events=_events(content) if content and content.events else (),
        links=_links(content) if content and content.links else (),
        status=_status(status or (content or _NOTHING).status),
        start_time=span._start_ns,
        end_time=span._end_ns,
        instrumentation_scope=pipeline.scope,
    )


def _attributes(content: SpanContent, sources: _Sources) -> Mapping[str, Any]:
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
