# ruff: noqa: PT012 - what leaves a block is what is tested
"""Loops over clients: clients(), map() and amap()."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest
from opentelemetry import trace

import jobspan
from jobspan import DeadlineExceeded, RunCanceled, client_run, job, operation


def statuses(record):
    return {run.client_id: str(run.status) for run in record.client_runs}


def test_a_loop_goes_on_after_an_error(fresh):
    done = []
    with job("nightly") as j:
        for run in j.clients(({"id": n} for n in "ABC"), key="id"):
            with run:
                if run.client["id"] == "B":
                    raise ValueError("bad")
                done.append(run.client["id"])
    assert done == ["A", "C"]
    assert statuses(fresh.job()) == {"A": "Completed", "B": "Failed", "C": "Completed"}
    assert (fresh.job().status, fresh.job().error) == ("Completed_with_errors", "ValueError: bad")


def test_a_loop_lets_errors_pass_when_told_so(fresh):
    with pytest.raises(ValueError, match="bad"), job("nightly") as j:
        for run in j.clients("AB", on_error="raise"):
            with run:
                raise ValueError("bad")
    assert statuses(fresh.job()) == {"A": "Failed"}
    assert (fresh.job().status, fresh.job().errors) == ("Failed", 1)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RunCanceled])
def test_a_loop_never_eats_a_base_exception(fresh, error):
    with pytest.raises(error), job("nightly") as j:
        for run in j.clients("AB"):
            with run:
                raise error
    assert list(statuses(fresh.job())) == ["A"]


def test_keys_come_in_every_form(fresh):
    class Lead:
        id = "attribute"

    with job("nightly") as j:
        for each, key in (
            ({"id": "item"}, "id"),
            (Lead(), "id"),
            (("zero",), lambda client: client[0]),
            ("itself", None),
            (7, None),
        ):
            for run in j.clients([each], key=key):
                with run:
                    assert run.client is each
        for run in j.clients([{}, None], key="id"):
            with run:
                pass
    assert [run.client_id for run in fresh.job().client_runs] == ["item", "attribute", "zero", "itself", "7"]
    assert fresh.job().system_notes.count("was not recorded") == 2
    assert "client 2 of the loop" in fresh.job().system_notes


def test_a_run_that_is_never_entered_is_told_in_the_notes(fresh):
    with job("nightly") as j:
        for _ in j.clients("AB"):
            pass
    assert "2 client runs were given out" in fresh.job().system_notes


def test_a_run_left_open_ends_with_its_job(fresh):
    with job("nightly") as j:
        for run in j.clients("AB"):
            run.__enter__()
            run.add(leads=1)
            if run.client == "B":
                break
    assert statuses(fresh.job()) == {"A": "Completed", "B": "Completed"}
    assert fresh.job().items_processed == 2


def test_a_run_left_open_fails_with_its_job(fresh):
    with pytest.raises(ValueError), job("nightly") as j:
        for run in j.clients("A"):
            run.__enter__()
            raise ValueError("bad")
    assert statuses(fresh.job()) == {"A": "Failed"}


def test_a_run_open_in_another_thread_is_not_completed_by_its_job(fresh):
    release, entered = threading.Event(), threading.Event()
    with job("nightly") as j:

        def work():
            with j.client("A"):
                entered.set()
                release.wait(10)

        thread = threading.Thread(target=work)
        thread.start()
        entered.wait(10)
    assert fresh.client("A").status != "Completed"
    release.set()
    thread.join(10)
    assert fresh.client("A").status == "Completed"


def test_the_deadline_of_the_job_stops_the_loop_and_a_clients_own_does_not(fresh):
    seen = []
    with job("own") as j:
        for run in j.clients("AB", timeout=0.001):
            with run:
                time.sleep(0.003)
                run.checkpoint()
    with pytest.raises(DeadlineExceeded), job("around", timeout=0.02) as j:
        for run in j.clients("CDE"):
            with run:
                seen.append(run.client)
                time.sleep(0.03)
                run.checkpoint()
    assert seen == ["C"]
    assert statuses(fresh.job("own")) == {"A": "Timed_out", "B": "Timed_out"}
    assert fresh.job("own").status == "Timed_out"
    assert (fresh.job("around").status, statuses(fresh.job("around"))) == ("Timed_out", {"C": "Timed_out"})


def test_a_canceled_job_begins_no_other_client(fresh):
    with pytest.raises(RunCanceled), job("nightly") as j:
        for run in j.clients("AB"):
            with run:
                j.cancel()
    assert (fresh.job().status, statuses(fresh.job())) == ("Canceled", {"A": "Completed"})


@pytest.mark.parametrize("concurrency", [1, 4])
def test_map_keeps_the_order_and_each_outcome(fresh, concurrency):
    def work(n):
        time.sleep(0.002 * (5 - n))
        if n == 2:
            raise ValueError("bad")
        return n * n

    with job("nightly") as j:
        results = j.map(work, iter(range(1, 6)), concurrency=concurrency)
    assert [result.value for result in results] == [1, None, 9, 16, 25]
    assert [result.client for result in results] == [1, 2, 3, 4, 5]
    assert [result.ok for result in results] == [True, False, True, True, True]
    assert isinstance(results[1].error, ValueError)
    assert fresh.job().status == "Completed_with_errors"


@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_retried_client_counts_results_once_and_spend_each_time(fresh, concurrency):
    tries = {}

    def work(client):
        run = jobspan.current_run()
        tries[client] = tries.get(client, 0) + 1
        run.add(leads=10)
        jobspan.record_usage(input_tokens=100, output_tokens=10, cost_usd="0.01")
        if tries[client] == 1:
            raise ValueError("first")

    with job("nightly") as j:
        results = j.map(work, "AB", retries=2, concurrency=concurrency)
        assert j.local_status == "Running"
    assert [(result.attempts, str(result.status)) for result in results] == [(2, "Completed")] * 2
    record = fresh.job()
    assert (record.status, record.errors, record.items_processed) == ("Completed", 0, 20)
    assert (record.prompt_tokens, str(record.cost_usd)) == (400, "0.04")
    assert [run.attempts for run in record.client_runs] == [2, 2]
    assert "2 attempts" in record.client_runs[0].system_notes
    assert (j.local_status, j.exit_code) == ("Completed", 0)


def test_a_client_that_stands_twice_in_a_list_adds_up(fresh):
    with job("nightly") as j:
        j.map(lambda client: jobspan.current_run().add(leads=1), ["A", "A"], concurrency=2)
    assert (fresh.client("A").leads_processed, fresh.client("A").attempts) == (2, 1)


@client_run
def score(client_id):
    run = jobspan.current_run()
    run.add(leads=1)
    with operation("step") as step:
        step.add(posts=2)
    return run.run_id


def test_a_decorated_function_goes_on_with_the_run_of_map(fresh):
    with job("nightly") as j:
        results = j.map(score, "AB", concurrency=2)
        assert [result.value for result in results] == [f"{j.run_id}-A", f"{j.run_id}-B"]
    assert [(run.leads_processed, run.posts_processed, run.attempts) for run in fresh.job().client_runs] == [
        (1, 2, 1),
        (1, 2, 1),
    ]


def test_map_in_map_and_clients_in_map_nest(fresh):
    def outer(client):
        inner = jobspan.current_job()
        inner.map(lambda each: jobspan.current_run().add(leads=1), [client])
        for run in inner.clients([client]):
            with run:
                run.add(leads=1)

    with job("nightly") as j:
        j.map(outer, "AB", concurrency=2)
    assert {run.client_id: run.leads_processed for run in fresh.job().client_runs} == {"A": 2, "B": 2}


def test_map_carries_the_whole_context(fresh):
    own = contextvars.ContextVar("own")

    def work(client):
        return own.get(), trace.get_current_span() is jobspan.current_run().span

    own.set("mine")
    with job("nightly") as j:
        assert {result.value for result in j.map(work, "ABC", concurrency=2)} == {("mine", True)}
        with ThreadPoolExecutor(2) as pool:
            assert {r.value for r in j.map(work, "ABC", executor=pool)} == {("mine", True)}


def test_map_looks_ahead_a_little_only(fresh):
    taken, working = [], threading.Semaphore(0)

    def clients():
        for n in range(50):
            taken.append(n)
            yield n

    def work(n):
        if n == 0:
            time.sleep(0.05)
            working.release()
            return len(taken)
        working.acquire()
        working.release()
        return len(taken)

    with job("nightly") as j:
        results = j.map(work, clients(), concurrency=2)
    assert results[0].value <= 5
    assert len(results) == 50


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_map_in_processes_adds_to_the_same_runs(fresh, method, monkeypatch):
    monkeypatch.delenv("JOBSPAN_LEDGER", raising=False)  # the run brings the ledger along
    with job("nightly") as j, ProcessPoolExecutor(2, mp_context=get_context(method)) as pool:
        results = j.map(score, "ABC", executor=pool)
        assert [result.value for result in results] == [f"{j.run_id}-{name}" for name in "ABC"]
    record = fresh.job()
    assert {run.client_id: (run.leads_processed, run.posts_processed) for run in record.client_runs} == {
        name: (1, 2) for name in "ABC"
    }
    assert record.status == "Completed"


@operation
def fails(client):
    raise ValueError(client)


def test_an_error_booked_in_another_process_is_not_booked_again(fresh):
    with job("nightly") as j, ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        j.map(fails, "A", executor=pool)
    assert (fresh.client("A").errors, fresh.job().errors) == (1, 1)


def test_an_interrupt_leaves_map_and_cancels_the_job(fresh):
    release = threading.Event()

    def clients():
        yield "A"
        raise KeyboardInterrupt

    def work(client):
        release.wait(5)
        jobspan.current_run().checkpoint()

    with pytest.raises(KeyboardInterrupt), job("nightly") as j:
        j.map(work, clients(), concurrency=2)
    assert j.local_status == "Canceled"
    release.set()
    until = time.monotonic() + 5
    while fresh.job().client_runs and fresh.client("A").end_time is None and time.monotonic() < until:
        time.sleep(0.02)
    assert fresh.job().status == "Canceled"
    assert set(statuses(fresh.job()).values()) <= {"Canceled"}


def test_the_deadline_of_the_job_stops_map(fresh):
    def work(client):
        time.sleep(0.03)
        jobspan.current_run().checkpoint()

    for concurrency in (1, 2):
        with pytest.raises(DeadlineExceeded), job(f"job {concurrency}", timeout=0.02) as j:
            j.map(work, range(10), concurrency=concurrency, retries=3)
        record = fresh.job(f"job {concurrency}")
        assert record.status == "Timed_out"
        assert len(record.client_runs) <= 2


def test_amap_keeps_order_times_out_and_retries(fresh):
    tries = []

    async def work(n):
        async with operation("step"):
            if n == 2:
                await asyncio.sleep(30)
            if n == 3:
                raise TimeoutError("of a library")
            tries.append(n)
            if n == 4 and tries.count(4) == 1:
                raise ValueError("first")
        return n * n

    async def clients():
        for n in range(1, 6):
            yield n

    async def main():
        async with job("nightly") as j:
            return await j.amap(work, clients(), concurrency=3, timeout=0.2, retries=1)

    results = asyncio.run(main())
    assert [result.value for result in results] == [1, None, None, 16, 25]
    assert [result.attempts for result in results] == [1, 2, 2, 2, 1]
    assert statuses(fresh.job()) == {
        "1": "Completed",
        "2": "Timed_out",
        "3": "Failed",
        "4": "Completed",
        "5": "Completed",
    }


def test_amap_takes_plain_functions_and_decorated_ones(fresh):
    @client_run
    async def ascore(client_id):
        await asyncio.sleep(0)
        return jobspan.current_run().run_id

    async def main():
        async with job("nightly") as j:
            return await j.amap(score, "A"), await j.amap(ascore, "BC", concurrency=2)

    plain, decorated = asyncio.run(main())
    assert [result.ok for result in plain + decorated] == [True] * 3
    assert [run.attempts for run in fresh.job().client_runs] == [1, 1, 1]


def test_a_cancelled_amap_cancels_its_clients_and_its_job(fresh):
    async def work(client):
        await asyncio.sleep(30)

    async def main():
        async with job("nightly") as j:
            await j.amap(work, "AB", concurrency=2)

    async def around():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(main(), 0.1)

    asyncio.run(around())
    assert statuses(fresh.job()) == {"A": "Canceled", "B": "Canceled"}
    assert fresh.job().status == "Canceled"


@pytest.mark.parametrize("how", ["map", "amap"])
def test_a_map_keeps_nothing_of_clients_it_is_done_with(fresh, how):
    tried = set()

    def work(client):
        if client % 3 == 0 and client not in tried:
            tried.add(client)
            raise ValueError(client)
        return client

    async def awaited(client):
        return work(client)

    with job("nightly") as run:
        if how == "map":
            outcomes = run.map(work, range(1, 30), retries=1)
        else:
            outcomes = asyncio.run(run.amap(awaited, range(1, 30), retries=1))
        assert [each.value for each in outcomes] == list(range(1, 30))
        assert run._parts == {}
    assert run.local_status == "Completed", "a client that succeeded at the second try"
    assert fresh.job().status == "Completed"


def test_a_client_that_failed_for_good_stays_in_the_status_of_its_job(fresh):
    with job("nightly") as run:
        run.map(lambda client: 1 // client, [0, 1], retries=1)
    assert run.local_status == fresh.job().status == "Completed_with_errors"
