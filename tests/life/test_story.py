"""One night at the agency: two crons, a redeployed service, a vendor, a slow task and a worn-out base.

The business code is `tests/life/story/business.py`; this file is the world around it: Airtable, the
vendor, the platform that redeploys. What the rows say in the end is read by plain HTTP.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import jobspan
from jobspan import _runtime
from jobspan.testing.airtable import AirtableServer
from tests.program import environment
from tests.relay.support import CLIENT_RUNS, JOBS, kinds, rows, settings, wait_until

PROGRAM = """
import sys
from jobspan import _delivery
from jobspan.relay.pace import Timing
_delivery.TIMING = Timing(lease=3.0, renew=0.75)
from tests.life.story import business
business.main(*sys.argv[1:])
"""
"""Only the lease of a killed sender is shortened; every other wait is the real one."""


def task(ident: str, name: str, seconds: float = 0, deadline: str = "45m", **more: Any) -> dict[str, Any]:
    """Return a task as the cron hands it over."""
    return {"id": ident, "name": name, "seconds": seconds, "deadline": deadline, **more}


def clients(vendor: str) -> list[dict[str, Any]]:
    """Return the clients of the night: two with three tasks each, one without data."""
    guy = [
        task("g1", "lead_scoring", 0.1, counts={"leads": 95}),
        task("g2", "post_scoring", 4.0, counts={"posts": 43}),  # killed with the service, and taken up again
        task("g3", "enrichment", to=vendor),
    ]
    wilson = [
        task("w1", "lead_scoring", 0.1, counts={"leads": 7}),
        task("w2", "post_scoring", 0.1, counts={"posts": 5}),
        task("w3", "enrichment", to=vendor, deadline="2s"),  # still at work there when its time is over
    ]
    return [
        {"id": "Guy-Wilson", "tasks": guy},
        {"id": "Wilson", "tasks": wilson},
        {"id": "Anna-Lena", "tasks": []},
    ]


class Vendor(BaseHTTPRequestHandler):
    """Answers 202; calls back when the test says so."""

    def do_POST(self) -> None:
        """Take a task."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = json.dumps({"id": f"vendor-{body['id']}"}).encode()
        self.send_response(202)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def vendor() -> Iterator[str]:
    """Give the URL of a vendor."""
    server = HTTPServer(("127.0.0.1", 0), Vendor)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Night:
    """The platform: starts programs, redeploys, and keeps what they said."""

    def __init__(self, server: AirtableServer, home: Path) -> None:
        self.home = home
        self.inbox = home / "inbox"
        self.inbox.mkdir()
        self.port = free_port()
        self.said = home / "said.txt"
        self._env = environment(
            home,
            AIRTABLE_API_KEY=server.token,
            AIRTABLE_BASE_ID=server.base_id,
            AIRTABLE_ENDPOINT_URL=server.url,
            PYTHONUNBUFFERED="1",
        )
        self.running: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start one of the business's programs and wait until it is up."""
        with self.said.open("a") as said:
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *arguments],
                env=self._env,
                cwd=self.home,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        self.running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().split()[:1] in (["ready"], ["serving"]), self.said.read_text()
        return process

    def serve(self) -> subprocess.Popen[str]:
        """Start the service."""
        return self.start("serve", str(self.port), str(self.inbox))

    @property
    def url(self) -> str:
        """Where the service is."""
        return f"http://127.0.0.1:{self.port}"

    def end(self) -> None:
        """End what is still running."""
        for process in self.running:
            process.kill()
            process.communicate()


@pytest.fixture
def base() -> Iterator[AirtableServer]:
    """A base that lacks a column and has a formula in place of another."""
    with AirtableServer(missing=["Apify API Costs"], computed=["Errors"]) as server:
        yield server


@pytest.fixture
def night(base: AirtableServer, tmp_path: Path) -> Iterator[Night]:
    """A platform, and afterwards nothing of it left."""
    made = Night(base, tmp_path)
    before, _runtime._runtime = _runtime._runtime, None
    yield made
    made.end()
    jobspan.shutdown(0)
    _runtime._runtime = before


