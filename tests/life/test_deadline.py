"""`timeout=` in asyncio: the task is canceled at the deadline, and only that is Timed_out."""

from __future__ import annotations

import asyncio
import time

import pytest

from jobspan import DeadlineExceeded, client_run, job, operation
from tests.conftest import Fresh


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
