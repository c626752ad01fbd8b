"""Many processes, and processes that die: one sender, one row each, equal to the ledger in the end."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import jobspan
from jobspan import _delivery, _runtime
from jobspan.testing.airtable import AirtableServer
from tests.program import environment, stop
from tests.relay.conftest import Deliver
from tests.relay.support import (
    CLIENT_RUNS,
    JOBS,
    SWIFT,
    assert_equal_to_ledger,
    fence_of,
    rows,
    settings,
    wait_until,
)

WORK = """
import sys, time, jobspan
from dataclasses import replace
from jobspan import _delivery, _runtime
from tests.relay.support import SWIFT
_delivery.TIMING = replace(SWIFT, lease=float(sys.argv[3]), renew=float(sys.argv[3]) / 4)
name, until = sys.argv[1], time.monotonic() + float(sys.argv[2])
n = 0
with jobspan.job(name) as job:
    while time.monotonic() < until:
        with job.client(f"{name}-{n}") as run:
            run.add(posts=n)
            time.sleep(float(sys.argv[4]))
        n += 1
"""


def program(
    server: AirtableServer, home: Path, *arguments: object, code: str = WORK, **environ: str
) -> subprocess.Popen[str]:
    """Start a process that delivers to a server."""
    more = {
        "AIRTABLE_API_KEY": server.token,
        "AIRTABLE_BASE_ID": server.base_id,
        "AIRTABLE_ENDPOINT_URL": server.url,
    }
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment(home, **more, **environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def deliver_the_rest(server: AirtableServer, home: Path, timeout: float = 60) -> None:
    """Let this process take over what others left, and wait for it."""
    _delivery.TIMING = SWIFT
    jobspan.configure(ledger=home / "ledger.db", strict=True, airtable=settings(server))
    _runtime.runtime().keeper.start()
    assert jobspan.flush(timeout)


@pytest.mark.parametrize("kills", [4, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.timeout(900)
def test_killed_between_request_and_answer_it_is_one_row_in_the_end(fresh: Path, kills: int) -> None:
    with AirtableServer(lockout_seconds=1.0) as server:
        for trial in range(kills):
            fault = server.fail("hang", when="after", seconds=3.0, method="PATCH", nth=1 + trial % 4)
            process = program(server, fresh, f"killed-{trial}", 20, 0.8, 0.3)
            wait_until(lambda fault=fault: fault.hits == 1, 20)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            fault.cancel()
        server.clear_faults()
        deliver_the_rest(server, fresh, 120)
        assert_equal_to_ledger(server)
        assert server.rate_limited == 0
        assert len(rows(server, CLIENT_RUNS)) > kills


def test_eight_processes_on_one_base_have_one_sender_at_a_time(fresh: Path) -> None:
    with AirtableServer() as server:
        running = [program(server, fresh, f"worker-{n}", 0.5 + n * 0.3, 1.5, 0.02) for n in range(8)]
        for process in running:
            _, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
        deliver_the_rest(server, fresh)
        assert server.rate_limited == 0
        assert server.busiest_second <= 5
        assert_equal_to_ledger(server)


def test_a_stopped_sender_is_relieved_within_the_lease_and_overwrites_nothing(fresh: Path) -> None:
    import_module("jobspan.airtable.destination")  # on a busy machine the libraries load for seconds
    with AirtableServer() as server:
        process = program(server, fresh, "stopped", 15, 1.5, 0.05)
        wait_until(lambda: len(server.rows(CLIENT_RUNS)) > 0, 20)
        stop(process.pid, fresh / "ledger.db")
        stopped_at = time.monotonic()
        try:
            before = len(server.requests)
            _delivery.TIMING = SWIFT
            jobspan.configure(ledger=fresh / "ledger.db", strict=True, airtable=settings(server))
            fence = fence_of(server)
            with jobspan.job("relief") as job, job.client("A"):
                pass
            wait_until(lambda: fence_of(server) > fence, 20)
            assert time.monotonic() - stopped_at < 1.5 + 2.0
            wait_until(lambda: any(r["Client ID"] == "A" for r in server.rows(CLIENT_RUNS)), 20)
            first = server.requests[before]
            assert first.at - stopped_at < 1.5 + 2.0
        finally:
            process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        deliver_the_rest(server, fresh)
        assert server.rate_limited == 0
        assert_equal_to_ledger(server)


def test_a_relay_of_its_own_delivers_what_others_wrote(fresh: Path) -> None:
    with AirtableServer() as server:
        code = "import jobspan; from tests.relay.support import batch; batch(12)"
        more = {"JOBSPAN_RELAY": "off"}
        process = subprocess.run(
            [sys.executable, "-c", code],
            env={
                **environment(fresh, **more),
                "AIRTABLE_API_KEY": server.token,
                "AIRTABLE_BASE_ID": server.base_id,
                "AIRTABLE_ENDPOINT_URL": server.url,
            },
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        assert server.requests == []
        relay = program(
            server, fresh,
            code="from jobspan import _runtime; print(_runtime.run_relay(until_empty=True))",
        )  # fmt: skip
        out, err = relay.communicate(timeout=30)
        assert out.strip() == "True", err
        deliver_the_rest(server, fresh)
        assert_equal_to_ledger(server)


def test_a_relay_closes_what_a_killed_process_and_a_missed_deadline_left_open(fresh: Path) -> None:
    relaying = """
