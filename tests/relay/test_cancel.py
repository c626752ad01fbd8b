"""A person sets Status to Canceled: the job stops within one poll, and the word is never erased."""

from __future__ import annotations

import threading
import time

import pytest

import jobspan
from tests.relay.conftest import Deliver
from tests.relay.support import CLIENT_RUNS, JOBS, SWIFT, in_ledger, rows, wait_until


def test_a_canceled_row_stops_the_job_within_one_poll(deliver: Deliver) -> None:
    server = deliver()
    since = [0.0]

    def work() -> None:
        with jobspan.job("long") as job, job.client("A") as run:
            assert jobspan.flush(10)
            server.person.edit(JOBS, job.run_id, {"Status": "Canceled"})
            since[0] = time.monotonic()
            while time.monotonic() - since[0] < 10:
                run.add(posts=1)
                run.checkpoint()
                time.sleep(0.02)

    with pytest.raises(jobspan.RunCanceled):
        work()
    assert time.monotonic() - since[0] < SWIFT.cancel_poll + 1.5
    assert jobspan.flush(10)
    assert [row["Status"] for row in rows(server, JOBS)] == ["Canceled"]
    assert [row["Status"] for row in rows(server, CLIENT_RUNS)] == ["Canceled"]
    jobs, _ = in_ledger()
    assert [record.status.value for record in jobs.values()] == ["Canceled"]


def test_a_progress_update_in_flight_never_erases_the_word(deliver: Deliver) -> None:
    server = deliver(airtable={"cancel_poll": False})
    with jobspan.job("long") as job:
        with job.client("A") as run:
            assert jobspan.flush(10)
            server.fail("latency", seconds=0.6, method="PATCH", times=2)
            run.add(posts=1)
            waiter = threading.Thread(target=jobspan.flush, args=(10,))
            waiter.start()
            time.sleep(0.3)
            server.person.edit(JOBS, job.run_id, {"Status": "Canceled"})
            waiter.join()
            assert [row["Status"] for row in rows(server, JOBS)] == ["Canceled"]
            run.add(posts=1)
            assert jobspan.flush(10)
            assert [row["Status"] for row in rows(server, JOBS)] == ["Canceled"]
            wait_until(lambda: job._canceled is not None, 5)


def test_a_word_said_just_before_the_end_stands(deliver: Deliver) -> None:
    server = deliver(airtable={"cancel_poll": False})
    with jobspan.job("short") as job:
        assert jobspan.flush(10)
        server.person.edit(JOBS, job.run_id, {"Status": "Canceled"})
    assert jobspan.flush(10)
    (row,) = rows(server, JOBS)
    assert row["Status"] == "Canceled"
    assert "Completed after" in row["System Notes"]
    assert "End Time" in row
