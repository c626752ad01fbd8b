"""What is written on a span while it runs: attributes, events, links, status.

Made on first use, bounded like the SDK's defaults whatever the OTEL_* limits say, and without a lock: a
signal handler may write on a span its own thread is writing on. Two threads writing at once lose nothing
but, at worst, a count of what was dropped.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any, cast

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event
from opentelemetry.trace import Link, SpanContext
from opentelemetry.trace.status import Status, StatusCode

MAX_ATTRIBUTES = 128
MAX_EVENTS = 128
MAX_LINKS = 128
"""The SDK's defaults."""

_PLAIN = frozenset({str, int, float, bool})
_INT64 = 1 << 63

UNSET = Status(StatusCode.UNSET)


class SpanContent:
    """The attributes, events, links and status somebody gave a span."""

    __slots__ = (
        "attributes",
        "attributes_dropped",
        "events",
        "events_dropped",
        "links",
        "links_dropped",
        "status",
    )

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}
        self.attributes_dropped = 0
        self.events: collections.deque[Event] = collections.deque(maxlen=MAX_EVENTS)
        self.events_dropped = 0
        self.links: collections.deque[Link] = collections.deque(maxlen=MAX_LINKS)
        self.links_dropped = 0
        self.status = UNSET

    def set_attribute(self, key: object, value: object) -> None:
        """Store one attribute, cleaned as the SDK cleans it; a bad key is dropped with its warning."""
        if type(key) is str and key and type(value) in _PLAIN:
            self._store(key, value)
            return
        cleaned = clean({cast(str, key): value})
        self.attributes_dropped += cleaned.dropped
        for name in cleaned:
            self._store(name, cleaned[name])

    def _store(self, key: str, value: object) -> None:
        attributes = self.attributes
        attributes.pop(key, None)  # as the SDK does: a value set again is the newest
        if len(attributes) >= MAX_ATTRIBUTES:
            attributes.pop(list(attributes)[0], None)  # noqa: RUF015 - one C call, so safe beside other threads
            self.attributes_dropped += 1
        attributes[key] = value

    def add_event(self, name: str, attributes: Mapping[str, Any] | None, timestamp_ns: int) -> None:
        """Add one event; beyond the bound the oldest goes."""
        if len(self.events) == MAX_EVENTS:
            self.events_dropped += 1
        self.events.append(Event(name, clean(attributes, MAX_ATTRIBUTES), timestamp_ns))

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None) -> None:
        """Add one link if it says anything; beyond the bound the oldest goes."""
        if not (context and (context.is_valid or attributes or context.trace_state)):
            return
        if len(self.links) == MAX_LINKS:
            self.links_dropped += 1
        self.links.append(Link(context, clean(attributes, MAX_ATTRIBUTES)))

    def set_status(self, status: object, description: str | None) -> None:
        """Set the status by the SDK's rules: OK is final, UNSET is ignored."""
        if self.status.status_code is StatusCode.OK:
            return
        if isinstance(status, Status):
            wanted = status
        elif isinstance(status, StatusCode):
            wanted = Status(status, description)
        else:
            return
        if wanted.status_code is not StatusCode.UNSET:
            self.status = wanted


def clean(attributes: Mapping[str, Any] | None, limit: int | None = None) -> BoundedAttributes:
    """Return `attributes` as the SDK would keep them: checked, copied, bounded.

    Raises whatever a hostile value's own methods raise.
    """
    return BoundedAttributes(limit, attributes, immutable=True)


def exportable_text(text: object) -> str:
    """Return `text` with lone surrogates escaped: one of them would fail an exporter's whole batch."""
    if not isinstance(text, str):
        text = str(text)
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def exportable(value: Any) -> Any:
    """Return an attribute value every exporter can encode.

    Lone surrogates are escaped, bytes (no JSON) become text, an integer beyond 64 bits (no protobuf) a
    float or, where even that ends, infinity.
    """
    if isinstance(value, str):
        return exportable_text(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if -_INT64 <= value < _INT64 else _as_float(value)
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping):
        items = cast(Any, value).items()
        return {exportable_text(key): exportable(inner) for key, inner in items}
    if isinstance(value, list | tuple):
        return tuple(exportable(inner) for inner in cast("Sequence[Any]", value))
    return value


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def exportable_attributes(attributes: Mapping[Any, Any], dropped: int = 0) -> Mapping[str, Any]:
    """Return attributes, clean or not, in values every exporter takes, with the count of what was dropped.

    The usual ones (ASCII texts, numbers) go the short way: a span of a run has five to ten of them.
    """
    if isinstance(attributes, BoundedAttributes):
        dropped += attributes.dropped
    if not dropped and all(_is_plain_key(key) and _is_plain(attributes[key]) for key in attributes):
        return dict(attributes)
    cleaned = attributes
    if not isinstance(attributes, BoundedAttributes):
        cleaned = clean(attributes)
        dropped += cleaned.dropped
    converted = {exportable_text(key): exportable(cleaned[key]) for key in cleaned}
    result = BoundedAttributes(None, converted, immutable=True)
    result.dropped = dropped
    return result


def _is_plain_key(key: Any) -> bool:
    return type(key) is str and key.isascii() and key != ""


def _is_plain(value: object) -> bool:
    if type(value) is str:
        return value.isascii()
    if type(value) is int:
        return -_INT64 <= value < _INT64
    return type(value) is float or type(value) is bool
