"""What went wrong in job tracking before: each class of mistake, made again, and impossible.

Those that are proven beside what makes them impossible are listed in `docs/guarantees.md`.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

import jobspan
from jobspan import JobTracking, client_run, job
from jobspan.testing.airtable import AirtableServer
from tests.conftest import Fresh
from tests.faults.process import jobs, run
from tests.relay.support import CLIENT_RUNS, JOBS, rows, settings

CHUNKS = """
with job("chunks") as j:
    with j.client("Guy-Wilson") as r:
        for number, leads in enumerate((40, 40, 15)):
            if number == 2: os.kill(os.getpid(), signal.SIGKILL)
            with r.operation("chunk") as op: op.add(leads=leads)
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def test_a_crash_after_the_second_chunk_keeps_80_leads(ledger: Path) -> None:
    run(ledger, CHUNKS, status=-9)
    (client,) = jobs(ledger)[0]["client_runs"]
    assert (client["leads_processed"], client["status"]) == (80, "Failed")


def test_two_loops_over_the_same_clients_in_one_job_add_up(fresh: Fresh) -> None:
    with job("loops") as j:
        for leads in (40, 55):
            for one in j.clients(["Guy-Wilson", "Wilson"]):
                with one:
                    one.add(leads=leads)
    assert [client.leads_processed for client in fresh.job().client_runs] == [95, 95]
    assert [client.attempts for client in fresh.job().client_runs] == [1, 1]


def test_a_redelivered_task_counts_results_once_and_spend_twice(ledger: Path) -> None:
    code = "with job('tasks') as j:\n j.expect(1); say(json.dumps(jobspan.inject({})))"
    (headers,) = run(ledger, code)
    task = """
with jobspan.extract(json.loads(sys.argv[1])):
    with client_run("Wilson", part="task 7", attempt=int(sys.argv[2])) as r:
        r.record_usage(input_tokens=100, output_tokens=10)
        r.add(leads=50)
        if sys.argv[2] == "1": os._exit(1)
"""
    run(ledger, task, headers, "1", status=1)
    run(ledger, task, headers, "2")
    (job,) = jobs(ledger)
    (client,) = job["client_runs"]
    assert (client["leads_processed"], client["prompt_tokens"], client["attempts"]) == (50, 200, 2)
    assert (client["status"], job["status"]) == ("Completed", "Completed")


def test_a_task_that_is_never_delivered_again_leaves_its_job_failed(ledger: Path) -> None:
    code = "with job('tasks') as j: say(json.dumps(jobspan.inject({})))"
    (headers,) = run(ledger, code)
    task = (
        "with jobspan.extract(json.loads(sys.argv[1])) as j:\n j.add(leads=1)\n if sys.argv[2]: os._exit(1)"
    )
    run(ledger, task, headers, "dies", status=1)
    assert jobs(ledger)[0]["status"] == "Failed"
    run(ledger, task, headers, "")
    (job,) = jobs(ledger)
    assert (job["status"], job["items_processed"]) == ("Completed", 2)


def test_twenty_notes_at_once_are_twenty_notes(fresh: Fresh) -> None:
    with client_run("Guy-Wilson") as one:
        at_once = threading.Barrier(20)

        def append(number: int) -> None:
            at_once.wait(10)
            one.note(f"note {number:02}.")

        threads = [threading.Thread(target=append, args=[number]) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    notes = fresh.client("Guy-Wilson").system_notes
    assert [notes.count(f"note {number:02}.") for number in range(20)] == [1] * 20


def test_five_creates_at_once_are_one_row(fresh: Fresh, airtable_server: AirtableServer) -> None:
    fresh.configure(airtable=settings(airtable_server))
    tracking = JobTracking()
    run_id = tracking.generate_run_id()
    at_once = threading.Barrier(5)

    def create() -> None:
        at_once.wait(10)
        tracking.create_job(run_id, job_type="five")
        tracking.create_client_run(run_id, "Guy-Wilson")

    threads = [threading.Thread(target=create) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert jobspan.flush(20)
    assert [row["Run ID"] for row in rows(airtable_server, JOBS)] == [run_id]
    assert [row["Run ID"] for row in rows(airtable_server, CLIENT_RUNS)] == [f"{run_id}-Guy-Wilson"]


def test_wilson_never_gets_what_is_guy_wilsons(fresh: Fresh) -> None:
    tracking = JobTracking()
    with job("suffix") as j:
        with j.client("Guy-Wilson") as one:
            one.add(leads=7)
        assert tracking.get_client_run(j.run_id, "Wilson") is None
        assert tracking.update_client_run(j.run_id, "Wilson", leads_processed=1).outcome == "not_found"
        with j.client("Wilson") as one:
            one.add(leads=1)
    assert (fresh.client("Guy-Wilson").leads_processed, fresh.client("Wilson").leads_processed) == (7, 1)


def test_a_percentage_costs_its_own_number_and_nothing_else(fresh: Fresh) -> None:
    tracking = JobTracking()
    with job("percent") as j, j.client("Guy-Wilson") as one:
        one.add(posts=895)
    done = tracking.update_client_run(j.run_id, "Guy-Wilson", leads_processed="98%", token_usage=12)  # type: ignore[arg-type]
    assert done.record is not None
    found = fresh.client("Guy-Wilson")
    assert (found.posts_processed, found.leads_processed, found.token_usage) == (895, None, 12)
    assert "leads_processed was left out" in found.system_notes


@pytest.mark.parametrize("error", [ValueError(), ValueError(None), ValueError(""), ValueError("undefined")])
def test_an_error_without_a_word_is_no_word_of_the_program(fresh: Fresh, error: ValueError) -> None:
    with pytest.raises(ValueError), job("silent"):
        raise error
    text = fresh.job().error
    assert text is not None
    assert text.startswith("ValueError: ")
    assert text.removeprefix("ValueError: ") not in ("", "None", "undefined", "null")


def test_a_job_without_an_error_has_none(fresh: Fresh) -> None:
    with job("well") as j:
        JobTracking().update_job(j.run_id, error="")
    assert fresh.job().error is None


def test_the_run_id_of_a_killed_process_is_never_given_again(ledger: Path) -> None:
    code = """
from jobspan._clock import FrozenClock, use
use(FrozenClock())
with job("a") as j:
    say(j.run_id)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    given = [run(ledger, code, status=-9)[0] for _ in range(2)]
    assert len(set(given)) == 2
    assert sorted(one["run_id"] for one in jobs(ledger)) == sorted(given)


def test_a_host_in_another_zone_writes_the_same_instants(ledger: Path) -> None:
    before = datetime.now(UTC)
    (run_id,) = run(ledger, "with job('a') as j: say(j.run_id)", TZ="America/Los_Angeles")
    (found,) = jobs(ledger)
    start = datetime.fromisoformat(found["start_time"])
    assert found["start_time"].endswith("Z")
    assert 0 <= (start - before).total_seconds() + 0.001 < 60
    assert abs((datetime.strptime(run_id, "%y%m%d-%H%M%S").replace(tzinfo=UTC) - start).total_seconds()) <= 2
    assert f"{start:%Y-%m-%d %H:%M:%S} UTC  started job a" in found["system_notes"]


def test_no_client_is_called_unknown(fresh: Fresh) -> None:
    @client_run(client="client_id")
    def work(client_id: str | None) -> str:
        return "done"

    with job("nameless"):
        assert [work(None), work("")] == ["done", "done"]
    assert fresh.job().client_runs == ()
    assert "client id" in fresh.job().system_notes
