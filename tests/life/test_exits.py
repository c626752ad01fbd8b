"""Forked pools, and exits of every kind, as real processes: nothing leaks from one job into another."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults.process import jobs, run

POOL = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

def told(_):
    found = current_job()
    with client_run(f"c{os.getpid()}") as mine:
        mine.add(leads=1)
    return found.run_id, os.getpid()
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def by_type(ledger: Path) -> dict[str, dict[str, Any]]:
    return {job["job_type"]: job for job in jobs(ledger)}


def test_a_pool_forked_inside_a_job_does_not_carry_it_into_the_next_one(ledger: Path) -> None:
    code = (
        POOL
        + """
pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork"))
with job("a") as a:
    list(pool.map(told, range(4)))
with job("b") as b:
    results = b.map(told, ["x", "y"], executor=pool)
pool.shutdown()
say(sorted({r.value[0] for r in results}) == [b.run_id])
"""
    )
    assert run(ledger, code) == ["True"]
    found = by_type(ledger)
    inside = {client["client_id"] for client in found["b"]["client_runs"]}
    assert {"x", "y"} <= inside
    assert {job["status"] for job in found.values()} == {"Completed"}
    assert found["a"]["items_processed"] == 4
    assert found["b"]["items_processed"] == 2


def test_a_handle_used_in_a_forked_child_writes_as_the_child(ledger: Path) -> None:
    code = """
with job("a") as j, j.client("x") as r:
    r.add(leads=1)
    pids = []
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            r.add(leads=10)
            r.note("from a child")
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    r.add(leads=1)
"""
    run(ledger, code)
    (found,) = jobs(ledger)
    assert found["client_runs"][0]["counts"] == {"leads": 32}
    assert found["status"] == "Completed"


def test_threads_that_live_on_at_the_end_of_the_interpreter_hold_up_nothing(ledger: Path) -> None:
    code = """
def work():
    with client_run("behind") as r:
        while True:
            r.add(leads=1); time.sleep(0.001)
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
with job("a"): pass
"""
    before = time.monotonic()
    run(ledger, code)
    assert time.monotonic() - before < 20
    found = jobs(ledger)
    assert sorted(job["status"] for job in found) == ["Completed", "Failed", "Failed", "Failed"]
    assert all(job["client_runs"][0]["counts"]["leads"] > 10 for job in found if job["client_runs"])


def test_a_thread_that_is_no_daemon_ends_its_block_after_the_main_thread(ledger: Path) -> None:
    code = """
def work():
    with client_run("behind") as r:
        time.sleep(0.5)
        r.add(leads=1)
threading.Thread(target=work).start()
with job("a"): pass
"""
    run(ledger, code)
    found = by_type(ledger)
    assert {job["status"] for job in found.values()} == {"Completed"}
    assert found["client_run"]["items_processed"] == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_exit_handlers_in_any_order_record(ledger: Path, when: str) -> None:
    handler = """
def at_exit():
    with job("exit"), client_run("x") as r: r.add(leads=1)
    jobspan.shutdown()
    with job("later"), client_run("x") as r: r.add(leads=2)
atexit.register(at_exit)
"""
    work = "with job('main'): pass\njobspan.flush(5)\n"
    code = "import atexit\n" + (handler + work if when == "before" else work + handler)
    run(ledger, code)
    found = by_type(ledger)
    assert {name: job["status"] for name, job in found.items()} == {
        "main": "Completed",
        "exit": "Completed",
        "later": "Completed",
    }
    assert (found["exit"]["items_processed"], found["later"]["items_processed"]) == (1, 2)


@pytest.mark.parametrize(
    ("code", "status", "word"),
    [("sys.exit(0)", 0, "Completed"), ("sys.exit(3)", 3, "Failed"), ("sys.exit('no')", 1, "Failed")],
)
def test_an_exit_inside_three_blocks_closes_them_all(ledger: Path, code: str, status: int, word: str) -> None:
    run(
        ledger,
        f"with job('a') as j, j.client('x') as r, r.operation('step') as op: op.add(leads=1); {code}",
        status=status,
    )
    (found,) = jobs(ledger)
    (client,) = found["client_runs"]
    (step,) = client["operations"]
    assert (found["status"], client["status"], step["status"]) == (word, word, word)
    assert (found["errors"], client["counts"]) == (0, {"leads": 1})


def test_a_coroutine_nobody_awaits_opens_nothing(ledger: Path) -> None:
    code = """
import warnings; warnings.simplefilter("ignore")
@job("never")
async def work(): pass
work()
with job("a"): pass
"""
    run(ledger, code)
    assert [job["job_type"] for job in jobs(ledger)] == ["a"]


def test_a_task_left_behind_by_its_loop_is_canceled_with_its_run(ledger: Path) -> None:
    code = """
import asyncio
@job("left")
async def work(): await asyncio.sleep(60)
async def main():
    asyncio.create_task(work())
    await asyncio.sleep(0.05)
asyncio.run(main())
"""
    run(ledger, code)
    assert by_type(ledger)["left"]["status"] == "Canceled"


def test_a_generator_never_finished_is_closed_at_the_end(ledger: Path) -> None:
    code = """
@job("rows")
def rows():
    for n in range(10):
        jobspan.current_run().add(items=1)
        yield n
kept = rows()
next(kept); next(kept)
never = rows()
"""
    run(ledger, code)
    (found,) = jobs(ledger)
    assert found["status"] == "Completed"
    assert found["items_processed"] == 2
    assert found["end_time"] is not None


def test_a_hard_exit_keeps_what_was_recorded(ledger: Path) -> None:
    code = "with job('a') as j, j.client('x') as r: r.add(leads=7); os._exit(9)"
    run(ledger, code, status=9)
    (found,) = jobs(ledger)
    (client,) = found["client_runs"]
    assert (found["status"], client["status"], client["counts"]) == ("Failed", "Failed", {"leads": 7})
    assert "process ended without finishing" in client["system_notes"]
