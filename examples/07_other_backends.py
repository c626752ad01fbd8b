"""Every run is an OpenTelemetry span: hand it to any exporter, beside the ledger."""

import os
import sys

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter

import jobspan

exporters: list[SpanExporter] = [
    ConsoleSpanExporter(
        sys.stdout, formatter=lambda span: f"span: {span.name} {span.status.status_code.name}\n"
    )
]
if "OTEL_EXPORTER_OTLP_ENDPOINT" in os.environ:  # Jaeger, Langfuse, Grafana, a collector …
    exporters.append(OTLPSpanExporter())

jobspan.configure(exporters=exporters, resource_attributes={"service.name": "lead-scoring"})

with jobspan.job("lead_scoring") as batch:
    with batch.client("Guy-Wilson") as run:
        run.add(leads=3)
        trace.get_current_span().set_attribute("crm.region", "emea")  # the run's own span
        with run.operation("post_scoring"):
            pass

print("delivered:", jobspan.flush(timeout=5))
