"""Rows arrive, once, as the ledger says, with no more requests than needed."""

from __future__ import annotations

import math
import time

import pytest

import jobspan
from jobspan.relay.pace import Timing
from tests.relay.conftest import Deliver
from tests.relay.support import (
    CLIENT_RUNS,
    JOBS,
    assert_equal_to_ledger,
    batch,
    in_ledger,
    kinds,
    rows,
    wait_until,
)


def test_500_client_runs_arrive_in_the_fewest_requests_at_the_pace(deliver: Deliver) -> None:
    server = deliver(timing=Timing())
    count = 500
    started = time.monotonic()
    batch(count)
    assert jobspan.flush(60)
    took = time.monotonic() - started
    made = kinds(server)
    assert server.rate_limited == 0
    assert server.busiest_second <= 5
    assert made["upsert"] <= (math.ceil(count / 10) + 1) * 1.05
    assert made["schema"] + made["list"] <= 2 + count / 50
    assert took <= sum(made.values()) * 0.25 * 1.1 + 1.5
    assert_equal_to_ledger(server)


def test_a_slow_job_is_shown_while_it_runs_within_the_bound(deliver: Deliver) -> None:
    server = deliver()
    count = 60
    with jobspan.job("slow") as job:
        wait_until(lambda: [row["Status"] for row in server.rows(JOBS)] == ["Running"], 5)
        for number in range(count):
            with job.client(f"client-{number}") as run:
                run.add(posts=1)
                time.sleep(0.05)
        wait_until(lambda: len(server.rows(CLIENT_RUNS)) > 20, 5)
    assert jobspan.flush(30)
    assert kinds(server)["upsert"] <= (2 * math.ceil(count / 10) + 2) * 1.05
    assert_equal_to_ledger(server)


def test_only_changed_cells_are_sent(deliver: Deliver) -> None:
    server = deliver()
    with jobspan.job("cells") as job:
        with job.client("A") as run:
            run.add(posts=3)
            assert jobspan.flush(10)
            server.forget_requests()
            run.add(leads=4)
            assert jobspan.flush(10)
    writes = [request for request in server.requests if request.kind == "upsert"]
    sent = [record["fields"] for write in writes[:2] for record in write.body["records"]]
    assert [list(fields.values()) for fields in sent] == [[7], [4]]
    assert jobspan.flush(10)
    assert_equal_to_ledger(server)


def test_fields_are_written_by_id_so_that_a_rename_costs_nothing(deliver: Deliver) -> None:
    server = deliver()
    with jobspan.job("renamed") as job, job.client("A") as run:
        run.add(posts=3)
        assert jobspan.flush(10)
        server.person.rename_column(CLIENT_RUNS, "Posts Processed", "Posts")
        run.add(posts=4)
        assert jobspan.flush(10)
    assert [row["Posts"] for row in rows(server, CLIENT_RUNS)] == [7]


def test_flush_is_true_only_when_delivered(deliver: Deliver) -> None:
    server = deliver()
    server.outage()
    batch(3)
    assert not jobspan.flush(1.0)
    assert jobspan.health().pending == 4
    server.end_outage()
    assert jobspan.flush(15)
    assert jobspan.health().pending == 0
    assert_equal_to_ledger(server)


@pytest.mark.parametrize(("project", "shown"), [("all", 3), ("terminal", 3), ("exceptions", 1), ("jobs", 0)])
def test_a_projection_shows_its_rows(deliver: Deliver, project: str, shown: int) -> None:
    server = deliver(airtable={"project": project})
    with jobspan.job("projected") as job:
        for name in ("good", "bad", "fine"):
            with job.client(name) as run:
                if name == "bad":
                    run.error(ValueError("no"))
                if name == "fine" and project == "terminal":
                    assert jobspan.flush(10)
                    assert {row["Status"] for row in rows(server, CLIENT_RUNS)} <= {
                        "Completed", "Completed_with_errors",
                    }  # fmt: skip
    assert jobspan.flush(10)
    assert len(rows(server, CLIENT_RUNS)) == shown
    assert len(rows(server, JOBS)) == 1
    assert jobspan.health().pending == 0


def test_a_skipped_client_run_has_blank_numbers(deliver: Deliver) -> None:
    server = deliver()
    with jobspan.job("skips") as job, job.client("A") as run:
        run.skip("tier Basic")
    assert jobspan.flush(10)
    (row,) = rows(server, CLIENT_RUNS)
    assert "Errors" not in row
    assert_equal_to_ledger(server)


def test_a_person_deletes_a_row_and_it_comes_back_whole(deliver: Deliver) -> None:
    server = deliver()
    with jobspan.job("deleted") as job, job.client("A") as run:
        run.add(posts=1)
        assert jobspan.flush(10)
        server.person.clear(CLIENT_RUNS)
        run.add(posts=1)
        assert jobspan.flush(10)
    assert jobspan.flush(10)
    assert_equal_to_ledger(server)


def test_of_a_doubled_row_the_one_we_know_goes_on(deliver: Deliver) -> None:
    server = deliver()
    with jobspan.job("doubled") as job, job.client("A") as run:
        run.add(posts=1)
        assert jobspan.flush(10)
        first = rows(server, CLIENT_RUNS)[0]["id"]
        copy = server.person.duplicate(CLIENT_RUNS, first)
        run.add(posts=1)
    assert jobspan.flush(10)
    by_id = {row["id"]: row for row in rows(server, CLIENT_RUNS)}
    assert by_id[first]["Posts Processed"] == 2
    assert by_id[first]["Status"] == "Completed"
    assert by_id[copy]["Posts Processed"] == 1
    _, clients = in_ledger()
    assert by_id[first]["Run ID"] in clients