from jobspan import _delivery, _runtime
from tests.relay.support import SWIFT
_delivery.TIMING = SWIFT
_runtime.run_relay()
"""
    working = """
import os, sys, time, jobspan
with jobspan.job("killed") as job:
    with job.client("waits") as run: run.detach(external_id="w", deadline=12)
    with job.client("works") as run:
        run.add(posts=4)
        print("open", flush=True)
        time.sleep(60)
"""
    with AirtableServer() as server:
        relay = program(server, fresh, code=relaying)
        worker = subprocess.Popen(
            [sys.executable, "-c", working],
            env={**environment(fresh, JOBSPAN_RELAY="off"), "AIRTABLE_BASE_ID": server.base_id},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "open\n"
            opened = dict.fromkeys(("killed", "waits", "works"), "Running")
            wait_until(lambda: statuses(server) == opened, 30)
            worker.kill()
            killed_at = time.time()
            worker.wait()
            wanted = {"killed": "Failed", "waits": "Timed_out", "works": "Failed"}
            wait_until(lambda: statuses(server) == wanted, 40)
        finally:
            for process in (worker, relay):
                process.kill()
                process.communicate()
        (row,) = [row for row in rows(server, CLIENT_RUNS) if row["Client ID"] == "works"]
        assert row["Posts Processed"] == 4
        assert "process ended without finishing" in row["System Notes"]
        assert datetime.fromisoformat(row["End Time"]).timestamp() <= killed_at + 0.001, "last seen, not now"


def statuses(server: AirtableServer) -> dict[str, str]:
    """Return the status of each row, by job type or client."""
    found = {row["Job Type"]: row["Status"] for row in rows(server, JOBS)}
    return found | {row["Client ID"]: row["Status"] for row in rows(server, CLIENT_RUNS)}


def test_a_forked_child_delivers_by_itself(deliver: Deliver) -> None:
    server = deliver()
    with jobspan.job("parent") as job, job.client("A"):
        pass
    assert jobspan.flush(10)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with jobspan.job("child") as job, job.client("B"):
                pass
            code = 0 if jobspan.flush(20) else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    with jobspan.job("parent again") as job, job.client("C"):
        pass
    assert jobspan.flush(15)
    assert_equal_to_ledger(server)
    assert server.rate_limited == 0


DEAD = {
    "refusing": lambda server: server.outage(),
    "slow": lambda server: server.fail("latency", seconds=30, every=1),
    "hanging": lambda server: server.fail("hang", seconds=60, every=1),
    "refused token": lambda server: server.revoke(),
    "broken": lambda server: server.fail(500, body="html", every=1),
}
DECORATED = """
import sys, time, jobspan, json
start = time.monotonic()
@jobspan.job("decorated")
def work(x):
    with jobspan.client_run("A") as run:
        run.add(posts=1)
    return x * 2
assert work(21) == 42
if sys.argv[1] == "later":
    time.sleep(1.5)
