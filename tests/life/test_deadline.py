"""`timeout=`: tasks are canceled, calls in `map` are given up, and only our own deadline is Timed_out."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import jobspan
from jobspan import DeadlineExceeded, client_run, job, operation
from tests.conftest import Fresh
from tests.faults.process import jobs, run, start


def test_an_async_block_is_canceled_at_its_deadline(fresh: Fresh) -> None:
    async def work() -> None:
        async with job("a") as j, j.client("slow", timeout=0.05) as run:
            run.add(leads=1)
            await asyncio.sleep(30)

    before = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        asyncio.run(work())
    assert time.monotonic() - before < 5
    found = fresh.client("slow")
    assert (found.status, found.counts) == ("Timed_out", {"leads": 1})
    assert "timeout" in found.system_notes


def test_a_decorated_coroutine_is_canceled_at_its_deadline(fresh: Fresh) -> None:
    @client_run(client="name", timeout=0.05)
    async def work(name: str) -> None:
        await asyncio.sleep(30)

    with pytest.raises(DeadlineExceeded):
        asyncio.run(work("slow"))
    assert fresh.client("slow").status == "Timed_out"


def test_the_task_goes_on_after_an_operation_that_timed_out(fresh: Fresh) -> None:
    async def work() -> str:
        async with client_run("x"):
            try:
                async with operation("fetch", timeout=0.05):
                    await asyncio.sleep(30)
            except DeadlineExceeded:
                await asyncio.sleep(0)
                return "went on"
        return ""

    assert asyncio.run(work()) == "went on"
    found = fresh.client("x")
    assert [(op.name, op.status) for op in found.operations] == [("fetch", "Timed_out")]
    assert found.status == "Completed_with_errors"


def test_the_loop_over_clients_goes_on_after_one_that_timed_out(fresh: Fresh) -> None:
    async def work() -> None:
        async with job("a") as j:
            for run in j.clients(["slow", "quick"], timeout=0.05):
                async with run:
                    await asyncio.sleep(30 if run.client == "slow" else 0)

    asyncio.run(work())
    assert (fresh.client("slow").status, fresh.client("quick").status) == ("Timed_out", "Completed")


def test_a_cancel_from_outside_is_canceled_not_timed_out(fresh: Fresh) -> None:
    async def work() -> None:
        async with client_run("x", timeout=30):
            await asyncio.sleep(30)

    async def outside() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0.05)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(outside())
    assert fresh.client("x").status == "Canceled"


def test_a_timeout_of_somebody_else_is_failed(fresh: Fresh) -> None:
    async def work() -> None:
        async with client_run("x", timeout=30):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(30)

    with pytest.raises(TimeoutError):
        asyncio.run(work())
    assert fresh.client("x").status == "Failed"


def test_work_done_in_time_is_left_alone(fresh: Fresh) -> None:
    async def work() -> int:
        async with client_run("x", timeout=30):
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        return 7

    assert asyncio.run(work()) == 7
    assert fresh.client("x").status == "Completed"


# --- map


def waits(release: threading.Event, recorded: threading.Event) -> Any:
    def work(client: str) -> str:
        with operation("fetch"):
            jobspan.current_run().add(leads=1)
        if client == "slow":
            release.wait(20)
            with operation("late"):
                jobspan.current_run().add(leads=10)
            with client_run("slow"):
                jobspan.current_run().add(leads=100)
            recorded.set()
        return client

    return work


@pytest.mark.parametrize("concurrency", [1, 2])
def test_map_gives_up_a_client_at_its_deadline_and_goes_on(fresh: Fresh, concurrency: int) -> None:
    release, recorded = threading.Event(), threading.Event()
    with job("a") as j:
        before = time.monotonic()
        clients = ["slow", "b", "c", "d"]
        results = j.map(waits(release, recorded), clients, concurrency=concurrency, timeout=0.3)
        assert 0.3 <= time.monotonic() - before < 5
    assert [r.status for r in results] == ["Timed_out", "Completed", "Completed", "Completed"]
    assert [r.value for r in results] == [None, "b", "c", "d"]
    assert isinstance(results[0].error, DeadlineExceeded)
    assert str(results[0].error) == "client_run 'slow' is past its timeout"
    found, ended = fresh.client("slow"), fresh.job().end_time
    assert (found.status, found.counts, found.attempts) == ("Timed_out", {"leads": 1}, 1)
    assert found.start_time is not None
    assert found.end_time is not None
    assert 0.25 <= (found.end_time - found.start_time).total_seconds() < 3
    assert fresh.job().status == "Completed_with_errors"
    release.set()
    assert recorded.wait(10)
    late = fresh.client("slow")
    assert (late.status, late.counts, late.attempts) == ("Timed_out", {"leads": 111}, 1)
    assert (late.end_time, fresh.job().end_time) == (found.end_time, ended)
    assert "after the end" in late.system_notes
    assert fresh.job().status == "Completed_with_errors"


def test_a_client_given_up_is_tried_again(fresh: Fresh) -> None:
    tries: list[int] = []

    def work(client: str) -> int:
        tries.append(1)
        if len(tries) == 1:
            time.sleep(1.0)
        return len(tries)

    with job("a") as j:
        (result,) = j.map(work, "x", timeout=0.2, retries=1)
    assert (result.status, result.value, result.attempts) == ("Completed", 2, 2)
    assert (fresh.client("x").status, fresh.client("x").attempts) == ("Completed", 2)


def test_a_function_that_stops_at_its_own_checkpoint_is_timed_out_once(fresh: Fresh) -> None:
    def work(client: str) -> None:
        while True:
            time.sleep(0.01)
            jobspan.current_run().checkpoint()

    with job("a") as j:
        (result,) = j.map(work, "x", timeout=0.1)
    assert (result.status, fresh.client("x").status, fresh.client("x").errors) == (
        "Timed_out",
        "Timed_out",
        1,
    )


def test_the_deadline_of_the_job_ends_clients_on_threads(fresh: Fresh) -> None:
    release = threading.Event()
    before = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="job 'a'"), job("a", timeout=0.3) as j:
        j.map(lambda client: release.wait(20), range(9), concurrency=2, timeout=15)
    assert time.monotonic() - before < 5
    release.set()
    found = fresh.job()
    assert found.status == "Timed_out"
    assert {run.status for run in found.client_runs} == {"Timed_out"}
    assert len(found.client_runs) <= 4
    assert "job 'a' is past its timeout" in found.client_runs[0].system_notes


def test_an_executor_is_waited_for_until_the_deadline(fresh: Fresh) -> None:
    release = threading.Event()

    def work(client: str) -> str:
        if client == "own":
            raise TimeoutError("somebody else's")
        if client == "slow":
            release.wait(20)
        return client

    with ThreadPoolExecutor(3) as pool, job("a") as j:
        results = j.map(work, ["slow", "own", "x"], executor=pool, timeout=0.3)
        release.set()
    assert [r.status for r in results] == ["Timed_out", "Failed", "Completed"]


def test_the_levels_of_deadlines_are_told_apart(fresh: Fresh) -> None:
    def work(client: str) -> None:
        with operation("fetch", timeout=0.05):
            time.sleep(0.1)
            jobspan.current_run().checkpoint()

    with job("a") as j:
        j.map(work, "x", timeout=30)
    found = fresh.client("x")
    assert (found.status, found.operations[0].status) == ("Timed_out", "Timed_out")
    assert "operation 'fetch' is past its timeout" in found.system_notes


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_process_does_not_wait_for_threads_given_up(tmp_path: Path, concurrency: int) -> None:
    code = f"""
