"""A run of another ledger that work here names: its row goes on, with the numbers of both."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import jobspan
from jobspan import _runtime
from jobspan.ledger import outbox
from jobspan.testing.airtable import AirtableServer
from tests.program import environment
from tests.relay.conftest import Deliver
from tests.relay.support import CLIENT_RUNS, JOBS, rows, settings, wait_until

KEY = "a key that both containers have"

CRON = """
import os, signal, sys, time, pathlib, jobspan
from jobspan import _delivery
from tests.relay.support import SWIFT
_delivery.TIMING = SWIFT
how, home = sys.argv[1], pathlib.Path(sys.argv[2])
with jobspan.job("nightly") as job:
    with job.client("done") as run:
        run.add(posts=1)
    with job.client("A") as run:
        run.add(posts=95, leads=12)
        if how == "detached":
            run.detach(external_id="apify-1")
        (home / "token.tmp").write_text(run.token)
        assert how == "late" or jobspan.flush(20)
        (home / "token.tmp").rename(home / "token")
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        while how in ("live", "late") and not (home / "go").exists():
            time.sleep(0.02)
        run.add(posts=5)
assert jobspan.flush(20)
"""


_started: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _none_is_left() -> Iterator[None]:
    """End the containers of a test that failed while they ran."""
    yield
    while _started:
        process = _started.pop()
        process.kill()
        process.communicate()


class Container:
    """Another container, with a disk of its own."""

    def __init__(self, server: AirtableServer, home: Path, how: str, token: str | None = None) -> None:
        self._home = home / "cron"
        self._home.mkdir()
        more = {
            "AIRTABLE_API_KEY": token or server.token,
            "AIRTABLE_BASE_ID": server.base_id,
            "AIRTABLE_ENDPOINT_URL": server.url,
            "JOBSPAN_TOKEN_KEY": KEY,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", CRON, how, str(self._home)],
            env=environment(self._home, **more),
            stderr=subprocess.PIPE,
            text=True,
        )
        _started.append(self.process)
        wait_until((self._home / "token").exists, 30)
        self.token = (self._home / "token").read_text()

    def go(self) -> None:
        """Let it come to its end."""
        (self._home / "go").touch()

    def wait(self) -> int:
        """Wait for its end."""
        self.process.communicate(timeout=60)
        return self.process.returncode


def here(fresh: Path, server: AirtableServer, **more: Any) -> None:
    """Start over as a container with an empty disk."""
    jobspan.configure(
        ledger=fresh / "web" / "ledger.db", strict=True, token_key=KEY, airtable=settings(server, **more)
    )


def row_of(server: AirtableServer, client: str, token: str | None = None) -> dict[str, Any]:
    """Return the one row of a client."""
    (row,) = [row for row in rows(server, CLIENT_RUNS, token=token) if row["Client ID"] == client]
    return row


def test_a_detached_client_run_is_ended_by_another_ledger_with_the_numbers_of_both(
    deliver: Deliver, fresh: Path
) -> None:
    server = deliver()
    cron = Container(server, fresh, "detached")
    assert cron.wait() == 0
    before = row_of(server, "A")
    assert (before["Status"], before["Posts Processed"]) == ("Running", 100)
    here(fresh, server)
    with jobspan.attach(token=cron.token) as run:
        run.add(posts=3, leads=1)
    assert jobspan.flush(15)
    row = row_of(server, "A")
    assert (row["id"], row["Status"], row["Posts Processed"], row["Leads Processed"]) == (
        before["id"],
        "Completed",
        103,
        13,
    )
    assert row["Start Time"] == before["Start Time"]
    assert "End Time" in row
    assert row_of(server, "done")["Posts Processed"] == 1
    (job,) = rows(server, JOBS)
    assert job["Status"] == "Running", "the job is the other ledger's, and was not named"
    with jobspan.attach(token=cron.token) as run:
        run.add(posts=7)
    assert jobspan.flush(15)
    row = row_of(server, "A")
    assert (row["Posts Processed"], row["Leads Processed"]) == (107, 12), "another attempt of the same part"
    assert len(rows(server, JOBS)) == 1


def test_deliveries_to_ledgers_of_their_own_are_attempts_of_one_part(deliver: Deliver, fresh: Path) -> None:
    server = deliver()
    cron = Container(server, fresh, "detached")
    assert cron.wait() == 0
    for place, posts, fails in (("b", 3, True), ("c", 4, False), ("d", 4, False)):
        here(fresh / place, server)
        with suppress(ValueError), jobspan.attach(token=cron.token) as run:
            run.add(posts=posts, leads=1)
            run.record_usage(input_tokens=10, output_tokens=1)
            if fails:
                raise ValueError("the vendor's file was empty")
        assert jobspan.flush(15)
        row = row_of(server, "A")
        assert (row["Status"], row["Posts Processed"]) == (("Failed", 103) if fails else ("Completed", 104))
    assert (row["Leads Processed"], row["Errors"], row["Prompt Tokens"]) == (13, 0, 30)
    assert row["System Notes"].count("by delivery") == 3


def test_a_killed_container_is_relieved_by_one_with_an_empty_disk(deliver: Deliver, fresh: Path) -> None:
    server = deliver()
    cron = Container(server, fresh, "killed")
    cron.wait()
    here(fresh, server)
    with jobspan.attach(token=cron.token) as run:
        run.add(posts=3)
        assert jobspan.flush(15)
        assert (row_of(server, "A")["Status"], row_of(server, "A")["Posts Processed"]) == ("Running", 98)
    assert jobspan.flush(15)
    row = row_of(server, "A")
    assert (row["Status"], row["Posts Processed"], row["Leads Processed"]) == ("Completed", 98, 12)
    assert len(rows(server, CLIENT_RUNS)) == 2
    assert [row["Status"] for row in rows(server, JOBS)] == ["Running"]


def test_two_live_ledgers_add_up_and_a_live_row_stays_open(deliver: Deliver, fresh: Path) -> None:
    server = deliver()
    cron = Container(server, fresh, "live")
    here(fresh, server)
    with jobspan.attach(token=cron.token) as run:
        run.add(posts=3)
        assert jobspan.flush(15)
        wait_until(lambda: row_of(server, "A")["System Notes"].count("recorded by ledger") == 2, 15)
    assert jobspan.flush(15)
    wait_until(lambda: row_of(server, "A")["Status"] == "Running", 15)
    assert row_of(server, "A")["Posts Processed"] == 98
    cron.go()
    assert cron.wait() == 0
    assert jobspan.flush(15)
    row = row_of(server, "A")
    assert (row["Status"], row["Posts Processed"], row["Leads Processed"]) == ("Completed", 103, 12)
    assert "End Time" in row
    (job,) = rows(server, JOBS)
    assert (job["Status"], len(rows(server, CLIENT_RUNS))) == ("Completed", 2)


def test_with_one_writer_the_job_nobody_named_is_closed_and_the_named_run_goes_on(
    deliver: Deliver, fresh: Path
) -> None:
    server = deliver()
    cron = Container(server, fresh, "killed")
    cron.wait()
    here(fresh, server, adopt="all")
    with jobspan.attach(token=cron.token) as run:
        run.add(posts=3)
    assert jobspan.flush(15)
    wait_until(lambda: [row["Status"] for row in rows(server, JOBS)] == ["Failed"], 15)
    row = row_of(server, "A")
    assert (row["Status"], row["Posts Processed"]) == ("Completed", 98)


def test_a_run_id_names_a_job_of_another_ledger(deliver: Deliver, fresh: Path) -> None:
    server = deliver()
    first = jobspan.JobTracking()
    run_id = first.generate_run_id()
    assert first.create_job(run_id, job_type="webhooks")
    assert first.create_client_run(run_id, "A", posts_processed=4)
    assert jobspan.flush(15)
    here(fresh, server)
    second = jobspan.JobTracking()
    assert second.create_job(run_id, job_type="webhooks")
    assert second.create_client_run(run_id, "A", posts_processed=5)
    assert second.complete_client_run(run_id, "A")
    assert second.complete_job(run_id)
    assert jobspan.flush(15)
    assert [row["Status"] for row in rows(server, JOBS)] == ["Completed"]
    assert rows(server, JOBS)[0]["Run ID"] == run_id
    assert (row_of(server, "A")["Status"], row_of(server, "A")["Posts Processed"]) == ("Completed", 9)


def test_two_ledgers_that_claimed_one_run_id_make_two_jobs(deliver: Deliver, fresh: Path) -> None:
    server = deliver()
    first = jobspan.JobTracking()
    run_id = first.generate_run_id()
    assert first.create_job(run_id, job_type="webhooks")
    assert jobspan.flush(15)
    here(fresh, server)
    claims = fresh / "web" / "ledger.db.d" / "claims"
    claims.mkdir(parents=True, exist_ok=True)
    (claims / f"id-{run_id}").touch()
    assert jobspan.JobTracking().create_job(run_id, job_type="webhooks")
    assert jobspan.flush(15)
    assert len({row["Run ID"] for row in rows(server, JOBS)}) == 2


def test_writes_of_two_ledgers_that_cross_are_put_right(
    deliver: Deliver, fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_SHARED_REST_NS", 3_500_000_000)  # longer than the other's write is held up
    server = deliver()
    cron = Container(server, fresh, "live")
    here(fresh, server)
    with jobspan.attach(token=cron.token) as run:
        run.add(posts=3)
        crossing = server.fail("latency", seconds=2.0, method="PATCH", table=CLIENT_RUNS, nth=2)
        assert jobspan.flush(15)
        wait_until(lambda: crossing.hits == 1, 15)  # the other ledger writes what it read before we wrote
        run.add(posts=4)
    assert jobspan.flush(15)

    def is_right() -> bool:
        row = row_of(server, "A")
        return (row["Posts Processed"], row["Status"]) == (102, "Running") and "End Time" not in row

    wait_until(is_right, 15)
    wait_until(lambda: ": Completed, posts_processed 7," in row_of(server, "A")["System Notes"], 15)
    cron.go()
    assert cron.wait() == 0
    row = row_of(server, "A")
    assert (row["Status"], row["Posts Processed"]) == ("Completed", 107)


def test_an_owner_that_comes_late_adds_to_the_row_another_ledger_made(deliver: Deliver, fresh: Path) -> None:
    server = deliver()
    own = server.add_token()
    server.revoke(own)
    cron = Container(server, fresh, "late", own)
    here(fresh, server)
    with jobspan.attach(token=cron.token) as run:
        run.add(posts=3, leads=1)
        run.note("the webhook was here")
    assert jobspan.flush(15)
    before = row_of(server, "A")
    assert (before["Posts Processed"], before["Status"]) == (3, "Completed")
    server.restore(own)
    server.forget_requests()
    cron.go()
    assert cron.wait() == 0
    row = row_of(server, "A")
    assert (row["id"], row["Posts Processed"], row["Leads Processed"]) == (before["id"], 103, 13)
    assert "the webhook was here" in row["System Notes"]
    assert (row["Status"], row_of(server, "done")["Posts Processed"]) == ("Completed", 1)
    (job,) = rows(server, JOBS)
    assert job["Status"] == "Completed"
    reads = [each for each in server.requests if each.kind == "list" and each.table != JOBS]
    assert len([each for each in reads if "python-requests" in each.headers["user-agent"]]) <= 4


@pytest.mark.parametrize("way", [pytest.param("detached", marks=pytest.mark.slow), "by run id"])
def test_what_another_ledger_showed_first_is_added_to_without_a_shared_key(
    deliver: Deliver, fresh: Path, way: str
) -> None:
    server = deliver()
    other = server.add_token()
    server.revoke()
    if way == "detached":
        with jobspan.job("nightly") as job, job.client("A") as run:
            run.add(posts=4)
            run.detach(external_id="apify-1")
        run_id = job.run_id
    else:
        first = jobspan.JobTracking()
        run_id = first.generate_run_id()
        assert first.create_job(run_id, job_type="nightly")
        assert first.create_client_run(run_id, "A", posts_processed=4)
        assert first.complete_client_run(run_id, "A")
        assert first.complete_job(run_id)
    ledger = _runtime.runtime().settings.ledger
    jobspan.configure(
        ledger=fresh / "web.db", strict=True, airtable=settings(server, api_key=other), exit_flush=0.0
    )
    second = jobspan.JobTracking()
    assert second.create_job(run_id, job_type="nightly")
    assert second.create_client_run(run_id, "A", posts_processed=5)
    assert second.complete_client_run(run_id, "A")
    assert jobspan.flush(15)
    before = row_of(server, "A", other)
    assert before["Posts Processed"] == 5
    server.restore()
    jobspan.configure(ledger=ledger, strict=True, airtable=settings(server))
    _runtime.runtime().deliveries.start()
    assert jobspan.flush(20)
    row = row_of(server, "A")
    assert (row["id"], row["Posts Processed"]) == (before["id"], 9)
    assert row["System Notes"].count("recorded by ledger") == 2
