"""A person sets Status to Canceled: the job stops within one poll, and the word is never erased."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import jobspan
from jobspan.testing.airtable import AirtableServer
from tests.program import environment, run_python
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


def test_a_canceled_client_run_stops_within_one_poll_and_the_others_go_on(deliver: Deliver) -> None:
    server = deliver()
    since = [0.0]

    def work(run: jobspan.ClientRun) -> None:
        with run:
            while time.monotonic() - since[0] < 10:
                run.add(posts=1)
                run.checkpoint()
                time.sleep(0.02)

    with jobspan.job("long") as job:
        with job.client("stays") as other:
            run = job.client("B's").new_run()
            run.start()
            assert jobspan.flush(10)
            server.person.edit(CLIENT_RUNS, f"{job.run_id}-B's", {"Status": "Canceled"})
            since[0] = time.monotonic()
            with pytest.raises(jobspan.RunCanceled):
                work(run)
            assert time.monotonic() - since[0] < SWIFT.cancel_poll + 1.5
            other.checkpoint()
            other.add(posts=1)
    assert jobspan.flush(10)
    shown = {row["Client ID"]: row["Status"] for row in rows(server, CLIENT_RUNS)}
    assert shown == {"stays": "Completed", "B's": "Canceled"}
    assert [row["Status"] for row in rows(server, JOBS)] == ["Completed_with_errors"]


def test_a_progress_update_in_flight_never_erases_the_word_about_a_client_run(deliver: Deliver) -> None:
    server = deliver(airtable={"cancel_poll": False})
    with jobspan.job("long") as job:
        with job.client("A") as run:
            assert jobspan.flush(10)
            server.fail("latency", seconds=0.6, method="PATCH", times=2)
            run.add(posts=1)
            waiter = threading.Thread(target=jobspan.flush, args=(10,))
            waiter.start()
            time.sleep(0.3)
            server.person.edit(CLIENT_RUNS, f"{job.run_id}-A", {"Status": "Canceled"})
            waiter.join()
            assert [row["Status"] for row in rows(server, CLIENT_RUNS)] == ["Canceled"]
            wait_until(lambda: run._canceled is not None, 5)


@pytest.mark.parametrize("table", [JOBS, CLIENT_RUNS])
def test_a_word_said_while_an_answer_was_lost_is_not_erased_by_the_repeat(
    deliver: Deliver, table: str
) -> None:
    server = deliver(airtable={"cancel_poll": False})
    with jobspan.job("lost") as job:
        server.fail("reset", when="after", method="PATCH", table=table, nth=1)
        with job.client("A"):
            wait_until(lambda: len(server.rows(table)) == 1)
            server.person.edit(table, server.rows(table)[0]["id"], {"Status": "Canceled"})
            assert jobspan.flush(10)
            assert [row["Status"] for row in rows(server, table)] == ["Canceled"]
    assert jobspan.flush(10)
    assert [row["Status"] for row in rows(server, table)] == ["Canceled"]


def test_a_word_about_a_client_run_said_just_before_its_end_stands(deliver: Deliver) -> None:
    server = deliver(airtable={"cancel_poll": False})
    with jobspan.job("short") as job, job.client("A") as run:
        run.add(posts=3)
        assert jobspan.flush(10)
        server.person.edit(CLIENT_RUNS, f"{job.run_id}-A", {"Status": "Canceled"})
    assert jobspan.flush(10)
    (row,) = rows(server, CLIENT_RUNS)
    assert (row["Status"], row["Posts Processed"], "End Time" in row) == ("Canceled", 3, True)


def test_a_detached_client_run_is_canceled_by_its_row(deliver: Deliver) -> None:
    server = deliver()
    with jobspan.job("detaches") as job, job.client("A") as run:
        run.detach(external_id="x-1")
    assert jobspan.flush(10)
    server.person.edit(CLIENT_RUNS, f"{job.run_id}-A", {"Status": "Canceled"})
    wait_until(lambda: in_ledger()[1][f"{job.run_id}-A"].status.value == "Canceled", 10)
    assert jobspan.flush(10)
    assert [row["Status"] for row in rows(server, JOBS)] == ["Canceled"]


ALONE = """
import sys
from jobspan import _delivery
from tests.relay.support import SWIFT
_delivery.TIMING = SWIFT
from jobspan.cli import main
sys.argv = ["jobspan", "relay"]
sys.exit(main())
"""
DETACHES = """
import jobspan
with jobspan.job("detaches") as job:
    for name in ("A", "B"):
        with job.client(name) as run:
            run.add(posts=2)
            run.detach(external_id=f"x-{name}")
"""


@pytest.mark.parametrize("table", [pytest.param(JOBS, marks=pytest.mark.slow), CLIENT_RUNS])
def test_a_relay_alone_ends_detached_work_a_person_cancels(fresh: Path, table: str) -> None:
    with AirtableServer() as server:
        more = {
            "AIRTABLE_API_KEY": server.token,
            "AIRTABLE_BASE_ID": server.base_id,
            "AIRTABLE_ENDPOINT_URL": server.url,
        }
        done = run_python(["-c", DETACHES], fresh, JOBSPAN_RELAY="off", **more)
        assert done.returncode == 0, done.stderr
        relay = subprocess.Popen(
            [sys.executable, "-c", ALONE], env=environment(fresh, **more), stdout=subprocess.PIPE, text=True
        )
        try:
            wait_until(lambda: [row["Status"] for row in server.rows(CLIENT_RUNS)] == ["Running"] * 2, 30)
            (job,) = rows(server, JOBS)
            assert job["Status"] == "Running", "its work goes on elsewhere, though its process is gone"
            name = job["Run ID"] if table == JOBS else f"{job['Run ID']}-A"
            server.person.edit(table, name, {"Status": "Canceled"})
            wanted = ["Canceled", "Canceled" if table == JOBS else "Running"]
            wait_until(
                lambda: (
                    [row["Status"] for row in server.rows(CLIENT_RUNS)] == wanted
                    and "End Time" in server.rows(CLIENT_RUNS)[0]
                ),
                20,
            )
            if table == JOBS:
                wait_until(lambda: "End Time" in server.rows(JOBS)[0], 20)
            assert rows(server, JOBS)[0]["Status"] == ("Canceled" if table == JOBS else "Running")
        finally:
            relay.send_signal(signal.SIGINT)
            relay.communicate(timeout=20)
        jobspan.configure(ledger=fresh / "ledger.db", mode="offline")
        _, clients = in_ledger()
        assert clients[f"{job['Run ID']}-A"].status.value == "Canceled"
        assert clients[f"{job['Run ID']}-A"].posts_processed == 2
