"""A job that fans out ends when what it expects has come and ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobspan import attach, job
from jobspan.exceptions import UsageError
from tests.conftest import Fresh
from tests.faults.process import jobs, run, start

WORKER = "with jobspan.attach(token=sys.argv[1]) as j:\n with j.client(sys.argv[2]) as r: r.add(leads=1)"


def test_a_job_ends_when_the_last_expected_part_of_other_processes_ends(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    (token,) = run(ledger, 'with job("fan") as j:\n j.expect(3); say(j.token)')
    for client in ("a", "b"):
        run(ledger, WORKER, token, client)
        assert jobs(ledger)[0]["status"] == "Running"
    run(ledger, WORKER, token, "c")
    (found,) = jobs(ledger)
    assert (found["status"], found["items_processed"]) == ("Completed", 3)
    assert found["end_time"] >= max(client["end_time"] for client in found["client_runs"])


def test_workers_that_end_at_once_leave_no_job_open(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    (token,) = run(ledger, 'with job("fan") as j:\n j.expect(4); say(j.token)')
    workers = [start(ledger, WORKER, token, f"c{n}") for n in range(4)]
    for worker in workers:
        _, errors = worker.communicate(timeout=60)
        assert worker.returncode == 0, errors
    assert jobs(ledger)[0]["status"] == "Completed"


def test_what_was_expected_in_several_calls_adds_up_and_the_same_client_may_come_twice(fresh: Fresh) -> None:
    with job("fan") as j:
        j.expect(1)
        j.expect(1)
        with j.client("x"):
            pass
    assert fresh.job().status == "Running"
    with attach(token=j.token) as again, again.client("x"):  # type: ignore[union-attr]
        pass
    assert fresh.job().status == "Completed"


def test_a_retry_is_no_further_part(fresh: Fresh) -> None:
    with job("fan") as j:
        j.expect(2)
        for attempt in (1, 2):
            with j.client("x", part="all", attempt=attempt):
                pass
    assert fresh.job().status == "Running"


def test_a_sealed_job_expects_nothing_more(fresh: Fresh) -> None:
    with job("fan") as j:
        j.expect(5)
        with j.client("x"):
            pass
        j.seal()
    assert fresh.job().status == "Completed"


def test_what_does_not_come_in_time_makes_the_job_timed_out_at_the_deadline(fresh: Fresh) -> None:
    with job("fan") as j:
        j.expect(2, deadline=0.05)
        with j.client("x"):
            pass
    import time

    time.sleep(0.06)
    found = fresh.job()
    assert found.status == "Timed_out"
    assert found.end_time is not None
    assert found.start_time is not None
    assert 0.04 < (found.end_time - found.start_time).total_seconds() < 0.2
    with attach(token=j.token) as again, again.client("y") as r:  # type: ignore[union-attr]
        r.add(leads=3)
    assert (fresh.job().status, fresh.job().items_processed) == ("Timed_out", 3)


def test_a_job_whose_parts_came_stays_completed_after_the_deadline(fresh: Fresh) -> None:
    with job("fan") as j:
        j.expect(1, deadline=0.05)
        with j.client("x"):
            pass
    assert fresh.job().status == "Completed"
    import time

    time.sleep(0.06)
    assert fresh.job().status == "Completed"


def test_expect_takes_a_whole_number(fresh: Fresh) -> None:
    with job("fan") as j:
        for count in (0, -1, 1.5, True, "3"):
            with pytest.raises(UsageError):
                j.expect(count)  # type: ignore[arg-type]
