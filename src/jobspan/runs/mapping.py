"""`map`: a function over many clients, on threads, each client in a run of its own."""

from __future__ import annotations

import contextvars
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from jobspan.exceptions import BudgetExceeded, DeadlineExceeded, RunCanceled, UsageError
from jobspan.model.status import Status
from jobspan.runs.bounded import Threads
from jobspan.runs.clients import check_key, client_run_for
from jobspan.runs.current import wrap
from jobspan.runs.deadline import first_deadline, seconds_left
from jobspan.runs.elsewhere import Carried
from jobspan.runs.job import JobRun
from jobspan.runs.kinds import ClientRun
from jobspan.runs.limits import Limits
from jobspan.runs.option import Duration, seconds_of, whole_number
from jobspan.runs.outcome import ClientOutcome
from jobspan.runs.workers import Workers

if TYPE_CHECKING:
    from jobspan.runs.done import DoneOfLate

_AHEAD = 4
"""How many clients per thread are taken from the iterable ahead of time, at most; with fewer threads, as many
as they are. With less, quick threads wait for one another."""
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
    limits: Limits | None
    recent: DoneOfLate | None
    at_work: dict[ClientRun, None] = field(default_factory=dict[ClientRun, None])
    stopped: list[bool] = field(default_factory=list[bool])
    threads: list[Threads] = field(default_factory=list[Threads])
    """Where calls that may be given up run, if any may."""

    @classmethod
    def of(
        cls,
        job: JobRun,
        function: Any,
        key: Any,
        retries: int,
        timeout: Duration | None,
        limits: Limits | None,
        recent: DoneOfLate | None,
    ) -> Plan:
        """Check the options.

        Raises:
            UsageError: One is wrong.
        """
        if not callable(function):
            raise UsageError(f"map() takes a function of one client, not {function!r}")
        check_key(key)
        attempts = whole_number(retries, "retries", 0) + 1
        seconds = None if timeout is None else seconds_of(timeout, "timeout")
        return cls(job, function, key, attempts, seconds, f"map {os.urandom(6).hex()}", limits, recent)

    def new_run(self, place: int, client: Any, attempt: int, before: ClientRun | None) -> ClientRun:
        """Return the client run of one attempt; entered again inside, it goes on as itself.

        It goes on with the budget of the attempt before.
        """
        part = f"{self.part} {place}"  # a client that stands twice in the list has two parts
        where = f"client {place + 1} of map()"
        run = client_run_for(
            self.job,
            client,
            self.key,
            self.seconds,
            where=where,
            part=part,
            attempt=attempt,
            limits=self.limits,
        )
        if before is not None and before.budget is not None and self.limits is not None:
            before.budget.goes_on_in(run)
        run.lends = True
        return run

    def tries_again(self, run: ClientRun, error: Exception, attempt: int) -> bool:
        """Whether a client that failed is tried again.

        Raises:
            DeadlineExceeded, BudgetExceeded: `error` is about the job, or a run around it.
        """
        if run.is_from_around(error):
            raise error
        if isinstance(error, BudgetExceeded) and error.run_uid == run.uid:
            return False
        return attempt < self.attempts

    def stop(self, why: BaseException) -> None:
        """Begin nothing more, and have what is under way stop at its next `checkpoint`."""
        self.stopped.append(True)
        late = (str(why), why.run_uid) if isinstance(why, DeadlineExceeded) else None  # of a run around
        for run in list(self.at_work):
            if late is None:
                run.cancel(_LEFT)
        for threads in self.threads:
            threads.stop(lambda: RunCanceled(_LEFT) if late is None else DeadlineExceeded(*late))

    def can_be_late(self, *, in_pool: bool) -> bool:
        """Whether a client may be given up: at its own deadline or, on a thread of ours, the job's."""
        return self.seconds is not None or (in_pool and first_deadline(self.job) is not None)


def left_out(plan: Plan, run: ClientRun, client: Any) -> ClientOutcome[Any, Any] | None:
    """Return the outcome of a client that an earlier attempt, or another job of late, has Completed."""
    if run.is_done and plan.job.resumption is not None:
        plan.job.resumption.leave_out(run)
    elif plan.recent is None or not plan.recent.leaves_out(run):
        return None
    return ClientOutcome(client, run.name, Status.COMPLETED, None, None, 0)


