"""Whatever the network and the service do, in the end there is one row each, as the ledger says."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

import jobspan
from jobspan.relay.pace import Timing
from tests.relay.conftest import Deliver
from tests.relay.support import (
    CLIENT_RUNS,
    JOBS,
    SWIFT,
    assert_equal_to_ledger,
    batch,
    in_ledger,
    kinds,
    rows,
    wait_until,
)


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "reset", "when": "after", "every": 3, "method": "PATCH"},
        {"action": "reset", "when": "after", "every": 3},
        {"action": "reset", "when": "before", "every": 2},
        {"action": "reset", "when": "middle", "every": 3},
        {"action": "truncate", "every": 3},
        {"action": "garble", "when": "after", "every": 3},
        {"action": "hang", "when": "after", "every": 4, "seconds": 0.4},
        {"action": "status", "status": 503, "when": "after", "every": 3},
        {"action": "status", "status": 502, "body": "html", "when": "before", "every": 3},
        {"action": "status", "status": 500, "body": "empty", "when": "after", "every": 3},
        {"action": "status", "status": 503, "retry_after": 0.3, "times": 2},
    ],
    ids=lambda fault: "-".join(str(value) for value in fault.values()),
)
def test_each_row_arrives_once_under_a_fault(deliver: Deliver, fault: dict[str, object]) -> None:
    server = deliver()
    ordered = server.fail(**fault)  # type: ignore[arg-type]
    with jobspan.job("faulty") as job:
        for number in range(35):
            with job.client(f"client-{number}") as run:
                run.add(posts=number)
        wait_until(lambda: ordered.hits > 0, 30)
    assert jobspan.flush(30)
    assert ordered.hits > 0
    server.clear_faults()
    assert_equal_to_ledger(server)
    assert server.rate_limited == 0


def test_a_hang_beyond_the_time_out_is_repeated_only_after_as_long_again(deliver: Deliver) -> None:
    server = deliver(timing=replace(SWIFT, overtaken=1.0), airtable={"read_timeout": 1.0})
    fault = server.fail("hang", when="after", seconds=3.0, method="PATCH", nth=1)
    batch(3)
    assert jobspan.flush(20)
    assert fault.hits == 1
    upserts = [request for request in server.requests if request.kind == "upsert"]
    assert upserts[1].at - upserts[0].at >= 1.9
    assert_equal_to_ledger(server)


def test_an_outage_delays_and_loses_nothing(deliver: Deliver) -> None:
    server = deliver()
    server.outage(2.0)
    batch(25)
    assert jobspan.flush(20)
    assert_equal_to_ledger(server)


@pytest.mark.slow
def test_an_outage_of_a_minute_delays_and_loses_nothing(deliver: Deliver) -> None:
    server = deliver(timing=Timing())
    server.outage(60.0, kind="reset")
    batch(25)
    assert jobspan.flush(110)
    assert_equal_to_ledger(server)


@pytest.mark.parametrize("retry_after", [False, True])
def test_a_lockout_is_obeyed(deliver: Deliver, retry_after: bool) -> None:
    server = deliver(lockout_seconds=1.4, retry_after=retry_after)
    server.fail(429, retry_after=1.4 if retry_after else None, nth=3)
    batch(15)
    assert jobspan.flush(20)
    refused = next(r for r in server.requests if r.status == 429)
    following = next(r for r in server.requests if r.at > refused.at)
    assert following.at - refused.at >= 1.4
    assert server.rate_limited == 1
    assert_equal_to_ledger(server)


@pytest.mark.slow
def test_a_real_lockout_of_30_seconds_is_obeyed(deliver: Deliver) -> None:
    server = deliver(timing=Timing(), lockout_seconds=30.0)
    server.fail(429, nth=3)
    batch(15)
    assert jobspan.flush(60)
    refused = next(r for r in server.requests if r.status == 429)
    assert next(r for r in server.requests if r.at > refused.at).at - refused.at >= 30
    assert_equal_to_ledger(server)


def test_the_quota_of_the_month_is_not_asked_again(deliver: Deliver) -> None:
    server = deliver(monthly_quota=3)
    batch(30)
    started = time.monotonic()
    assert not jobspan.flush(8)
    assert time.monotonic() - started < 6, "flush gives up early when nothing can be sent"
    assert server.rate_limited == 1
    time.sleep(1.0)
    assert server.rate_limited == 1


@pytest.mark.parametrize("trouble", ["revoked", "forbidden", "base deleted"])
def test_it_stops_with_one_message_and_resumes(
    deliver: Deliver, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = deliver()
    if trouble == "revoked":
        server.revoke()
    elif trouble == "forbidden":
        server.grant([])
    else:
        server.base.is_deleted = True
    batch(5)
    assert not jobspan.flush(2.5)
    told = [record for record in caplog.records if "jobspan.delivery.stopped" in record.message]
    assert len(told) == 1
    assert server.token not in caplog.text
    server.restore()
    server.grant(["data.records:read", "data.records:write", "schema.bases:read"])
    server.base.is_deleted = False
    assert jobspan.flush(15)
    assert_equal_to_ledger(server)


def test_a_refused_value_costs_its_cell_and_nothing_else(
    deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = deliver()
    from jobspan.airtable import fields

    cell = fields.cell

    def poisoned(field: fields.Field, record: fields.Record, column_type: str | None = None) -> object:
        value = cell(field, record, column_type)
        if field.name == "client_id" and value == "client-7":
            return {"not": "a text"}
        return value

    monkeypatch.setattr(fields, "cell", poisoned)
    batch(20)
    assert jobspan.flush(15)
    there = [row.get("Client ID") for row in rows(server, CLIENT_RUNS)]
    assert sorted(there, key=str) == sorted([f"client-{n}" for n in range(20) if n != 7] + [None], key=str)
    assert kinds(server)["upsert"] <= 1 + 2 + 2 * 9


def test_a_body_that_is_too_large_is_halved(deliver: Deliver) -> None:
    server = deliver(max_body_bytes=6_000)
    with jobspan.job("large") as job:
        for number in range(10):
            with job.client(f"client-{number}") as run:
                for line in range(8):
                    run.note(f"{line} " + "x" * 200)
    assert jobspan.flush(20)
    assert_equal_to_ledger(server)
    assert len(rows(server, CLIENT_RUNS)) == 10


def test_two_rows_of_one_run_id_are_told_apart(deliver: Deliver) -> None:
    server = deliver()
    with jobspan.job("twice") as job:
        assert jobspan.flush(10)
        for _ in range(2):
            server.person.add(CLIENT_RUNS, {"Run ID": f"{job.run_id}-A", "Client ID": "typed"})
        with job.client("A") as run:
            run.add(posts=1)
        with job.client("B"):
            pass
    assert jobspan.flush(10)
    by_id: dict[str, list[dict[str, object]]] = {}
    for row in rows(server, CLIENT_RUNS):
        by_id.setdefault(row["Run ID"], []).append(row)
    assert len(by_id[f"{job.run_id}-A"]) == 2
    assert len(by_id[f"{job.run_id}-B"]) == 1
    assert [row.get("Posts Processed") for row in by_id[f"{job.run_id}-A"]].count(1) == 1


def test_a_progress_update_before_a_lost_answer_is_not_left_behind(deliver: Deliver) -> None:
    server = deliver()
    with jobspan.job("back") as job, job.client("A") as run:
        run.add(posts=5)
        assert jobspan.flush(10)
        server.fail("reset", when="after", method="PATCH", times=2)
        run.add(posts=1)
        jobspan.flush(0.5)
        run.add(posts=-0)
        run.add(leads=1)
    assert jobspan.flush(15)
    jobs, clients = in_ledger()
    assert len(jobs) == len(rows(server, JOBS)) == 1
    assert len(clients) == 1
    assert_equal_to_ledger(server)
