"""The procedural face: any process of the ledger, by run id."""

from __future__ import annotations

import multiprocessing
import sqlite3
import time
from decimal import Decimal

import pytest

import jobspan
from jobspan import JobTracking, UsageError, client_run, job


@pytest.fixture
def tracking(fresh):
    return JobTracking()


def test_a_job_goes_from_its_creation_to_its_end(fresh, tracking):
    run_id = tracking.generate_run_id()
    created = tracking.create_job(run_id, job_type="lead_scoring", apify_run_id="abc")
    assert (created.outcome, created.run_id, bool(created)) == ("done", run_id, True)
    assert created.record.status == "Running"
    client = tracking.create_client_run(run_id, "Guy-Wilson", posts_processed=3)
    assert client.run_id == f"{run_id}-Guy-Wilson"
    tracking.update_client_run(run_id, "Guy-Wilson", add={"leads_processed": 40})
    tracking.update_client_run(run_id, "Guy-Wilson", add={"leads_processed": 55}, system_notes="two pages")
    done = tracking.complete_client_run(run_id, "Guy-Wilson", prompt_tokens=7, apify_api_costs="0.5")
    assert (done.record.posts_processed, done.record.leads_processed) == (3, 95)
    assert (done.record.prompt_tokens, done.record.apify_api_costs) == (7, Decimal("0.5"))
    assert done.record.status == "Completed"
    assert "two pages" in done.record.system_notes
    ended = tracking.complete_job(run_id)
    assert ended.record == tracking.get_job(run_id) == fresh.job()
    assert (ended.record.status, ended.record.items_processed) == ("Completed", 98)
    assert ended.record.apify_run_id == "abc"
    assert tracking.get_client_run(run_id, "Guy-Wilson") == ended.record.client_runs[0]


def test_what_is_unknown_is_not_found_and_not_created(fresh, tracking):
    assert tracking.update_job("250101-000000", items_processed=1).outcome == "not_found"
    assert tracking.complete_job("250101-000000").outcome == "not_found"
    assert tracking.create_client_run("250101-000000", "A").outcome == "not_found"
    assert tracking.get_job("250101-000000") is None
    run_id = tracking.create_job(job_type="x").run_id
    assert not tracking.complete_client_run(run_id, "A")
    assert not tracking.update_client_run(run_id, "A", add={"leads_processed": 1})
    assert tracking.get_client_run(run_id, "A") is None
    assert fresh.job().client_runs == ()


def test_creating_twice_makes_one_record(fresh, tracking):
    run_id = tracking.create_job(job_type="x").run_id
    assert tracking.create_job(run_id, job_type="x", system_notes="again")
    for _ in range(2):
        tracking.create_client_run(run_id, "A", leads_processed=5)
    assert fresh.job().client_runs[0].leads_processed == 5


def create(barrier, run_id):
    tracking = JobTracking()
    barrier.wait(20)
    tracking.create_job(run_id, job_type="x")
    tracking.create_client_run(run_id, "A")
    tracking.update_client_run(run_id, "A", add={"leads_processed": 10, "found": 1})