def go(process: subprocess.Popen[str]) -> None:
    """Let a cron that is ready fire."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def live_through(night: Night) -> None:
    """Let the whole night pass."""
    from tests.life.story.business import post

    first = night.serve()
    with vendor() as elsewhere:
        plan = json.dumps(clients(elsewhere))
        other = json.dumps([{"id": "Wilson", "tasks": []}])
        crons = [
            night.start("cron", "nightly", night.url, plan),
            night.start("cron", "weekly", night.url, other),
        ]
        time.sleep(1.02 - time.time() % 1)  # both at the beginning of the same second
        for cron in crons:
            go(cron)
        for cron in crons:
            assert cron.wait(30) == 0, night.said.read_text()
    assert first.stdout is not None
    assert sorted(first.stdout.readline() for _ in range(4)) == [
        f"working on {ident}\n" for ident in ("g1", "g2", "w1", "w2")
    ]
    wait_until(lambda: [path.name for path in night.inbox.iterdir()] == ["g2.json"], 20)
    first.send_signal(signal.SIGTERM)  # the platform asks, waits for a while, and kills
    time.sleep(0.2)
    first.kill()
    first.wait()
    second = night.serve()
    for _ in range(2):
        post(f"{night.url}/webhook", {"id": "vendor-g3", "counts": {"leads": 90}})
    wait_until(lambda: not list(night.inbox.iterdir()), 30)
    post(
        f"{night.url}/webhook", {"id": "vendor-w3", "counts": {"leads": 11}}
    )  # late: numbers, no other status
    second.terminate()


def deliver_the_rest(night: Night, base: AirtableServer) -> None:
    """Let this process deliver what the others left, and wait for it."""
    jobspan.configure(ledger=night.home / "ledger.db", strict=True, airtable=settings(base))
    _runtime.runtime().keeper.start()
    assert jobspan.flush(60)


def by_id(found: list[dict[str, Any]], column: str) -> dict[str, dict[str, Any]]:
    """Return rows by a column; there is one for each value."""
    assert len({row[column] for row in found}) == len(found)
    return {row[column]: row for row in found}


def test_the_night_is_told_as_it_was(night: Night, base: AirtableServer) -> None:
    live_through(night)
    deliver_the_rest(night, base)
    all_jobs = by_id(rows(base, JOBS), "Job Type")
    assert sorted(all_jobs) == ["nightly", "weekly"]
    job, weekly = all_jobs["nightly"], all_jobs["weekly"]
    started = [int(seconds(each["Start Time"])) for each in (job, weekly)]
    assert started[0] == started[1], "both crons fired in one second"
    assert job["Run ID"] != weekly["Run ID"]
    there = rows(base, CLIENT_RUNS)
    own = by_id([row for row in there if row["Run ID"].startswith(job["Run ID"] + "-")], "Client ID")
    assert len(there) == len(own) + 1
    assert_what_was_done(job, own)
    assert_how_it_ended(job, own, weekly)
    assert_trouble_is_named_once(job, own)
    assert sum(kinds(base).values()) <= 20, kinds(base)
    assert base.rate_limited == 0


def assert_what_was_done(job: dict[str, Any], own: dict[str, dict[str, Any]]) -> None:
    """Assert the totals: what was processed, once."""
    columns = ("Leads Processed", "Posts Processed")
    assert {client: tuple(row.get(column) for column in columns) for client, row in own.items()} == {
        "Guy-Wilson": (95 + 90, 43),
        "Wilson": (7 + 11, 5),
        "Anna-Lena": (None, None),
    }
    assert job["Items Processed"] == 95 + 90 + 43 + 7 + 11 + 5
    assert {client: row["Run ID"] for client, row in own.items()} == {
        client: f"{job['Run ID']}-{client}" for client in own
    }


def assert_how_it_ended(job: dict[str, Any], own: dict[str, dict[str, Any]], weekly: dict[str, Any]) -> None:
    """Assert statuses and ends: the job's is that of the last child."""
    assert (job["Status"], weekly["Status"]) == ("Completed_with_errors", "Completed")
    assert {client: row["Status"] for client, row in own.items()} == {
        "Guy-Wilson": "Completed",
        "Wilson": "Completed_with_errors",
        "Anna-Lena": "Completed",
    }
    assert job["End Time"] == max(row["End Time"] for row in own.values()) == own["Guy-Wilson"]["End Time"]
    assert 2.0 <= seconds(own["Wilson"]["End Time"]) - seconds(own["Wilson"]["Start Time"]) < 5.0
    assert "skipped: no posts since yesterday" in own["Anna-Lena"]["System Notes"]
    assert "process ended without finishing" in own["Guy-Wilson"]["System Notes"]
    assert "a part: Timed_out after 2.0 s — DeadlineExceeded" in own["Wilson"]["System Notes"]


def assert_trouble_is_named_once(job: dict[str, Any], own: dict[str, dict[str, Any]]) -> None:
    """Assert that the job's notes name what could not be shown, and nothing else does."""
    assert job["System Notes"].count("column 'Apify API Costs' is missing") == 1
    assert job["System Notes"].count("column 'Errors' is computed") == 1
    assert not any("column '" in row["System Notes"] for row in own.values())
    assert (
        "apify costs: $1\n" in job["System Notes"]
    )  # four tasks were paid for; the column's loss is no loss


def seconds(instant: str) -> float:
    """Return an instant in seconds since 1970."""
    return datetime.fromisoformat(instant).timestamp()
