"""`amap`: an async function over many clients, in tasks, each client in a run of its own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

from jobspan.exceptions import DeadlineExceeded
from jobspan.runs.deadline import first_deadline, seconds_left
from jobspan.runs.job import JobRun
from jobspan.runs.kinds import ClientRun
from jobspan.runs.limits import Limits
from jobspan.runs.mapping import Plan, left_out, outcome
from jobspan.runs.option import Duration, whole_number
from jobspan.runs.outcome import ClientOutcome

if TYPE_CHECKING:
    from jobspan.runs.done import DoneOfLate


async def amap_clients(
    job: JobRun,
    function: Callable[[Any], Any],
    clients: Iterable[Any] | AsyncIterable[Any],
    key: Any,
    concurrency: int,
    retries: int,
    timeout: Duration | None,
    limits: Limits | None,
    recent: DoneOfLate | None,
) -> list[ClientOutcome[Any, Any]]:
    """Do what `JobRun.amap` promises."""
    plan = Plan.of(job, function, key, retries, timeout, limits, recent)
    source = _Source(clients)
    if recent is not None:
        await asyncio.to_thread(recent.read)
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
        if recent is not None:
            recent.tell()
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
        results[place] = await _work(plan, place, client)


async def _work(plan: Plan, place: int, client: Any) -> ClientOutcome[Any, Any]:
    run: ClientRun | None = None
    for attempt in count(1):
        plan.job.checkpoint()
        run = plan.new_run(place, client, attempt, run)
        if attempt == 1 and (before := left_out(plan, run, client)) is not None:
            return before
        try:
            with run:
                value = await _call(plan, run, client)
            return outcome(run, client, value, None, attempt)
        except Exception as error:  # noqa: BLE001 - recorded by the run; given back after the last attempt
            if not plan.tries_again(run, error, attempt):
                return outcome(run, client, None, error, attempt)
    raise AssertionError  # pragma: no cover - count() never ends


async def _call(plan: Plan, run: ClientRun, client: Any) -> Any:
    first = first_deadline(run)
    limit = asyncio.timeout(None if first is None else seconds_left(first))
    try:
        async with limit:
            value = plan.function(client)
            return await value if inspect.isawaitable(value) else value
    except TimeoutError as error:
        if first is None or not limit.expired() or isinstance(error, DeadlineExceeded):
            raise  # somebody else's
        raise first.deadline_error() from None
