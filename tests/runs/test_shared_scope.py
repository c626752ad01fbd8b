"""Blocks of one client, by one scope or two: each leaves the run it entered, whatever else is open."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator

import jobspan
from jobspan import client_run, current_run, job
from jobspan.runs import scope as scopes
from jobspan.runs.current import live_run
from tests.conftest import Fresh


def test_blocks_of_one_scope_share_no_run(fresh: Fresh) -> None:
    scope = client_run("A")
    with job("nightly"):
        with scope as first, scope as second:
            assert first is not second
            assert current_run() is second
            first.add(leads=1)
            second.add(leads=10)
    assert fresh.client("A").leads_processed == 11


def test_threads_leave_their_own_blocks_in_any_order(fresh: Fresh) -> None:
    scope = client_run("A")
    first_is_in, second_is_in, first_is_out = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with scope as run:
            first_is_in.set()
            assert second_is_in.wait(20)
            run.add(leads=1)
            assert run.is_recording
        assert not run.is_recording
        first_is_out.set()

    def second() -> None:
        assert first_is_in.wait(20)
        with scope as run:
            second_is_in.set()
            assert first_is_out.wait(20)
            assert run.is_recording, "the other thread has left this block"
            run.add(leads=10)

    with job("nightly"):
        threads = [threading.Thread(target=jobspan.wrap(body)) for body in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert fresh.client("A").leads_processed == 11
    assert fresh.client("A").status == "Completed"
    assert not scopes._entered


def test_tasks_leave_their_own_blocks(fresh: Fresh) -> None:
    scope = client_run("A")

    async def work(turns: int) -> bool:
        async with scope as run:
            run.add(leads=1)
            for _ in range(turns):
                await asyncio.sleep(0)
                assert current_run() is run
        return not run.is_recording

    async def main() -> list[bool]:
        return await asyncio.gather(*(work(turns) for turns in (5, 1, 3, 2)))

    with job("nightly"):
        assert asyncio.run(main()) == [True] * 4
    assert fresh.client("A").leads_processed == 4


def test_a_block_that_records_nothing_leaves_the_run_around_it_alone(fresh: Fresh) -> None:
    scope = client_run("A", implicit_job=False)

    def outside_of_the_job() -> None:
        assert live_run() is None
        with scope as run:
            run.add(leads=100)

    with job("nightly"), scope as real:
        contextvars.Context().run(outside_of_the_job)
        assert real.is_recording
        assert current_run() is real
        real.add(leads=1)
    assert fresh.client("A").leads_processed == 1


def test_blocks_left_in_another_order_are_all_closed(fresh: Fresh) -> None:
    with job("nightly") as outer:
        first, second = client_run("A"), client_run("B")
        one, two = first.__enter__(), second.__enter__()
        first.__exit__(None, None, None)
        assert (one.is_recording, two.is_recording) == (False, True)
        second.__exit__(None, None, None)
        assert not two.is_recording
        with client_run("C"):
            assert current_run().parent is outer
    assert {run.status for run in fresh.job().client_runs} == {"Completed"}
    assert not scopes._entered


def test_a_block_left_where_its_context_is_not_is_that_of_its_thread(fresh: Fresh) -> None:
    scope = client_run("A")
    inside, leave = threading.Event(), threading.Event()
    elsewhere = []

    def other() -> None:
        with scope as run:
            elsewhere.append(run)
            run.add(leads=10)
            inside.set()
            assert leave.wait(20)

    with job("nightly"):
        mine = contextvars.copy_context().run(scope.__enter__)  # as a fixture that was set up elsewhere
        thread = threading.Thread(target=jobspan.wrap(other))
        thread.start()
        assert inside.wait(20)
        mine.add(leads=1)
        scope.__exit__(None, None, None)
        assert (mine.is_recording, elsewhere[0].is_recording) == (False, True)
        leave.set()
        thread.join()
    assert fresh.client("A").leads_processed == 11


def test_generators_over_one_client_leave_their_own_blocks_in_any_order(fresh: Fresh) -> None:
    runs = []

    def steps(turns: int) -> Iterator[int]:
        with client_run("A") as run:
            runs.append(run)
            yield from range(turns)

    with job("nightly"):
        first, second = steps(1), steps(2)
        assert (next(first), next(second)) == (0, 0)
        assert list(first) == []
        assert [run.is_recording for run in runs] == [False, True]
        assert list(second) == [1]
        assert not runs[1].is_recording
    assert not scopes._entered
