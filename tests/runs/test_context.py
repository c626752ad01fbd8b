"""Which run is current: in threads, tasks, generators, stacks, children, and whatever order blocks end in."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import os
import signal
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import trace

import jobspan
from jobspan import client_run, job, operation
from tests.relay.support import wait_until


def outside():
    return jobspan.current_run().run_id == "" and not trace.get_current_span().get_span_context().is_valid


def test_threads_share_one_scope(fresh):
    with job("nightly") as j:
        scope, ready, seen = j.client("A"), threading.Barrier(8), []

        def work():
            ready.wait(10)
            for _ in range(5):
                with scope as run:
                    run.add(leads=1)
                    seen.append(jobspan.current_run() is run)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert seen == [True] * 40
    assert fresh.client("A").leads_processed == 40
    assert fresh.job().status == "Completed"


def test_tasks_share_one_scope(fresh):
    async def main():
        with job("nightly") as j:
            scope = j.client("A")

            async def work(n):
                async with scope as run:
                    await asyncio.sleep(0.001 * (n % 3))
                    assert jobspan.current_run() is run
                    run.add(leads=1)

            await asyncio.gather(*(work(n) for n in range(8)))
            assert jobspan.current_run() is j

    asyncio.run(main())
    assert fresh.client("A").leads_processed == 8
    assert fresh.job().status == "Completed"


def test_one_scope_nested_in_itself_closes_from_the_inside(fresh):
    scope = job("nightly")
    with scope as outer, scope as inner:
        assert jobspan.current_job() is inner
    assert outer.way_left
    assert len(fresh.jobs()) == 2
    assert outside()


def test_twenty_threads_adding_fifty_times_make_a_thousand(fresh):
    with job("nightly"), client_run("A") as run:

        def work():
            for _ in range(50):
                run.add(leads=1)

        threads = [threading.Thread(target=work) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert fresh.client("A").leads_processed == 1000


def test_95_leads_in_three_chunks_are_95(fresh):
    with job("nightly"):
        for leads in (40, 40, 15):
            with client_run("A") as run:
                run.add(leads=leads)
    assert fresh.client("A").leads_processed == fresh.job().items_processed == 95


def test_three_operations_in_three_processes_add_up(fresh):
    with job("nightly"), client_run("A") as run:
        children = []
        for n in (1, 2, 3):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    with operation(f"step {n}") as step:
                        step.add(leads=n)
                    run.add(posts=10)
                    code = 0
                finally:
                    os._exit(code)
            children.append(pid)
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
        run.add(posts=1)
    record = fresh.client("A")
    assert (record.leads_processed, record.posts_processed, record.status) == (6, 31, "Completed")
    assert sorted(step.name for step in record.operations) == ["step 1", "step 2", "step 3"]


def test_a_forked_child_never_closes_its_parents_record(fresh):
    with job("nightly"), client_run("A") as run:
        pid = os.fork()
        if pid == 0:
            run.__exit__(None, None, None)
            run.finish()
            os._exit(0)
        os.waitpid(pid, 0)
        assert fresh.client("A").status == "Running"
    assert fresh.client("A").status == "Completed"


def test_threads_of_a_child_count_each_addition(fresh):
    with job("nightly"), client_run("A") as run:
        pid = os.fork()
        if pid == 0:
            ready = threading.Barrier(6)

            def work():
                ready.wait(5)
                run.add(leads=1)

            threads = [threading.Thread(target=work) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(10)
            os._exit(0)
        os.waitpid(pid, 0)
        run.add(leads=1)
    assert fresh.client("A").leads_processed == 7


def test_threads_get_the_run_by_wrap(fresh):
    own = contextvars.ContextVar("own", default=0)
    with job("nightly"), client_run("A") as run, ThreadPoolExecutor(2) as pool:
        own.set(5)
        assert pool.submit(jobspan.current_run).result() is not run
        look = jobspan.wrap(lambda: (jobspan.current_run(), own.get(), trace.get_current_span()))
        assert pool.submit(look).result() == (run, 5, run.span)
        assert pool.submit(jobspan.current_run).result() is not run

        async def alook():
            return jobspan.current_run()

        assert pool.submit(asyncio.run, jobspan.wrap(alook)()).result() is run


def test_blocks_that_end_in_the_wrong_order_leave_the_right_run_current(fresh):
    first, second = job("nightly"), operation("step")
    with job("around") as around:
        one = first.__enter__()
        two = second.__enter__()
        assert jobspan.current_run() is two
        first.__exit__(None, None, None)
        assert jobspan.current_run() is around
        second.__exit__(None, None, None)
        assert one.way_left
        assert jobspan.current_run() is around
        assert trace.get_current_span() is around.span
    assert outside()
    assert fresh.job("nightly").status == "Completed"


def test_an_exit_stack_closes_what_it_opened(fresh):
    with contextlib.ExitStack() as stack:
        stack.enter_context(job("nightly"))
        stack.enter_context(client_run("A"))
        kept = stack.pop_all()
    assert jobspan.current_run().run_id
    kept.close()
    assert outside()
    assert fresh.job().status == "Completed"


def test_a_scope_can_be_left_in_another_context(fresh):
    scope = job("nightly")
    contextvars.Context().run(scope.__enter__)
    assert outside()
    scope.__exit__(None, None, None)
    assert fresh.job().status == "Completed"
    scope = job("copied")

    def leave():
        scope.__exit__(None, None, None)
        return outside()

    def enter_here_and_leave_there():
        scope.__enter__()
        return contextvars.copy_context().run(leave)

    assert contextvars.copy_context().run(enter_here_and_leave_there)
    assert fresh.job("copied").status == "Completed"


def test_another_threads_block_is_never_closed_by_mistake(fresh):
    scope = client_run("A", implicit_job=False)
    entered, left = threading.Event(), threading.Event()

    def work():
        with scope:  # inert here: no job around
            left.wait(10)

    with job("nightly"):
        thread = threading.Thread(target=work)
        with scope as run:
            thread.start()
            left.set()
            thread.join(10)
            assert run.way_left is None
    assert not entered.is_set()
    assert fresh.client("A").status == "Completed"


def test_a_generator_that_yields_inside_a_block_leaks_nothing(fresh):
    @job("nightly")
    def work():
        with operation("step") as step:
            yield jobspan.current_run() is step
            yield jobspan.current_run() is step
        yield jobspan.current_run().kind == "job"

    steps = work()
    for right in steps:
        assert right
        assert outside()
    assert fresh.job().status == "Completed"


def test_a_generator_left_to_the_collector_is_closed(fresh):
    @job("nightly")
    def work():
        yield 1
        yield 2

    steps = work()
    contextvars.copy_context().run(next, steps)
    del steps
    gc.collect()
    assert fresh.job().status == "Completed"
    assert outside()


def test_handles_are_safe_after_the_end_and_twice(fresh):
    with job("nightly") as j, client_run("A") as run, run.operation("step") as step:
        pass
    for handle in (j, run, step, jobspan.current_run(), jobspan.current_job()):
        handle.add(leads=1)
        handle.note("late")
        handle.error(ValueError("late"))
        handle.set(system_notes="later")
        handle.item("x")
        handle.record_usage(input_tokens=1)
        handle.record_cost("apify", 1)
        handle.skip()
        handle.cancel()
        handle.finish()
        handle.__exit__(None, None, None)
    record = fresh.job()
    assert record.prompt_tokens == 3
    assert "arrived after the end" in record.system_notes


def test_entering_a_handle_twice_opens_one_record(fresh):
    with job("nightly") as j:
        for run in j.clients(["A"]):
            with run, run:
                run.add(leads=1)
            with run:
                run.add(leads=1)
    assert fresh.client("A").leads_processed == 2
    assert fresh.client("A").attempts == 1


def test_a_signal_handler_may_record(fresh):
    with job("nightly"), client_run("A") as run:

        def tick(*_):
            run.add(leads=1)
            run.note("tick")
            signal.setitimer(signal.ITIMER_REAL, 0.002)  # once more; a fixed beat piles up on a busy machine

        before = signal.signal(signal.SIGALRM, tick)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.002)
            until = time.monotonic() + 0.2
            posts = 0
            while time.monotonic() < until:
                run.add(posts=1)
                posts += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    record = fresh.client("A")
    assert record.posts_processed == posts
    assert record.leads_processed > 0


@pytest.mark.parametrize("count", [2_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_nothing_is_left_in_memory_of_runs_that_ended(fresh, count):
    from jobspan.runs import scope

    runs = []

    def work(n):
        with contextlib.suppress(ValueError), job.client(f"c{n % 7}") as run, run.operation("step") as step:
            runs.extend((weakref.ref(run), weakref.ref(step)))
            raise ValueError(n)

    def are_gone():
        gc.collect()
        return not [run for run in runs if run() is not None]

    entered = len(scope._entered)
    with jobspan.job("nightly") as job:
        for n in range(count):
            work(n)
        # More than once: gc.collect returns at once, having done nothing, where another thread is collecting.
        wait_until(are_gone, 10)
    assert len(runs) == 2 * count
    assert len(scope._entered) == entered


def test_an_ended_run_is_let_go_without_the_garbage_collector(fresh):
    gc.disable()
    try:
        with jobspan.job("nightly"):
            with jobspan.client_run("A") as run, run.operation("step") as step:
                run.add(leads=1)
            refs = [weakref.ref(run), weakref.ref(step), weakref.ref(run.span)]
            del run, step
            assert [ref() for ref in refs] == [None, None, None]
    finally:
        gc.enable()