def outcome(
    run: ClientRun, client: Any, value: Any, error: Exception | None, attempt: int
) -> ClientOutcome[Any, Any]:
    """Return the outcome of the last attempt."""
    run.job.settle_part((run.name, run.part))
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
    limits: Limits | None,
    recent: DoneOfLate | None,
) -> list[ClientOutcome[Any, Any]]:
    """Do what `JobRun.map` promises."""
    plan = Plan.of(job, function, key, retries, timeout, limits, recent)
    workers = _size_of(executor) if concurrency is None else whole_number(concurrency, "concurrency", 1)
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise UsageError(f"executor={executor!r}: give something with submit(), say a ThreadPoolExecutor")
    call = _direct(function) if executor is None else _through(executor, function)
    in_pool = executor is not None or workers > 1
    if executor is None and plan.can_be_late(in_pool=in_pool):
        plan.threads.append(Threads(f"jobspan-map-{job.name}"[:40]))
    try:
        if not in_pool:
            return [_work(plan, call, place, client) for place, client in enumerate(clients)]
        return _in_pool(plan, call, clients, workers)
    finally:
        for threads in plan.threads:
            threads.close()
        if recent is not None:
            recent.tell()


def _in_pool(plan: Plan, call: Call, clients: Iterable[Any], workers: int) -> list[ClientOutcome[Any, Any]]:
    pool = Workers(workers, f"jobspan-map-{plan.job.name}"[:40])
    try:
        context = contextvars.copy_context()

        def begin(place: int, client: Any) -> None:
            own = context.copy()
            pool.give(place, lambda: own.run(_work, plan, call, place, client))

        return _in_order(pool, begin, iter(clients), workers * min(workers, _AHEAD), plan.job)
    except BaseException as error:
        plan.stop(error)
        pool.drop()
        raise
    finally:
        pool.close()


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
        return _result(executor.submit(carried, client), run)

    return call


def _result(future: Any, run: ClientRun) -> Any:
    """Wait for a result of an executor; at the first deadline of a run around, leave it to itself."""
    first = first_deadline(run)
    if first is None:
        return future.result()
    try:
        return future.result(timeout=seconds_left(first))
    except Exception:
        if future.done() or seconds_left(first):  # the function's own, or the executor's
            raise
    future.cancel()
    raise first.deadline_error()


def _in_order(
    pool: Workers, begin: Callable[[int, Any], None], clients: Iterator[Any], ahead: int, job: JobRun
) -> list[ClientOutcome[Any, Any]]:
    results: list[Any] = []
    pending = 0
    exhausted = False
    while pending or not exhausted:
        while not exhausted and pending < ahead:
            try:
                client = next(clients)
            except StopIteration:
                exhausted = True
                break
            job.checkpoint()
            results.append(None)
            begin(len(results) - 1, client)
            pending += 1
        if pending:
            place, result = pool.take()
            results[place] = result
            pending -= 1
    return results


def _work(plan: Plan, call: Call, place: int, client: Any) -> ClientOutcome[Any, Any]:
    run: ClientRun | None = None
    for attempt in count(1):
        plan.job.checkpoint()
        run = plan.new_run(place, client, attempt, run)
        if attempt == 1 and (before := left_out(plan, run, client)) is not None:
            return before
        plan.at_work[run] = None
        try:
            value = _in_run(plan, call, client, run)
            return outcome(run, client, value, None, attempt)
        except Exception as error:  # noqa: BLE001 - recorded by the run; given back after the last attempt
            if not plan.tries_again(run, error, attempt):
                return outcome(run, client, None, error, attempt)
        finally:
            plan.at_work.pop(run, None)
    raise AssertionError  # pragma: no cover - count() never ends


def _in_run(plan: Plan, call: Call, client: Any, run: ClientRun) -> Any:
    def work() -> Any:
        with run:
            if plan.stopped:
                run.cancel(_LEFT)
                run.checkpoint()
            return call(client, run)

    return plan.threads[0].call(work, run) if plan.threads else work()
