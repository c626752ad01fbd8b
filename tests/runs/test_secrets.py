# ruff: noqa: PT012 - what leaves a block is what is tested
"""No secret reaches the disk, a span or a log line."""

from __future__ import annotations

import logging

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import jobspan
from jobspan import JobTracking, client_run, job, operation

SECRET = "patAbCdEf12345678.0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
ENV_SECRET = "correct-horse-battery-staple"


def record_everything(secret):
    long = "x" * 3_990 + " " + secret + " " + "y" * 9_000
    with job(f"job {secret}") as j, client_run(f"client {secret}") as run, operation(f"op {secret}") as op:
        for text in (secret, long, secret + "\n" + "z" * 5_000):
            op.note(text)
            op.error(text, item=text)
            op.error(ValueError(text), item=text)
        op.item(secret, leads=1)
        op.item(secret + "2", leads=1)
        run.set(system_notes=secret, error=secret, start_time=secret)
        run.record_cost(f"source {secret}", "0.1", id=secret)
        run.record_usage(input_tokens=1, model=f"model {secret}", provider=secret, id=secret)
        run.cancel(secret)
        for each in j.clients([{"key": secret}], key="id"):
            with each:
                pass
        j.set(apify_run_id=secret)
        with pytest.raises(RuntimeError), client_run("B"):
            raise RuntimeError(f"token={secret}") from ValueError(secret)
    with job("skipping"), client_run("A") as run:
        run.skip(secret)
    tracking = JobTracking()
    run_id = tracking.create_job(
        job_type=f"tracked {secret}", system_notes=secret, apify_run_id=secret
    ).run_id
    tracking.create_client_run(run_id, secret)
    assert tracking.complete_client_run(run_id, secret, start_time=secret)


@pytest.mark.parametrize("secret", [SECRET, ENV_SECRET], ids=["token", "environment"])
def test_a_secret_is_nowhere(fresh, monkeypatch, caplog, secret):
    monkeypatch.setenv("SCRAPER_PASSWORD", ENV_SECRET)
    exporter = InMemorySpanExporter()
    fresh.configure(exporters=[exporter])
    caplog.set_level(logging.DEBUG)
    record_everything(secret)
    assert jobspan.flush(10)
    assert secret not in fresh.journal()
    assert secret not in str([span.to_json() for span in exporter.get_finished_spans()])
    assert secret not in caplog.text
    assert secret not in str(jobspan.health())
    assert any(run.leads_processed == 2 for record in fresh.jobs() for run in record.client_runs)


def test_clients_whose_ids_hold_secrets_stay_apart(fresh):
    with job("nightly") as j:
        for tail in ("a", "b", "a"):
            with client_run(SECRET + tail) as run:
                run.add(leads=1)
    assert sorted(run.leads_processed for run in fresh.job().client_runs) == [1, 2]
    assert JobTracking().get_client_run(j.run_id, SECRET + "a").leads_processed == 2


def test_a_redactor_that_fails_lets_nothing_through_and_stops_nothing(fresh):
    def fails(text):
        raise RuntimeError("no")

    fresh.configure(redactor=fails, strict=False)
    with pytest.raises(ValueError, match="private"), job("nightly"), client_run("A") as run:
        run.note("private")
        raise ValueError("private")
    assert "private" not in fresh.journal()
    record = fresh.job()
    assert (record.status, record.client_runs[0].client_id) == ("Failed", "A")
    assert record.error.startswith("ValueError")
    assert not jobspan.health().ok


def test_nothing_of_arguments_and_results_is_stored(fresh):
    @job
    def work(clients):
        for run in jobspan.current_job().clients(clients, key="missing"):
            with run:
                pass
        return jobspan.current_job().map(lambda client: client["id"] + " result", clients, key="id")

    work([{"id": "known", "more": "private matter"}])
    assert "private matter" not in fresh.journal()
    assert "known result" not in fresh.journal()