print(time.monotonic() - start, flush=True)
"""


@pytest.mark.parametrize("kind", ["fine", *sorted(DEAD)])
def test_the_function_is_unharmed_and_the_exit_prompt(fresh: Path, kind: str) -> None:
    with AirtableServer() as server:
        DEAD.get(kind, lambda _: None)(server)
        for moment, longest in (("at once", 0.5), ("later", 2.0)):
            for attempt in range(4):
                took, exit_seconds = lived(program(server, fresh, moment, code=DECORATED))
                if took > longest:  # on a busy machine the same without Airtable is slow, too
                    alone = program(server, fresh, moment, code=DECORATED, JOBSPAN_MODE="offline")
                    longest = max(longest, 1.5 * lived(alone)[0])
                if took <= longest and exit_seconds <= 2.5:
                    break
                assert attempt < 3, (took, longest, exit_seconds)


@pytest.mark.parametrize(
    "kind", ["hanging", *(pytest.param(each, marks=pytest.mark.slow) for each in ("fine", "refusing"))]
)
def test_an_exit_that_may_not_take_time_takes_next_to_none(fresh: Path, kind: str) -> None:
    exits: dict[str, list[float]] = {"idle": [], "delivering": []}
    # The interpreter itself takes a tenth of a second to let go of pyairtable: both have loaded it.
    ways: dict[str, tuple[str, dict[str, str]]] = {
        "idle": ("import pyairtable\n" + DECORATED, {"JOBSPAN_MODE": "offline"}),
        "delivering": (DECORATED, {}),
    }
    with AirtableServer() as server:
        DEAD.get(kind, lambda _: None)(server)
        for _ in range(5):
            for name, (code, more) in ways.items():
                process = program(server, fresh, "later", code=code, JOBSPAN_EXIT_FLUSH="0", **more)
                exits[name].append(lived(process)[1])
            if min(exits["delivering"]) <= min(exits["idle"]) + 0.15:
                return
    raise AssertionError(exits)


def lived(process: subprocess.Popen[str]) -> tuple[float, float]:
    """Return how long the work of a process took, as it says, and its exit."""
    with suppress(OSError):  # what else the machine does is not measured, where that may be asked for
        os.setpriority(os.PRIO_PROCESS, process.pid, -15)
    assert process.stdout is not None
    took = float(process.stdout.readline())
    told = time.monotonic()
    process.wait(timeout=30)
    exit_seconds = time.monotonic() - told
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert "Traceback" not in err
    return took, exit_seconds


def timings(calls: int) -> list[float]:
    """Return how long each of so many small client runs took."""
    found: list[float] = []
    with jobspan.job("timed") as job:
        for number in range(calls):
            started = time.perf_counter()
            with job.client(f"client-{number}") as run:
                run.add(posts=1)
            found.append(time.perf_counter() - started)
            if number % 50 == 0:
                time.sleep(0.005)
    return sorted(found)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_delivering_costs_the_work_next_to_nothing(deliver: Deliver, fresh: Path) -> None:
    server = deliver()
    ways: dict[str, dict[str, Any]] = {
        "without": {"ledger": fresh / "plain.db", "mode": "offline"},
        "with": {"ledger": fresh / "ledger.db", "airtable": settings(server), "exit_flush": 0.0},
    }
    rounds: dict[str, list[list[float]]] = {name: [] for name in ways}
    for number in range(10):  # by turns: what else the machine does falls on both
        for name, given in sorted(ways.items(), reverse=number % 2 == 0):
            jobspan.configure(strict=True, **given)
            timings(200)
            rounds[name].append(timings(3_000))
    middle = {n: statistics.median(each[len(each) // 2] for each in found) for n, found in rounds.items()}
    tail = {
        n: statistics.median(each[len(each) * 99 // 100] for each in found) for n, found in rounds.items()
    }
    print(middle, tail)
    assert middle["with"] <= middle["without"] * 1.05 + 2e-6
    assert tail["with"] <= tail["without"] + 1e-3


def test_a_process_says_once_how_many_rows_wait(fresh: Path) -> None:
    with AirtableServer() as server:
        server.outage()
        code = (
            "import logging, jobspan; logging.basicConfig(); from tests.relay.support import batch; batch(4)"
        )
        process = program(server, fresh, code=code)
        _, err = process.communicate(timeout=30)
        told: list[Any] = [line for line in err.splitlines() if "jobspan.delivery.postponed" in line]
        assert len(told) == 1
        assert "waiting=5" in told[0]
        assert server.token not in err
