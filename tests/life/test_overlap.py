"""One job of a type and key at a time: across processes, threads and tasks, and past the death of one."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from jobspan import AlreadyRunning, job
from jobspan.exceptions import DeadlineExceeded, UsageError
from tests.conftest import Fresh
from tests.faults.process import jobs, run, start

HOLD = """
with job("sync", overlap="fail") as j:
    say(j.run_id); sys.stdin.readline()
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def test_fail_and_skip_tell_of_the_other_job_and_open_nothing(ledger: Path) -> None:
    code = """
@job("sync", overlap="skip")
def skipped(): say("ran"); return 1
say(skipped())
for overlap in ("fail", "skip"):
    try:
        with job("sync", overlap=overlap): say("ran")
    except jobspan.AlreadyRunning as error:
        say(error.run.run_id); say(isinstance(error, RuntimeError) and error.run.run_id in str(error))
with job("sync", overlap="fail", key="eu"): say("other key")
with job("sync"): say("allowed")
"""
    with start(ledger, HOLD) as holder:
        assert holder.stdout is not None
        run_id = holder.stdout.readline().strip()
        assert run(ledger, code) == ["None", run_id, "True", run_id, "True", "other key", "allowed"]
        holder.communicate("\n", timeout=60)
    assert len(jobs(ledger)) == 3
    assert run(ledger, 'with job("sync", overlap="fail"): say("free again")') == ["free again"]


def test_a_killed_holder_is_taken_over_at_once(ledger: Path) -> None:
    with start(ledger, HOLD) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.kill()
        holder.communicate(timeout=60)
    assert run(ledger, 'with job("sync", overlap="fail"): say("ran")') == ["ran"]


def test_a_detached_job_holds_until_it_is_ended(ledger: Path) -> None:
    run(ledger, 'with job("sync") as j: j.detach(external_id="E", deadline="1h")')
    ask = """
try:
    with job("sync", overlap="fail"): say("ran")
except jobspan.AlreadyRunning: say("held")
"""
    assert run(ledger, ask) == ["held"]
    run(ledger, 'with jobspan.attach(external_id="E"): pass')
    assert run(ledger, ask) == ["ran"]


def race(ledger: Path, processes: int, rounds: int) -> list[int]:
    """Have processes open the same job at the same instants; return how many of them did in each round."""
    code = f"""
runtime()
for n in range({rounds}):
    say("ready"); sys.stdin.readline()
    try:
        with job(f"sync {{n}}", overlap="fail"):
            say("held"); sys.stdin.readline()
    except jobspan.AlreadyRunning:
        say("refused"); sys.stdin.readline()
"""
    started = [start(ledger, code) for _ in range(processes)]
    held: list[int] = []

    def hear() -> list[str]:
        return [each.stdout.readline().strip() for each in started if each.stdout is not None]

    def tell() -> None:
        for each in started:
            assert each.stdin is not None
            each.stdin.write("\n")
            each.stdin.flush()

    for _ in range(rounds):
        assert hear() == ["ready"] * processes
        tell()
        answers = hear()
        assert set(answers) <= {"held", "refused"}
        held.append(answers.count("held"))
        tell()
    for each in started:
        _, errors = each.communicate(timeout=60)
        assert each.returncode == 0, errors
    return held


def test_of_processes_that_start_at_the_same_instant_exactly_one_holds(ledger: Path) -> None:
    assert race(ledger, 4, 5) == [1] * 5


@pytest.mark.slow
def test_of_eight_processes_exactly_one_holds_in_each_of_fifty_rounds(ledger: Path) -> None:
    assert race(ledger, 8, 50) == [1] * 50


def test_queue_waits_until_the_other_one_has_ended(fresh: Fresh) -> None:
    at_work: list[int] = []
    most: list[int] = []

    @job("sync", overlap="queue")
    def sync() -> None:
        at_work.append(1)
        most.append(len(at_work))
        time.sleep(0.05)
        at_work.pop()

    threads = [threading.Thread(target=sync) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, len(fresh.jobs())) == ([1, 1, 1], 3)
    assert any("for another job of this type to end" in each.system_notes for each in fresh.jobs())


def test_queue_gives_up_after_its_timeout_and_where_the_run_around_is_to_stop(fresh: Fresh) -> None:
    with job("sync"):
        began = time.monotonic()
        with pytest.raises(AlreadyRunning):
            job("sync", overlap="queue", queue_timeout=0.2).__enter__()
        assert 0.2 <= time.monotonic() - began < 5
    held = job("held")
    with held, suppress(DeadlineExceeded), job("outer", timeout=0.1), job("held", overlap="queue"):
        pytest.fail("it ran")
    assert {each.status.value for each in fresh.jobs()} == {"Completed", "Timed_out"}


def test_an_async_job_waits_without_blocking_the_loop(fresh: Fresh) -> None:
    async def main() -> list[str]:
        said: list[str] = []

        @job("sync", overlap="queue")
        async def sync(name: str) -> None:
            said.append(f"{name} in")
            await asyncio.sleep(0.2)
            said.append(f"{name} out")

        async def tick() -> None:
            for _ in range(10):
                await asyncio.sleep(0.01)
            said.append("ticked")

        await asyncio.gather(sync("a"), sync("b"), tick())
        return said

    said = asyncio.run(main())
    assert said.index("ticked") < 3
    assert [each.split()[-1] for each in said if each != "ticked"] == ["in", "out", "in", "out"]


def test_a_task_that_waits_can_be_canceled_and_leaves_the_turn(fresh: Fresh) -> None:
    async def wait() -> None:
        async with job("sync", overlap="queue"):
            pytest.fail("it ran")

    async def main() -> None:
        with job("sync"):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await wait()
        async with job("sync", overlap="fail"):
            pass

    asyncio.run(main())
    assert len(fresh.jobs()) == 2


def test_generators_and_coroutines_are_skipped_whole(fresh: Fresh) -> None:
    ran: list[str] = []

    @job("sync", overlap="skip")
    def numbers() -> Iterator[int]:
        ran.append("generator")
        yield 1

    @job("sync", overlap="skip")
    async def numbers_later() -> AsyncIterator[int]:
        ran.append("async generator")
        yield 1

    @job("sync", overlap="skip")
    async def fetch() -> int:
        ran.append("coroutine")
        return 1

    async def collect() -> list[int]:
        return [n async for n in numbers_later()]

    with job("sync"):
        assert (list(numbers()), asyncio.run(fetch()), asyncio.run(collect())) == ([], None, [])
    assert ran == []
    assert (list(numbers()), asyncio.run(fetch()), asyncio.run(collect())) == ([1], 1, [1])
    assert len(fresh.jobs()) == 4


def test_wrong_options_are_told_at_once() -> None:
    for options in (
        {"overlap": "wait"},
        {"key": ""},
        {"key": True},
        {"queue_timeout": -1},
        {"overlaps": "skip"},
    ):
        with pytest.raises(UsageError):
            job("sync", **options)  # type: ignore[call-overload]


def test_already_running_pickles_with_the_record(fresh: Fresh) -> None:
    with job("sync"), pytest.raises(AlreadyRunning) as caught:
        job("sync", overlap="fail").__enter__()
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.run) == (str(caught.value), caught.value.run)
