"""`map`: a function over many clients, on threads, each client in a run of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from jobspan.exceptions import UsageError
from jobspan.model.status import Status
from jobspan.runs.clients import check_key, client_run_for
from jobspan.runs.current import wrap
from jobspan.runs.inert import Reentry
from jobspan.runs.kinds import ClientRun, JobRun
from jobspan.runs.option import Duration, seconds_of, whole_number
from jobspan.runs.outcome import ClientOutcome

_AHEAD = 2
"""How many clients per thread are taken from the iterable ahead of time."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What `map` and `amap` were asked for, checked."""

    job: JobRun
    function: Callable[[Any], Any]
    key: Any
    attempts: int
    seconds: float | None
    part: str

    @classmethod
    def of(cls, job: JobRun, function: Any, key: Any, retries: int, timeout: Duration | None) -> Plan:
        """Check the options.

        Raises:
            UsageError: One is wrong.
        """
        if not callable(function):
            raise UsageError(f"map() takes a function of one client, not {function!r}")
        check_key(key)
        attempts = whole_number(retries, "retries", 0) + 1
        seconds = None if timeout is None else seconds_of(timeout, "timeout")
        return cls(job, function, key, attempts, seconds, f"map {os.urandom(6).hex()}")

    def new_run(self, client: Any, attempt: int) -> ClientRun:
        """Return the client run of one attempt; entered again inside, it goes on as itself."""
        run = client_run_for(self.job, client, self.key, self.seconds, part=self.part, attempt=attempt)
        assert not isinstance(run, Reentry)
        run.lends = True
        return run


def outcome(
    run: ClientRun, client: Any, value: Any, error: Exception | None, attempt: int
) -> ClientOutcome[Any, Any]:
    """Return the outcome of the last attempt."""
    status = run.local_status if run.uid else Status.COMPLETED if error is None else Status.FAILED
    return ClientOutcome(client, run.name or None, status, value, error, attempt)


def map_clients(
    job: JobRun,
    function: Callable[[Any], Any],
    clients: Iterable[Any],
    key: Any,
    concurrency: int,
    retries: int,
    timeout: Duration | None,
    executor: Any,
) -> list[ClientOutcome[Any, Any]]:
    """Do what `JobRun.map` promises."""
    plan = Plan.of(job, function, key, retries, timeout)
    workers = whole_number(concurrency, "concurrency", 1)
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise UsageError(f"executor={executor!r}: give something with submit(), say a ThreadPoolExecutor")
    if executor is None and workers == 1:
        return [_work(plan, function, client) for client in clients]
    call = function if executor is None else _through(executor, function)
    pool = ThreadPoolExecutor(workers, thread_name_prefix=f"jobspan-map-{job.name}"[:40])
    try:
        work = wrap(lambda client: _work(plan, call, client))
        return _in_order(pool, work, iter(clients), workers * _AHEAD)
    except BaseException:
        job.cancel("the loop over its clients was left")  # what is under way stops at its next checkpoint
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    finally:
        pool.shutdown(wait=False)


def _through(executor: Any, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a call that runs in `executor`, and waits; threads get the context, processes cannot."""

    def call(client: Any) -> Any:
        carried = wrap(function) if isinstance(executor, ThreadPoolExecutor) else function
        return executor.submit(carried, client).result()

    return call


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[Any], Any], clients: Iterator[Any], ahead: int
) -> list[ClientOutcome[Any, Any]]:
    results: list[Any] = []
    pending: dict[Future[Any], int] = {}
    exhausted = False
    while pending or not exhausted:
        while not exhausted and len(pending) < ahead:
            try:
                client = next(clients)
            except StopIteration:
                exhausted = True
                break
            pending[pool.submit(work, client)] = len(results)
            results.append(None)
        done, _ = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            results[pending.pop(future)] = future.result()
    return results


def _work(plan: Plan, function: Callable[[Any], Any], client: Any) -> ClientOutcome[Any, Any]:
    for attempt in range(1, plan.attempts):
        run = plan.new_run(client, attempt)
        try:
            with run:
                value = function(client)
            return outcome(run, client, value, None, attempt)
        except Exception:  # noqa: BLE001 - recorded by the run; the next attempt follows
            continue
    run = plan.new_run(client, plan.attempts)
    try:
        with run:
            value = function(client)
    except Exception as error:  # noqa: BLE001 - recorded by the run, and given back
        return outcome(run, client, None, error, plan.attempts)
    return outcome(run, client, value, None, plan.attempts)
