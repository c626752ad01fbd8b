"""What the SDK's `ReadableSpan` shows, read from a snapshot of our span."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanKind
from opentelemetry.trace.status import Status


class ReadFace(ReadableSpan, abc.ABC):
    """The rarely read half of a span's face; each look makes a snapshot while the span is open."""

    __slots__ = ()

    @abc.abstractmethod
    def to_readable(self, *, late: bool = False) -> ReadableSpan:
        """Return a true `ReadableSpan` of the SDK; `late`: with attributes made when somebody looks."""

    def _readable_span(self) -> ReadableSpan:
        """Do as the SDK's span does: some processors call this."""
        return self.to_readable()

    @property
    def kind(self) -> SpanKind:
        return SpanKind.INTERNAL

    @property
    def status(self) -> Status:
        return self.to_readable().status

    @property
    def attributes(self) -> Mapping[str, Any]:
        return self.to_readable().attributes or {}

    @property
    def events(self) -> Sequence[Event]:
        return self.to_readable().events

    @property
    def links(self) -> Sequence[Link]:
        return self.to_readable().links

    @property
    def dropped_attributes(self) -> int:
        return self.to_readable().dropped_attributes

    @property
    def dropped_events(self) -> int:
        return self.to_readable().dropped_events

    @property
    def dropped_links(self) -> int:
        return self.to_readable().dropped_links

    def to_json(self, indent: int | None = 4) -> str:
        """Return the span as the console exporter prints it."""
        text: str = self.to_readable().to_json(indent)
        return text
