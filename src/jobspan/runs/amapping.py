"""`amap`: an async function over many clients, in tasks, each client in a run of its own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any

from jobspan.exceptions import DeadlineExceeded
from jobspan.runs.kinds import ClientRun, JobRun
from jobspan.runs.mapping import Plan, outcome
from jobspan.runs.option import Duration, whole_number
from jobspan.runs.outcome import ClientOutcome


async def amap_clients(
    job: JobRun,
    function: Callable[[Any], Any],
    clients: Iterable[Any] | AsyncIterable[Any],
    key: Any,
    concurrency: int,
    retries: int,
    timeout: Duration | None,
) -> list[ClientOutcome[Any, Any]]:
    """Do what `JobRun.amap` promises."""
    plan = Plan.of(job, function, key, retries, timeout)
    source = _Source(clients)
    results: list[Any] = []
    tasks = [
        asyncio.create_task(_worker(plan, source, results))
        for _ in range(whole_number(concurrency, "concurrency", 1))
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return results


class _Source:
    """Gives clients one by one to several tasks, from an iterable or an async iterable."""

    def __init__(self, clients: Iterable[Any] | AsyncIterable[Any]) -> None:
        self._async: AsyncIterator[Any] | None = None
        self._plain: Iterator[Any] = iter(())
        if isinstance(clients, AsyncIterable):
            self._async = aiter(clients)
        else:
            self._plain = iter(clients)
        self._lock = asyncio.Lock()

    async def take(self, results: list[Any]) -> tuple[int, Any]:
        """Return the next client and its place; StopAsyncIteration at the end."""
        async with self._lock:
            if self._async is not None:
                client = await anext(self._async)
            else:
                try:
                    client = next(self._plain)
                except StopIteration:
                    raise StopAsyncIteration from None
            results.append(None)
            return len(results) - 1, client


async def _worker(plan: Plan, source: _Source, results: list[Any]) -> None:
    while True:
        try:
            place, client = await source.take(results)
        except StopAsyncIteration:
            return
        results[place] = await _work(plan, client)


async def _work(plan: Plan, client: Any) -> ClientOutcome[Any, Any]:
    for attempt in range(1, plan.attempts):
        run = plan.new_run(client, attempt)
        try:
            with run:
                value = await _call(plan, run, client)
            return outcome(run, client, value, None, attempt)
        except Exception:  # noqa: BLE001 - recorded by the run; the next attempt follows
            continue
    run = plan.new_run(client, plan.attempts)
    try:
        with run:
            value = await _call(plan, run, client)
    except Exception as error:  # noqa: BLE001 - recorded by the run, and given back
        return outcome(run, client, None, error, plan.attempts)
    return outcome(run, client, value, None, plan.attempts)


async def _call(plan: Plan, run: ClientRun, client: Any) -> Any:
    try:
        async with asyncio.timeout(plan.seconds) as limit:
            value = plan.function(client)
            return await value if inspect.isawaitable(value) else value
    except TimeoutError as error:
        if not limit.expired() or isinstance(error, DeadlineExceeded):
            raise  # somebody else's
        raise run.deadline_error() from None
