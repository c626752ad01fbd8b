"""The fixtures users put into their own tests."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest

import jobspan
from jobspan import _clock, _runtime
from jobspan._guard import guard
from jobspan.model.status import Status
from jobspan.runs.current import live_run
from jobspan.testing.airtable import AirtableServer
from jobspan.testing.captured import CapturedJobs, capturing
from jobspan.testing.plugin import airtable_server, capjobs
from tests.program import run_python
from tests.testing.installed import python_path

__all__ = ["airtable_server", "capjobs"]
JOBS, CLIENT_RUNS = "Job Tracking", "Client Run Results"


def to(server: AirtableServer) -> dict[str, str]:
    return {"api_key": server.token, "base_id": server.base_id, "endpoint_url": server.url}


def test_records_are_read_on_access(capjobs: CapturedJobs) -> None:
    assert (capjobs.jobs, capjobs.client_runs) == ([], [])
    with jobspan.job("import") as job:
        (running,) = capjobs.jobs
        assert (running.run_id, running.status) == (job.run_id, Status.RUNNING)
        with job.client("Acme") as run:
            run.add(posts=3)
            assert capjobs.client_runs[0].posts_processed == 3
            run.add(posts=4)
    assert capjobs.jobs[0].status is Status.COMPLETED
    assert capjobs.client_runs[0].posts_processed == 7


def test_jobs_and_client_runs_come_in_the_order_of_their_start(capjobs: CapturedJobs) -> None:
    for number in range(12):
        with jobspan.job(f"job-{number}") as job:
            for client in range(3):
                with job.client(f"client-{number}-{client}"):
                    capjobs.clock.advance(0.01)
    assert [job.job_type for job in capjobs.jobs] == [f"job-{number}" for number in range(12)]
    wanted = [f"client-{number}-{client}" for number in range(12) for client in range(3)]
    assert [run.client_id for run in capjobs.client_runs] == wanted


def test_the_clock_stands_still_until_it_is_advanced(capjobs: CapturedJobs) -> None:
    with jobspan.job("slow") as job, job.client("Acme"):
        capjobs.clock.advance(90.5)
    (job_record,), (run,) = capjobs.jobs, capjobs.client_runs
    for record in (job_record, run):
        assert record.start_time is not None
        assert record.end_time is not None
        assert record.end_time - record.start_time == timedelta(seconds=90.5)
    assert job_record.run_id == job_record.start_time.strftime("%y%m%d-%H%M%S")  # type: ignore[union-attr]


def test_the_same_work_gives_the_same_rows_in_every_test(capjobs: CapturedJobs) -> None:
    with jobspan.job("import") as job, job.client("Acme") as run:
        run.add(leads=2)
        capjobs.clock.advance(1)
    first = capjobs.airtable
    with pytest.MonkeyPatch.context() as patch, capturing() as second:
        patch.setenv("JOBSPAN_LEDGER", f"{_runtime.runtime().settings.ledger}-2")
        jobspan.configure()
        with jobspan.job("import") as job, job.client("Acme") as run:
            run.add(leads=2)
            second.clock.advance(1)
        assert second.airtable == first


def test_rows_are_cells_by_column_without_empty_ones(capjobs: CapturedJobs) -> None:
    @jobspan.job("import")
    def work() -> None:
        with jobspan.client_run("Acme") as run:
            run.add(posts=3, leads=2)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        work()
    (job_row,), (run_row,) = capjobs.airtable[JOBS], capjobs.airtable[CLIENT_RUNS]
    assert job_row["Status"] == "Failed"
    assert "disk full" in job_row["Error"]
    assert job_row["Items Processed"] == 5
    assert run_row["Run ID"] == f"{job_row['Run ID']}-Acme"
    assert (run_row["Posts Processed"], run_row["Leads Processed"]) == (3, 2)
    assert "Prompt Tokens" not in run_row
    assert "Apify Run ID" not in job_row


def test_the_rows_are_those_the_strict_server_gets(
    capjobs: CapturedJobs, airtable_server: AirtableServer
) -> None:
    jobspan.configure(mode="online", airtable=to(airtable_server))
    with jobspan.job("import") as job:
        for number in range(12):
            with job.client(f"client-{number}") as run:
                run.add(posts=number)
                if number % 3 == 0:
                    run.error(ValueError(f"no {number}"))
                capjobs.clock.advance(1)
        with job.client("idle") as run:
            run.skip("tier Basic")
    assert jobspan.flush(20)
    for table in (JOBS, CLIENT_RUNS):
        there = {row["Run ID"]: row for row in airtable_server.rows(table)}
        ours = {row["Run ID"]: row for row in capjobs.airtable[table]}
        assert sorted(there) == sorted(ours)
        for run_id, row in ours.items():
            shown = dict(there[run_id])
            del shown["id"]
            notes, _, mark = shown.pop("System Notes").rpartition("\n")
            assert mark.startswith("jobspan ")
            assert {**shown, "System Notes": notes} == row
    assert airtable_server.rate_limited == 0


def test_columns_and_labels_that_are_set_are_used(capjobs: CapturedJobs) -> None:
    columns = {"leads_processed": "Leads", "errors": None, "jobs": "Jobs Found"}
    labels = {"Completed": "Done"}
    jobspan.configure(
        airtable={"client_run_table": "Runs", "client_run_columns": columns, "status_labels": labels}
    )
    with jobspan.job("import") as job, job.client("Acme") as run:
        run.add(leads=2, jobs=5)
    (row,) = capjobs.airtable["Runs"]
    assert (row["Leads"], row["Jobs Found"], row["Status"]) == (2, 5, "Done")
    assert "Errors" not in row


@pytest.mark.parametrize(
    ("project", "shown"),
    [("all", ["good", "bad", "open"]), ("terminal", ["good", "bad"]), ("exceptions", ["bad"]), ("jobs", [])],
)
def test_a_projection_leaves_rows_out(capjobs: CapturedJobs, project: str, shown: list[str]) -> None:
    jobspan.configure(airtable={"project": project})
    with jobspan.job("import") as job:
        for name in ("good", "bad"):
            with job.client(name) as run:
                capjobs.clock.advance(1)
                if name == "bad":
                    run.error(ValueError("no"))
        with job.client("open"):
            assert [row["Client ID"] for row in capjobs.airtable[CLIENT_RUNS]] == shown
            assert len(capjobs.airtable[JOBS]) == 1


def test_code_that_configures_itself_stays_offline_on_the_ledger_of_the_test(
    capjobs: CapturedJobs, airtable_server: AirtableServer
) -> None:
    with jobspan.job("before"):
        pass
    jobspan.configure(airtable=to(airtable_server), timezone="Europe/Berlin")
    with jobspan.job("after"):
        pass
    assert [job.job_type for job in capjobs.jobs] == ["before", "after"]
    assert jobspan.flush(5)
    assert airtable_server.requests == []


def test_rows_held_back_after_a_broken_connection_are_sent_once_the_clock_is_advanced(
    capjobs: CapturedJobs, airtable_server: AirtableServer
) -> None:
    airtable_server.fail("reset", when="after", times=1, method="PATCH")
    jobspan.configure(mode="online", airtable=to(airtable_server))
    with jobspan.job("import") as job, job.client("Acme") as run:
        run.add(leads=1)
    assert not jobspan.flush(1.5)
    capjobs.clock.advance(60)
    assert jobspan.flush(20)
    assert [len(airtable_server.rows(table)) for table in (JOBS, CLIENT_RUNS)] == [1, 1]


def test_client_runs_that_start_at_one_instant_keep_their_order(capjobs: CapturedJobs) -> None:
    with jobspan.job("import") as job:
        for number in range(40):
            with job.client(f"client-{number}"):
                pass
    assert [run.client_id for run in capjobs.client_runs] == [f"client-{number}" for number in range(40)]
    assert [row["Client ID"] for row in capjobs.airtable[CLIENT_RUNS]][:2] == ["client-0", "client-1"]


def test_runs_of_threads_are_read_too(capjobs: CapturedJobs) -> None:
    with jobspan.job("import") as job:

        def work() -> None:
            with job.client("Acme") as run:
                run.add(leads=2)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert [(run.client_id, run.leads_processed) for run in capjobs.client_runs] == [("Acme", 2)]


@pytest.mark.parametrize("seconds", [0, -1, 1e-7])
def test_the_clock_never_goes_backwards(capjobs: CapturedJobs, seconds: float) -> None:
    before = capjobs.clock.now_ns()
    with pytest.raises(ValueError, match="microsecond"):
        capjobs.clock.advance(seconds)
    capjobs.clock.advance(1e-6)
    for _ in range(2000):
        capjobs.clock.now_ns()
    late = capjobs.clock.now_ns()
    capjobs.clock.advance(1e-6)
    assert before < late < capjobs.clock.now_ns() < before + 3000


def test_everything_is_as_before_when_the_test_ends(tmp_path: Path) -> None:
    def state() -> tuple[object, ...]:
        return _runtime._runtime, guard.strict, guard.describe, _clock._clock, live_run()

    before = state()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOBSPAN_LEDGER", str(tmp_path / "ledger.db"))
        patch.setenv("JOBSPAN_STRICT", "1")
        with capturing() as captured:
            assert _clock.now_ns() // 1000 == captured.clock.now_ns() // 1000 == 1_750_000_000_000_000
            assert guard.strict
            jobspan.job("left open").__enter__()
            assert [job.job_type for job in captured.jobs] == ["left open"]
            assert state() != before
    assert state() == before
    assert _clock.now_ns() > 1_750_000_000_000_000_000 + 10**15


def test_troubles_of_other_tests_are_not_seen(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOBSPAN_LEDGER", str(tmp_path / "ledger.db"))
        guard.note("somewhere", "before the test")
        with capturing():
            assert jobspan.health().ok
            guard.note("somewhere", "in the test")
            assert not jobspan.health().ok
    assert guard.counts() == {}


def test_a_test_inside_of_a_job_records_outside_of_it(capjobs: CapturedJobs) -> None:
    with jobspan.job("outer") as outer:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("JOBSPAN_LEDGER", f"{_runtime.runtime().settings.ledger}-2")
            with capturing() as inner, jobspan.job("inner"):
                assert [job.job_type for job in inner.jobs] == ["inner"]
        assert live_run() is not None
        assert jobspan.current_run().run_id == outer.run_id
    assert [job.job_type for job in capjobs.jobs] == ["outer"]


def test_a_failing_test_leaves_the_next_one_alone(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(
        "import jobspan\n"
        "def test_fails(capjobs):\n"
        "    jobspan.job('left open').__enter__()\n"
        "    assert not capjobs.jobs\n"
        "def test_passes(capjobs):\n"
        "    assert capjobs.jobs == []\n"
        "    with jobspan.job('mine'): pass\n"
        "    assert [job.job_type for job in capjobs.jobs] == ['mine']\n"
        "def test_has_no_fixture():\n"
        "    from jobspan import _runtime\n"
        "    assert _runtime.is_unset()\n"
    )
    arguments = ["-m", "pytest", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", "test_own.py"]
    done = run_python(arguments, tmp_path, PYTHONPATH=python_path(tmp_path / "site"))
    assert "1 failed, 2 passed" in done.stdout, done.stdout + done.stderr
