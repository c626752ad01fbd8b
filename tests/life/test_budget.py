# ruff: noqa: PT012 - what leaves a block is what is tested
"""Budgets: what a run may spend, told from what is booked in this process, and who is stopped by it."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

import jobspan
from jobspan import BudgetExceeded, client_run, job, operation
from jobspan._guard import guard
from jobspan.exceptions import UsageError
from jobspan.runs import spent
from jobspan.spans.roster import roster
from tests.conftest import Fresh
from tests.faults.process import run

BAD: list[dict[str, Any]] = [
    {"max_tokens": -1},
    {"max_tokens": 1.5},
    {"max_tokens": True},
    {"max_cost_usd": "much"},
    {"max_cost_usd": -0.5},
    {"max_cost_usd": float("nan")},
    {"max_errors": "3"},
]


@pytest.fixture
def tracer(fresh: Fresh) -> Tracer:
    provider = TracerProvider()
    fresh.configure(tracer_provider=provider)
    return provider.get_tracer("opentelemetry.instrumentation.openai_v2")


def call(tracer: Tracer, tokens: int, id: str = "", **more: Any) -> None:
    """Make the span of one LLM call."""
    with tracer.start_as_current_span("chat") as span:
        span.set_attribute("gen_ai.operation.name", "chat")
        span.set_attribute("gen_ai.usage.input_tokens", tokens)
        span.set_attribute("gen_ai.usage.output_tokens", 0)
        if id:
            span.set_attribute("gen_ai.response.id", id)
        for name, value in more.items():
            span.set_attribute(name, value)


# --- options


@pytest.mark.parametrize("options", BAD, ids=repr)
def test_a_bad_limit_is_told_at_once(fresh: Fresh, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        job("x", **options)
    with pytest.raises(UsageError):
        client_run("A", **options)
    with job("x") as j:
        for form in (j.clients, lambda xs, **o: j.map(len, xs, **o)):
            with pytest.raises(UsageError):
                form(["A"], **options)
        with pytest.raises(UsageError):
            j.client("A", **options)
        with pytest.raises(UsageError):
            asyncio.run(j.amap(asyncio.sleep, [0], **options))


# --- a client's own


def test_a_client_over_its_budget_fails_and_the_loop_goes_on(fresh: Fresh) -> None:
    with job("nightly") as j:
        for run in j.clients(["A", "B", "C"], max_tokens=50_000):
            with run:
                run.record_usage(input_tokens=50_000 if run.client != "B" else 51_200)
                run.add(leads=1)
    a, b, c = fresh.job().client_runs
    assert (a.status, b.status, c.status) == ("Completed", "Failed", "Completed")
    assert "budget: 51,200 of 50,000 tokens" in (b.system_notes or "")
    assert (b.prompt_tokens, b.errors) == (51_200, 1)  # what was spent is recorded before it raises
    assert (a.counts, b.counts) == ({"leads": 1}, {})


def test_decorated_functions_and_single_clients_have_budgets(fresh: Fresh) -> None:
    @client_run(client="client_id", max_cost_usd="0.10")
    def score(client_id: str) -> None:
        for _ in range(3):
            jobspan.record_usage(input_tokens=1, output_tokens=1, cost_usd=0.04)

    with job("nightly") as j:
        with pytest.raises(BudgetExceeded, match=r"budget: \$0\.1200 of \$0\.1000"):
            score("A")
        with pytest.raises(BudgetExceeded, match="budget: 2 of 1 errors"), j.client("B", max_errors=1) as run:
            run.error("one")
            run.error("two")
            run.error("three")
    a, b = fresh.job().client_runs
    assert (a.status, a.cost_usd) == ("Failed", Decimal("0.12"))
    assert (b.status, b.errors) == ("Failed", 3)  # the two, and the budget


def test_costs_of_any_source_count_and_an_id_given_again_replaces(fresh: Fresh) -> None:
    with job("nightly") as j, pytest.raises(BudgetExceeded), j.client("A", max_cost_usd=1) as run:
        run.record_cost("apify", "0.90", id="run-1")
        run.record_cost("apify", "0.95", id="run-1")
        run.record_usage(input_tokens=1, output_tokens=1, cost_usd="0.04", id="call-1")
        run.record_usage(input_tokens=1, output_tokens=1, cost_usd="0.05", id="call-1")
        run.record_cost("apify", "0.95", id="run-1")
        run.note("so far so good")
        run.record_cost("proxy", "0.001")
    assert "so far so good" in (fresh.client("A").system_notes or "")
    assert fresh.client("A").cost_usd == Decimal("1.001")


def test_a_correction_downwards_gives_room_again(fresh: Fresh) -> None:
    with job("nightly") as j, j.client("A", max_cost_usd=1, max_tokens=100) as run:
        with pytest.raises(BudgetExceeded):
            run.record_cost("apify", 2, id="run-1")
        with pytest.raises(BudgetExceeded):
            run.checkpoint()
        with pytest.raises(BudgetExceeded):
            run.record_cost("other", 0)
        try:
            run.checkpoint()
        except BudgetExceeded as error:
            run.error(error)  # being handled: recorded, and not raised again
        run.record_cost("apify", "0.5", id="run-1")
        run.checkpoint()


def test_prices_of_the_list_count_once_it_is_loaded(fresh: Fresh) -> None:
    pytest.importorskip("genai_prices").calc_price  # noqa: B018 - loaded from here on
    with job("x") as j, j.client("A", max_cost_usd="0.000001") as run:
        with pytest.raises(BudgetExceeded, match=r"\$0\.\d+ of \$0\.0000010"):
            run.record_usage(input_tokens=1_000, output_tokens=1_000, model="gpt-4o", provider="openai")


# --- the job's own


def test_the_jobs_budget_stops_the_loop_and_the_job(fresh: Fresh) -> None:
    entered: list[str] = []
    with pytest.raises(BudgetExceeded, match=r"budget of the job: 120 of 100 tokens"):
        with job("nightly", max_tokens=100) as j:
            for run in j.clients(["A", "B", "C"], max_tokens=1_000):
                with run:
                    entered.append(run.client)
                    run.record_usage(input_tokens=60)
    found = fresh.job()
    assert entered == ["A", "B"]
    assert (found.status, found.prompt_tokens) == ("Failed", 120)
    assert [run.status for run in found.client_runs] == ["Completed", "Failed"]


def test_the_outermost_budget_that_is_exceeded_is_told_first(fresh: Fresh) -> None:
    with pytest.raises(BudgetExceeded, match="of the job"), job("x", max_tokens=10) as j:
        for run in j.clients(["A", "B"], max_tokens=10):
            with run:
                run.record_usage(input_tokens=11)
    assert len(fresh.job().client_runs) == 1


def test_errors_that_end_clients_stop_the_job(fresh: Fresh) -> None:
    with pytest.raises(BudgetExceeded, match="3 of 2 errors"), job("nightly", max_errors=2) as j:
        for run in j.clients(range(1, 9)):
            with run:
                raise ValueError("bad")
    found = fresh.job()
    assert ([run.status for run in found.client_runs], found.errors) == (["Failed"] * 3, 4)


def test_nothing_is_opened_in_a_job_that_is_over_its_budget(fresh: Fresh, tracer: Tracer) -> None:
    @client_run
    def work(client_id: str) -> None:
        call(tracer, 100)

    @operation
    def pages() -> Iterator[int]:
        yield 1

    with pytest.raises(BudgetExceeded), job("x", max_tokens=50) as j:
        work("A")  # a span: it never raises into who ended it
        with pytest.raises(BudgetExceeded), j.client("B"):
            pytest.fail("entered")
        with pytest.raises(BudgetExceeded), job("inner"):
            pytest.fail("entered")
        steps = pages()
        with pytest.raises(BudgetExceeded):
            next(steps)
        assert list(steps) == []  # its body was never begun, and is not begun later
        work("C")
    assert [run.client_id for run in fresh.job("x").client_runs] == ["A"]
    assert len(fresh.jobs()) == 1


# --- witnesses


def test_two_witnesses_of_one_call_count_once(fresh: Fresh, tracer: Tracer) -> None:
    with job("x") as j, j.client("A", max_tokens=100) as run:
        for number in range(10):
            id = f"chatcmpl-{number:024x}"
            call(tracer, 10, id)
            usage = SimpleNamespace(prompt_tokens=10, completion_tokens=0, total_tokens=10)
            run.record_usage(SimpleNamespace(id=id, model="gpt-4o", usage=usage))
        run.checkpoint()  # 200 by the plain sum
        call(tracer, 1, f"chatcmpl-{99:024x}")
        with pytest.raises(BudgetExceeded, match="101 of 100 tokens"):
            run.checkpoint()
    assert fresh.client("A").prompt_tokens == 101


def test_a_frameworks_span_above_the_calls_counts_nothing_again(fresh: Fresh, tracer: Tracer) -> None:
    outer = TracerProvider()
    fresh.configure(tracer_provider=outer)
    agents = outer.get_tracer("pydantic-ai")
    with job("x", max_tokens=60) as j, j.client("A") as run:
        with agents.start_as_current_span("invoke_agent") as agent:
            agent.set_attribute("gen_ai.operation.name", "invoke_agent")
            with agents.start_as_current_span("a step without usage"):
                call(tracer, 20)
                call(tracer, 30)
            agent.set_attribute("gen_ai.usage.input_tokens", 50)
            agent.set_attribute("gen_ai.usage.output_tokens", 0)
        run.checkpoint()
    assert fresh.client("A").prompt_tokens == 50


def test_a_fact_that_moves_to_another_client_leaves_the_first_ones_budget(
    fresh: Fresh, tracer: Tracer
) -> None:
    with job("x", max_tokens=100) as j:
        with j.client("A", max_tokens=10) as a:
            span = tracer.start_span("outer")
        with j.client("B", max_tokens=10) as b:
            from opentelemetry.trace import use_span

            with use_span(span):
                call(tracer, 60)
            with pytest.raises(BudgetExceeded):
                b.checkpoint()  # its ancestors are not known yet
            span.end()
            b.checkpoint()
        a.checkpoint()  # after its end it never raises
        j.checkpoint()
    assert (fresh.client("A").prompt_tokens, fresh.client("B").prompt_tokens) == (60, None)


def test_few_resolutions_are_needed(fresh: Fresh, tracer: Tracer, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    real = spent.resolve

    def counted(facts: Any, **options: Any) -> Any:
        made.append(len(facts))
        return real(facts, **options)

    monkeypatch.setattr(spent, "resolve", counted)
    with job("x") as j, j.client("A", max_tokens=1_000) as run:
        for number in range(499):
            call(tracer, 2, f"chatcmpl-{number:024x}")
            run.record_usage(input_tokens=2, output_tokens=0, id=f"chatcmpl-{number:024x}")
    assert 0 < len(made) <= 12
    assert fresh.client("A").prompt_tokens == 998


def test_the_facts_kept_are_bounded(fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spent, "_MOST_FACTS", 50)
    monkeypatch.setattr(spent, "_KEPT_FACTS", 10)
    with pytest.raises(BudgetExceeded, match="1,001 of 1,000 tokens"), job("x", max_tokens=1_000) as j:
        for run in j.clients(range(1, 200)):
            with run:
                for _ in range(10):
                    run.record_usage(input_tokens=1, output_tokens=0)
    assert j.budget is not None
    assert len(j.budget._spent._facts) <= 50


# --- threads, tasks, attempts


def test_map_stops_at_the_jobs_budget_and_does_not_try_a_spent_client_again(fresh: Fresh) -> None:
    tries: list[str] = []

    def spend(client: str) -> None:
        tries.append(client)
        jobspan.record_usage(input_tokens=40)
        raise ValueError("again")

    with job("a") as j:
        a, b = j.map(spend, ["A", "B"], retries=9, max_tokens=100)
    assert tries == ["A"] * 3 + ["B"] * 3  # 40 and 80 are within, 120 is not, and there is no fourth
    assert (type(a.error), a.attempts, a.status) == (BudgetExceeded, 3, "Failed")
    assert (b.attempts, fresh.client("B").prompt_tokens) == (3, 120)
    assert "budget: 120 of 100 tokens" in (fresh.client("A").system_notes or "")
    tries.clear()
    with pytest.raises(BudgetExceeded), job("b", max_tokens=100) as j:
        j.map(spend, map(str, range(1, 100)), retries=1, concurrency=2)
    assert len(tries) < 8
    assert fresh.job("b").status == "Failed"


def test_amap_fails_a_client_and_stops_at_the_jobs(fresh: Fresh) -> None:
    async def spend(tokens: int) -> int:
        await asyncio.sleep(0)
        jobspan.record_usage(input_tokens=tokens)
        return tokens

    async def main() -> None:
        async with job("a") as j:
            good, bad = await j.amap(spend, [10, 20], concurrency=2, max_tokens=15)
        assert (good.value, type(bad.error)) == (10, BudgetExceeded)
        with pytest.raises(BudgetExceeded):
            async with job("b", max_tokens=100) as j:
                await j.amap(spend, range(20, 60), concurrency=3)

    asyncio.run(main())
    assert (fresh.job("a").status, fresh.job("b").status) == ("Completed_with_errors", "Failed")


def test_threads_add_to_one_budget_and_only_who_works_in_it_is_stopped(fresh: Fresh) -> None:
    with pytest.raises(BudgetExceeded), job("x", max_tokens=999) as j, j.client("A") as run:
        strangers = [
            threading.Thread(target=lambda: [run.record_usage(input_tokens=1) for _ in range(50)])
            for _ in range(20)
        ]
        for one in strangers:
            one.start()
        for one in strangers:
            one.join()  # none of them has the run as its own: none was stopped
        with ThreadPoolExecutor(1) as pool:
            with pytest.raises(BudgetExceeded):
                pool.submit(jobspan.wrap(run.checkpoint)).result()
            with pytest.raises(BudgetExceeded):
                pool.submit(jobspan.wrap(jobspan.record_cost), "apify", 0).result()
        run.checkpoint()
    assert fresh.client("A").prompt_tokens == 1_000
    assert guard.counts() == {}


def test_nothing_raises_after_the_end_and_late_facts_count_for_the_job(fresh: Fresh, tracer: Tracer) -> None:
    with pytest.raises(BudgetExceeded, match="of the job"), job("x", max_tokens=100) as j:
        with j.client("A", max_tokens=50) as run:
            late = tracer.start_span("chat")
            late.set_attribute("gen_ai.operation.name", "chat")
            late.set_attribute("gen_ai.usage.input_tokens", 80)
            late.set_attribute("gen_ai.usage.output_tokens", 0)
        run.record_usage(input_tokens=10)
        run.error("late")
        run.record_cost("apify", 1)
        late.end()
        j.checkpoint()
        run.record_usage(input_tokens=20)
        j.checkpoint()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_goes_on_with_the_figures_it_has(fresh: Fresh) -> None:
    with job("x", max_tokens=100) as j, j.client("A") as run:
        run.record_usage(input_tokens=60)
        budget = run.budget
        assert budget is not None
        with budget._lock:  # as if a thread of the parent were at it
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    run.record_usage(input_tokens=50)
                except BudgetExceeded:
                    status = 0
                finally:
                    os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        run.record_usage(input_tokens=30)  # what the child spent is not counted here
    assert fresh.client("A").prompt_tokens == 140


# --- the rest


def test_a_budget_error_survives_pickling_and_costs_without_limits_ask_nothing(fresh: Fresh) -> None:
    error = pickle.loads(pickle.dumps(BudgetExceeded("budget: 2 of 1 tokens", "u")))
    assert str(error) == "budget: 2 of 1 tokens"
    with job("x") as j, j.client("A") as run, run.operation("o") as op:
        assert (j.budget, run.budget, op.budget) == (None, None, None)
    fresh.configure(mode="disabled")
    with job("x", max_tokens=0) as j, j.client("A", max_tokens=0) as run:
        run.record_usage(input_tokens=5)
        run.checkpoint()


def test_a_budget_of_a_run_that_is_gone_is_let_go(fresh: Fresh) -> None:
    import gc
    import weakref

    with job("x", max_tokens=5) as j, j.client("A", max_tokens=5) as run:
        run.record_usage(input_tokens=5)
    held = weakref.ref(run)
    del run, j
    gc.collect()
    roster.forget()
    assert held() is None


# --- what the ledger knows


def until_stopped(seconds: float = 20) -> None:
    """Come to checkpoints until one raises."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        jobspan.current_run().checkpoint()
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("limit", "spend", "said"),
    [
        ({"max_tokens": 100}, "record_usage(input_tokens=90)", "110 of 100 tokens"),
        ({"max_cost_usd": 1}, "record_cost('apify', usd='0.9')", "$1.10 of $1.00"),
        ({"max_errors": 2}, "[r.error(ValueError(str(n))) for n in range(2)]", "3 of 2 errors"),
    ],
)
def test_what_another_process_spends_in_a_job_counts_in_its_budget(
    fresh: Fresh, limit: dict[str, Any], spend: str, said: str
) -> None:
    code = f"""
from jobspan import record_cost, record_usage
with jobspan.extract(json.loads(sys.argv[1])):
    with client_run("other") as r: {spend}
"""
    with job("a", **limit) as j, suppress(BudgetExceeded), j.client("x") as r:
        r.record_usage(input_tokens=20)
        r.record_cost("apify", usd="0.2")
        r.error(ValueError("mine"))
        run(fresh.ledger, code, json.dumps(jobspan.inject({})))
        until_stopped()
    assert said in (fresh.client("x").system_notes or "")
    assert fresh.client("other").status != "Failed"
    assert jobspan.health().ok


def test_own_spending_is_not_counted_twice_for_standing_in_the_ledger(fresh: Fresh) -> None:
    with job("a", max_tokens=100, max_cost_usd=1, max_errors=2) as j, j.client("x") as r:
        until = time.monotonic() + 2.2
        for number in count():
            r.record_usage(input_tokens=1) if number < 100 else r.checkpoint()
            if number < 2:
                r.error(ValueError(str(number)))
                r.record_cost("apify", usd="0.5")
            time.sleep(0.005)
            if time.monotonic() > until:
                break
    assert fresh.client("x").total_tokens == 100


def test_earlier_attempts_of_a_resumed_job_count_at_once(fresh: Fresh) -> None:
    with suppress(LookupError), job("a", max_tokens=100) as j, j.client("x") as r:
        r.record_usage(input_tokens=90)
        raise LookupError
    with suppress(BudgetExceeded), job("a", max_tokens=100, resume="auto") as j, j.client("x") as r:
        r.record_usage(input_tokens=20)
        raise AssertionError
    found = fresh.job()
    assert (found.total_tokens, found.status) == (110, "Failed")
    assert "budget of the job: 110 of 100 tokens" in (found.system_notes or "")