def test_four_processes_at_once_make_one_record_and_add_up(fresh, tracking):
    context = multiprocessing.get_context("fork")
    barrier, run_id = context.Barrier(4), tracking.generate_run_id()
    workers = [context.Process(target=create, args=(barrier, run_id)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    record = fresh.job()
    assert len(record.client_runs) == 1
    assert record.client_runs[0].leads_processed == 40
    assert record.client_runs[0].counts["found"] == 4


def test_a_setting_takes_the_place_of_what_was_added_before(fresh, tracking):
    run_id = tracking.create_job(job_type="x").run_id
    tracking.create_client_run(run_id, "A", add={"leads_processed": 7})
    tracking.update_client_run(run_id, "A", leads_processed=100)
    tracking.update_client_run(run_id, "A", add={"leads_processed": 5})
    assert tracking.get_client_run(run_id, "A").leads_processed == 105


def test_errors_can_be_set_and_added(fresh, tracking):
    run_id = tracking.create_job(job_type="x").run_id
    tracking.create_client_run(run_id, "A", errors=2)
    tracking.update_client_run(run_id, "A", add={"errors": 3})
    done = tracking.complete_client_run(run_id, "A")
    assert (done.record.errors, done.record.status) == (5, "Completed_with_errors")


def test_completing_twice_keeps_the_first_end_and_the_second_numbers(fresh, tracking):
    run_id = tracking.create_job(job_type="x").run_id
    tracking.create_client_run(run_id, "A")
    first = tracking.complete_client_run(run_id, "A", "Failed")
    second = tracking.complete_client_run(run_id, "A", "Completed", leads_processed=9)
    assert (second.record.status, second.record.end_time) == ("Failed", first.record.end_time)
    assert second.record.leads_processed == 9


def test_the_derived_status_stands(fresh, tracking):
    run_id = tracking.create_job(job_type="x", status="Completed").run_id
    tracking.create_client_run(run_id, "A")
    assert tracking.complete_job(run_id, "Completed").record.status == "Running"
    tracking.complete_client_run(run_id, "A", "Timed_out")
    assert tracking.get_job(run_id).status == "Timed_out"


def test_a_run_made_by_a_block_takes_updates_and_keeps_its_life(fresh, tracking):
    with job("nightly") as j, client_run("A") as run:
        run.add(leads=1)
        assert tracking.update_client_run(j.run_id, "A", add={"leads_processed": 4})
        assert tracking.create_client_run(j.run_id, "A").record.status == "Running"
        assert tracking.create_job(j.run_id, job_type="nightly").record.status == "Running"
    record = fresh.job()
    assert (record.status, record.client_runs[0].leads_processed) == ("Completed", 5)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda t: t.create_job(job_type="x", itmes_processed=1), "items_processed"),
        (lambda t: t.update_job("250101-000000", error_text="x"), "takes no"),
        (lambda t: t.create_client_run("250101-000000", "A", leads=1), "leads_processed"),
        (lambda t: t.create_job(job_type=7), "job type"),
        (lambda t: t.create_job(7, job_type="x"), "run_id"),
        (lambda t: t.get_job("a\ud800"), "run_id"),
        (lambda t: t.complete_job("250101-000000", "Done"), "unknown status"),
        (lambda t: t.update_job("250101-000000", status="Done"), "unknown status"),
        (lambda t: t.complete_job("250101-000000", "Running"), "Running"),
        (lambda t: t.update_job("250101-000000", add=3), "mapping"),
        (lambda t: t.update_job("250101-000000", add={"error": 3}), "numbers"),
        (lambda t: t.create_client_run("250101-000000", None), "client id"),
        (lambda t: JobTracking(deadline=-1), "deadline"),
    ],
)
def test_wrong_use_is_told_at_once(fresh, tracking, call, text):
    with pytest.raises(UsageError, match=text):
        call(tracking)


def test_bad_values_are_left_out_and_noted(fresh, tracking):
    class Unprintable:
        def __str__(self):
            raise RuntimeError

    done = tracking.create_job(
        job_type="x", items_processed=-1, cost_usd="98%", start_time="soon", error=Unprintable()
    )
    assert done.record.items_processed is None
    assert "items_processed was left out" in done.record.system_notes
    assert "start_time was left out" in done.record.system_notes


def test_a_ledger_that_cannot_be_read_is_unavailable_soon_and_never_raises(fresh, tracking, monkeypatch):
    run_id = tracking.create_job(job_type="x").run_id
    jobspan.flush(5)
    fresh.configure(strict=False, ledger=fresh.folder / "broken")
    (fresh.folder / "broken").mkdir(exist_ok=True)
    begin = time.monotonic()
    assert tracking.create_job(run_id, job_type="x").outcome == "unavailable"
    assert tracking.update_job(run_id, items_processed=1).outcome == "unavailable"
    assert tracking.get_job(run_id) is None
    assert time.monotonic() - begin < 7
    assert not jobspan.health().ok


def test_a_locked_ledger_is_answered_within_about_two_seconds(fresh, tracking):
    run_id = tracking.create_job(job_type="x").run_id
    jobspan.flush(5)
    lock = sqlite3.connect(fresh.ledger, isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    try:
        begin = time.monotonic()
        result = tracking.update_job(run_id, items_processed=3)
        assert time.monotonic() - begin < 3.5
        assert result.outcome in ("done", "unavailable")
    finally:
        lock.rollback()
        lock.close()
    if result:
        assert tracking.get_job(run_id).items_processed == 3


def test_nothing_is_recorded_in_mode_disabled(fresh, tracking):
    fresh.configure(mode="disabled")
    assert tracking.create_job(job_type="x").outcome == "unavailable"
    fresh.configure(mode="online")
    assert fresh.jobs() == []
