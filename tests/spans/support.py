"""Exporters and processors that behave as told, and a pipeline that collects its troubles."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import jobspan
from jobspan.spans.pipeline import SpanPipeline


class Scripted(SpanExporter):
    """Collects spans; `behave` may raise, wait or give another result first."""

    def __init__(self, behave: Any = None) -> None:
        self.spans: list[ReadableSpan] = []
        self.batches: list[int] = []
        self.threads: set[str] = set()
        self.shutdowns = 0
        self._behave = behave

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.threads.add(threading.current_thread().name)
        result = self._behave() if self._behave else None
        if isinstance(result, SpanExportResult):
            return result
        self.spans.extend(spans)
        self.batches.append(len(spans))
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.shutdowns += 1

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]


class Troubles:
    """Remembers what `on_trouble` was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, BaseException | str]] = []

    def __call__(self, where: str, error: BaseException | str) -> None:
        self.told.append((where, error))

    @property
    def places(self) -> set[str]:
        return {where for where, _ in self.told}

    @property
    def texts(self) -> list[str]:
        return [error for _, error in self.told if isinstance(error, str)]


def collecting(**settings: Any) -> tuple[SpanPipeline, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    return SpanPipeline(exporters=[exporter], **settings), exporter


def exported(pipeline: SpanPipeline, exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    assert pipeline.force_flush(10)
    return list(exporter.get_finished_spans())


def under(span: trace.Span) -> Context:
    return trace.set_span_in_context(span, Context())


def as_json(span: ReadableSpan) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(span.to_json())
    return found


class Stopwatch:
    def __enter__(self) -> Stopwatch:
        self._begin = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._begin


def run_program(program: str, *, timeout: float = 30, **environment: str) -> str:
    """Run Python source in a process of its own; return what it printed."""
    source = str(Path(jobspan.__file__).parents[1])
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "PYTHONPATH": source, **environment},
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout
