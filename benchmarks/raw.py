"""What jobspan is measured beside: spans by a BatchSpanProcessor whose exporter does nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import jobspan


class NothingExporter(SpanExporter):
    """Takes spans and drops them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


@contextmanager
def raw_provider(exporter: SpanExporter | None = None) -> Iterator[TracerProvider]:
    """Give the provider, and shut it down; with another exporter than the one that does nothing."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter or NothingExporter()))
    try:
        yield provider
    finally:
        provider.shutdown()


@contextmanager
def ledger_beside_raw() -> Iterator[TracerProvider]:
    """Give the provider while jobspan writes to a ledger of its own on a disk."""
    with raw_provider() as provider, tempfile.TemporaryDirectory() as folder:
        jobspan.configure(ledger=Path(folder) / "ledger.db")
        yield provider
        jobspan.shutdown()
