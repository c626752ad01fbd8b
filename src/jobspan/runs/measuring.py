"""What the metrics of OpenTelemetry are told of a run that ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobspan.spans.span import RunSpan

if TYPE_CHECKING:
    from jobspan.runs.handle import RunHandle


def tell_metrics(run: RunHandle, end_ns: int) -> None:
    """Tell the metrics that a run ended."""
    fields = run.log_fields()
    started = run.span.start_time if isinstance(run.span, RunSpan) else end_ns
    run.owner_runtime.metrics.closed(
        "" if run.kind == "operation" else run.client_key or run.uid,
        max(0, end_ns - started) / 1e9,
        run.kind,
        fields["job_type"],
        run.local_status.value,
        fields["client_id"],
    )
