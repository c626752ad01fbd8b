# ruff: noqa: PT012 - what leaves a block is what is tested
"""Every run is an ordinary span, and no setting of OpenTelemetry touches the records."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode

import jobspan
from jobspan import client_run, job


@pytest.fixture
def exporter(fresh):
    made = InMemorySpanExporter()
    fresh.configure(exporters=[made])
    return made


def spans(exporter):
    assert jobspan.flush(10)
    return {span.name: span for span in exporter.get_finished_spans()}


def test_every_run_is_a_span_under_the_callers(fresh, exporter):
    tracer = TracerProvider(sampler=TraceIdRatioBased(0)).get_tracer("mine")
    with tracer.start_as_current_span("mine") as mine:
        with (
            pytest.raises(ValueError),
            job("nightly") as j,
            client_run("A") as run,
            run.operation("step") as op,
        ):
            op.add(leads=3)
            raise ValueError("password=hunter2hunter2")
    found = spans(exporter)
    top, client, step = found["job nightly"], found["client_run nightly"], found["operation step"]
    assert top.parent.span_id == mine.get_span_context().span_id
    assert {span.context.trace_id for span in found.values()} == {mine.get_span_context().trace_id}
    assert (client.parent.span_id, step.parent.span_id) == (top.context.span_id, client.context.span_id)
    assert {span.kind for span in found.values()} == {SpanKind.INTERNAL}
    assert dict(step.attributes) == {
        "jobspan.run.id": run.run_id,
        "jobspan.run.kind": "operation",
        "jobspan.job.id": j.run_id,
        "jobspan.job.type": "nightly",
        "jobspan.client.id": "A",
        "jobspan.operation.name": "step",
        "jobspan.status": "Failed",
        "jobspan.count.leads": 3,
        "error.type": "ValueError",
    }
    (event,) = step.events
    assert event.name == "exception"
    assert event.attributes["exception.type"] == "ValueError"
    assert "hunter2" not in step.to_json() + top.to_json()
    assert step.status.status_code is StatusCode.ERROR
    assert (fresh.job().status, fresh.client("A").errors) == ("Failed", 1)


@pytest.mark.parametrize("way", ["exporters", "span_processors"])
def test_what_a_span_says_is_fixed_at_its_end(fresh, way):
    held, exporter = threading.Event(), InMemorySpanExporter()
    if way == "exporters":
        exporter.export = lambda spans, export=exporter.export: held.wait(10) and export(spans)
        fresh.configure(exporters=[exporter])
    else:
        fresh.configure(span_processors=[BatchSpanProcessor(exporter)])
    with job("nightly"), client_run("A") as run:
        run.add(leads=1)
    run.add(leads=1, late=1)
    run.error("late")
    held.set()
    told = spans(exporter)["client_run nightly"].attributes
    assert {name: told[name] for name in told if "count" in name or "status" in name} == {
        "jobspan.status": "Completed",
        "jobspan.count.leads": 1,
    }
    assert fresh.client("A").leads_processed == 2


def test_a_run_opened_by_its_handle_in_a_thread_joins_the_trace_of_its_job(fresh, exporter):
    with job("nightly") as j:

        def work():
            with j.client("A") as run, run.operation("step"):
                pass

        thread = threading.Thread(target=work)
        thread.start()
        thread.join(10)
    found = spans(exporter)
    assert found["client_run nightly"].parent.span_id == found["job nightly"].context.span_id
    assert found["operation step"].parent.span_id == found["client_run nightly"].context.span_id


def test_an_implicit_job_is_the_parent_of_its_client_run(fresh, exporter):
    with client_run("A"):
        pass
    found = spans(exporter)
    assert found["client_run client_run"].parent.span_id == found["job client_run"].context.span_id


def test_the_status_of_a_retried_job_is_that_of_the_winners(fresh, exporter):
    tries = []

    def work(client):
        tries.append(client)
        if len(tries) == 1:
            raise ValueError("first")

    with job("nightly") as j:
        j.map(work, "A", retries=1)
    assert spans(exporter)["job nightly"].attributes["jobspan.status"] == "Completed"


def test_processors_see_start_and_end_on_the_callers_thread(fresh):
    seen = []

    class Processor(SpanProcessor):
        def on_start(self, span, parent_context=None):
            seen.append(("start", span.name, threading.get_ident()))

        def on_end(self, span):
            seen.append(("end", span.name, threading.get_ident()))

    fresh.configure(span_processors=[Processor()])
    with job("nightly"):
        pass
    me = threading.get_ident()
    assert seen == [("start", "job nightly", me), ("end", "job nightly", me)]


def test_a_switched_off_sdk_changes_no_record(fresh):
    script = "import jobspan\nwith jobspan.job('x'), jobspan.client_run('A') as r: r.add(leads=2)"
    off = {
        "OTEL_SDK_DISABLED": "true",
        "OTEL_TRACES_SAMPLER": "always_off",
        "OTEL_ATTRIBUTE_COUNT_LIMIT": "1",
    }
    subprocess.run(
        [sys.executable, "-c", script], env={**fresh.env, **off}, check=True, timeout=60, cwd=os.getcwd()
    )
    assert fresh.client("A").leads_processed == 2
    assert fresh.job().status == "Completed"
