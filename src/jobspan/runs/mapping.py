"""`map`: a function over many clients, on threads, each client in a run of its own."""

from __future__ import annotations

import contextvars
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from jobspan.exceptions import UsageError
from jobspan.model.status import Status
from jobspan.runs.clients import check_key, client_run_for
from jobspan.runs.current import wrap
from jobspan.runs.elsewhere import Carried
from jobspan.runs.job import JobRun
from jobspan.runs.kinds import ClientRun
from jobspan.runs.option import Duration, seconds_of, whole_number
from jobspan.runs.outcome import ClientOutcome

_AHEAD = 2
"""How many clients per thread are taken from the iterable ahead of time."""
_LEFT = "the loop over its clients was left"

Call = Callable[[Any, ClientRun], Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What `map` and `amap` were asked for, checked."""

    job: JobRun
    function: Callable[[Any], Any]
    key: Any
    attempts: int
    seconds: float | None
    part: str
    at_work: dict[ClientRun, None] = field(default_factory=dict[ClientRun, None])
    stopped: list[bool] = field(default_factory=list[bool])

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

    def new_run(self, place: int, client: Any, attempt: int) -> ClientRun:
        """Return the client run of one attempt; entered again inside, it goes on as itself."""
        part = f"{self.part} {place}"  # a client that stands twice in the list has two parts
        where = f"client {place + 1} of map()"
        run = client_run_for(
            self.job, client, self.key, self.seconds, where=where, part=part, attempt=attempt
        )
        run.lends = True
        return run

    def tries_again(self, run: ClientRun, error: Exception, attempt: int) -> bool:
        """Whether a client that failed is tried again.

        Raises:
            DeadlineExceeded: `error` is the deadline of the job, or of a run around it.
        """
        if run.is_from_around(error):
            raise error
        return attempt < self.attempts

    def stop(self) -> None:
        """Begin nothing more, and have what is under way stop at its next `checkpoint`."""
        self.stopped.append(True)
        for run in list(self.at_work):
            run.cancel(_LEFT)


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
    concurrency: int | None,
    retries: int,
    timeout: Duration | None,
    executor: Any,
) -> list[ClientOutcome[Any, Any]]:
    """Do what `JobRun.map` promises."""
    plan = Plan.of(job, function, key, retries, timeout)
    workers = _size_of(executor) if concurrency is None else whole_number(concurrency, "concurrency", 1)
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise UsageError(f"executor={executor!r}: give something with submit(), say a ThreadPoolExecutor")
    call = _direct(function) if executor is None else _through(executor, function)
    if executor is None and workers == 1:
        return [_work(plan, call, place, client) for place, client in enumerate(clients)]
    pool = ThreadPoolExecutor(workers, thread_name_prefix=f"jobspan-map-{job.name}"[:40])
    try:
        context = contextvars.copy_context()

        def begin(place: int, client: Any) -> Future[Any]:
            return pool.submit(context.copy().run, _work, plan, call, place, client)

        return _in_order(begin, iter(clients), workers * _AHEAD, job)
    except BaseException:
        plan.stop()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    finally:
        pool.shutdown(wait=False)


def _size_of(executor: Any) -> int:
    size = getattr(executor, "_max_workers", None)
    if executor is None:
        return 1
    return size if isinstance(size, int) and size > 0 else os.cpu_count() or 1


def _direct(function: Callable[[Any], Any]) -> Call:
    return lambda client, run: function(client)


def _through(executor: Any, function: Callable[[Any], Any]) -> Call:
    """Return a call that runs in `executor`, and waits; threads get the whole context, others the run."""

    def call(client: Any, run: ClientRun) -> Any:
        threads = isinstance(executor, ThreadPoolExecutor)
        carried = wrap(function) if threads else Carried(function, run)
        return executor.submit(carried, client).result()

    return call


def _in_order(
    begin: Callable[[int, Any], Future[Any]], clients: Iterator[Any], ahead: int, job: JobRun
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
            job.checkpoint()
            pending[begin(len(results), client)] = len(results)
            results.append(None)
        done, _ = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            results[pending.pop(future)] = future.result()
    return results


def _work(plan: Plan, call: Call, place: int, client: Any) -> ClientOutcome[Any, Any]:
    for attempt in count(1):
        plan.job.checkpoint()
        run = plan.new_run(place, client, attempt)
        plan.at_work[run] = None
        try:
            with run:
                if plan.stopped:
                    run.cancel(_LEFT)
                    run.checkpoint()
                value = call(client, run)
            return outcome(run, client, value, None, attempt)
        except Exception as error:  # noqa: BLE001 - recorded by the run; given back after the last attempt
            if not plan.tries_again(run, error, attempt):
                return outcome(run, client, None, error, attempt)
        finally:
            plan.at_work.pop(run, None)
    raise AssertionError  # pragma: no cover - count() never ends