with job("a") as j:
    results = j.map(lambda c: time.sleep(60), "xy", concurrency={concurrency}, timeout=0.2)
say([str(r.status.value) for r in results])
"""
    before = time.monotonic()
    assert run(tmp_path / "ledger.db", code) == ["['Timed_out', 'Timed_out']"]
    assert time.monotonic() - before < 20
    assert jobs(tmp_path / "ledger.db")[0]["status"] == "Timed_out"


def test_an_interrupt_does_not_wait_for_clients_with_a_timeout(tmp_path: Path) -> None:
    code = """
def work(client):
    say("at work")
    time.sleep(60)
with job("a") as j:
    j.map(work, "xyz", concurrency=2, timeout=50)
"""
    with start(tmp_path / "ledger.db", code) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "at work"
        process.send_signal(signal.SIGINT)
        before = time.monotonic()
        process.communicate(timeout=40)
        assert time.monotonic() - before < 20
    (found,) = jobs(tmp_path / "ledger.db")
    assert found["status"] == "Canceled"
    assert {client["status"] for client in found["client_runs"]} == {"Canceled"}


def test_a_run_of_another_host_is_closed_at_its_deadline(tmp_path: Path) -> None:
    """Another host is one whose boot and processes cannot be looked at: the header says so."""
    ledger = tmp_path / "ledger.db"
    code = """
from jobspan.journal import identity
from dataclasses import replace
mine = replace(identity.current(), host="elsewhere", boot_id="another boot")
import jobspan._unwritten as u
u.current_process = identity.current = lambda: mine
run = client_run("x", timeout=0.1).__enter__()
say(run.run_id)
sys.stdin.readline()
"""
    with start(ledger, code) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.3)
        assert jobs(ledger)[0]["status"] == "Running"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("jobspan.ledger.folder._LATE_NS", 0)
            (found,) = jobs(ledger)
        process.communicate("\n", timeout=20)
    (client,) = found["client_runs"]
    assert client["status"] == "Timed_out"
    took = datetime.fromisoformat(client["end_time"]) - datetime.fromisoformat(client["start_time"])
    assert 0 <= took.total_seconds() <= 0.1


def test_a_process_killed_past_its_deadline_has_timed_out_then(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    code = """
with job("a") as j:
    early = j.client("early", timeout=60).__enter__()
    late = j.client("late", timeout=0.1).__enter__()
    time.sleep(0.3); early.add(leads=1)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    run(ledger, code, status=-9)
    clients = {client["client_id"]: client for client in jobs(ledger)[0]["client_runs"]}
    assert {name: client["status"] for name, client in clients.items()} == {
        "late": "Timed_out",
        "early": "Failed",
    }
