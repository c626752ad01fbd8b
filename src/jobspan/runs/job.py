"""The job: one execution of a batch function."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator
from functools import partial
from json.encoder import encode_basestring_ascii as quote
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar
from weakref import ref

from jobspan import _clock
from jobspan._guard import guarded
from jobspan.exceptions import LedgerError
from jobspan.model.status import EXIT_CODES, Status, combine, success_rank
from jobspan.runs.detachable import Detachable, of_text
from jobspan.runs.handle import RunHandle
from jobspan.runs.limits import Money, limits_of
from jobspan.runs.naming import client_of
from jobspan.runs.option import Duration
from jobspan.runs.telling import Attributes
from jobspan.spans import names

if TYPE_CHECKING:
    from jobspan._composition import Runtime
    from jobspan.runs.delivered import DeliveredJob
    from jobspan.runs.kinds import ClientRun
    from jobspan.runs.outcome import ClientOutcome
    from jobspan.runs.resumption import Resumption
    from jobspan.runs.scope import ClientRunScope

T = TypeVar("T")
R = TypeVar("R")

_DELIVERY = guarded("job.delivery")
_RUN_ID = guarded("job.run_id")
_CLOCK = guarded("job.clock")


class JobRun(Detachable):
    """One execution of a batch function. Made by ``job(...)``."""

    kind: ClassVar[str] = "job"
    resumption: Resumption | None = None
    """Where it is another attempt of an earlier job: what was done there."""
    delivered: DeliveredJob | None = None
    """Where it was attached to by a delivery that may come again."""
    unentered: int = 0
    """Client runs that a loop gave out and that were never entered."""
    told_last: Status | None = None
    """How the last client run ended that was counted; most of them end the same way."""
    lead: str = ""
    """What the open event of a plain client run says of this job; empty where such a run has to ask more."""
    _id: str = ""
    _started_ns: int = 0
    _attached_to: str = ""
    """The job's inside name, where this is a part of it that was attached from elsewhere."""
    _of: str = ""

    def __init__(self, runtime: Runtime, job_type: str, parent: RunHandle | None) -> None:
        super().__init__(runtime, job_type, parent)
        self.client_label = f"client_run {job_type}"
        """The name of the spans of its client runs."""
        self._tally: dict[Status, None] = {}
        """How its client runs ended."""
        self._parts: dict[tuple[str, str], Status] = {}
        """Of parts that may be tried again: the best status so far."""

    @property
    def _span_name(self) -> str:
        return f"job {self.name}"

    @property
    def job_type(self) -> str:
        """The type of the job."""
        return self.name

    @property
    def run_id(self) -> str:
        """``YYMMDD-HHMMSS``; with a suffix ``~…`` while it is provisional. Empty before the job is open."""
        return self._id

    def take_id(self, run_id: str, started_ns: int = 0) -> None:
        """Take the run id of the job that was opened elsewhere."""
        self._id, self._started_ns = run_id, started_ns

    def attach_to(self, job_uid: str, of: str, part: str, delivery: str = "") -> None:
        """Have this run open one more part of a job that was opened elsewhere."""
        self._attached_to, self._of = job_uid, of_text(of, part, delivery)

    @property
    def job_uid(self) -> str:
        """The inside name of the job."""
        return self._attached_to or self.uid

    def asked_by(self) -> tuple[str, ...]:
        """Return the inside names by which this run is asked to cancel."""
        return (self.job_uid,)

    @property
    def started_ns(self) -> int:
        """When the job was opened; 0 where that is not known."""
        return self._started_ns

    @property
    def expecting_uid(self) -> str:
        """The part in whose name it says what it expects."""
        return self.job_uid

    def expect(self, count: int, *, deadline: Duration | None = None) -> None:
        """Say that `count` more parts of client runs will come, from this or other processes.

        The job stays Running until they have come and ended. Several calls add up; retries and
        deliveries of one part count once.

        Args:
            count: How many.
            deadline: Until when; default 24 h. Then the job is Timed_out.

        Raises:
            UsageError: An option is wrong.
        """
        from jobspan.runs.detaching import expect_parts

        expect_parts(self, count, deadline)

    def seal(self) -> None:
        """Say that nothing more is to be expected: the job ends when what has come has ended."""
        from jobspan.runs.detaching import seal_job

        seal_job(self)

    def client(
        self,
        client_id: str | int,
        *,
        part: str | None = None,
        attempt: int = 1,
        timeout: Duration | None = None,
        max_tokens: int | None = None,
        max_cost_usd: Money | None = None,
        max_errors: int | None = None,
    ) -> ClientRunScope:
        """Return one client's share of this job: ``with j.client("Guy-Wilson") as run:``.

        Entering it again opens another part; parts add up. With `part`, a second entry with a higher
        `attempt` is another try of the same part: results come from the best one. With a budget, this
        entry is stopped by `BudgetExceeded` when it has spent more.

        Raises:
            UsageError: The client id is empty or neither str nor int, or an option is wrong.
        """
        from jobspan.runs.scope import ClientRunScope

        return ClientRunScope(
            client_id,
            part=part,
            attempt=attempt,
            timeout=timeout,
            job=self,
            max_tokens=max_tokens,
            max_cost_usd=max_cost_usd,
            max_errors=max_errors,
        )

    def is_done(self, client_id: object, *, part: str | None = None) -> bool:
        """Whether an earlier attempt of this job has Completed this client: its next part, or that `part`.

        For loops of your own: `clients`, `map` and `amap` leave such clients out by themselves, and a
        block entered for one is another attempt.
        """
        with guarded("job.is_done"):
            if self.resumption is not None:
                return self.resumption.is_done(client_of(self._runtime, client_id).text, part or "")
        return False

    def clients(
        self,
        clients: Iterable[T],
        *,
        key: str | Callable[[T], Any] | None = None,
        on_error: Literal["continue", "raise"] = "continue",
        timeout: Duration | None = None,
        max_tokens: int | None = None,
        max_cost_usd: Money | None = None,
        max_errors: int | None = None,
        done_within: Duration | None = None,
        min_items: int = 1,
    ) -> Iterator[ClientRun]:
        """Yield a client run for each client: ``for run in j.clients(xs, key="id"): with run: …``.

        An `Exception` that leaves the ``with`` block is recorded and the loop goes on (on_error="raise"
        lets it pass); ``run.client`` is the client as it came. A job that was canceled, is past its
        own timeout or over its own budget, stops the loop.

        Args:
            clients: Any iterable; taken one by one.
            key: Where the client id is: a key or attribute name, or a function; default: the client itself.
            on_error: What becomes of exceptions of the body.
            timeout: For each client.
            max_tokens: For each client; then it is Failed with `BudgetExceeded`, and the loop goes on.
            max_cost_usd: The same in US dollars.
            max_errors: The same for errors recorded.
            done_within: Leave out the clients that `ClientRun.done_within` says are done, and note it.
            min_items: As there.
        """
        from jobspan.runs.clients import each_client, recent_work

        limits = limits_of(max_tokens, max_cost_usd, max_errors)
        recent = recent_work(self, done_within, min_items)
        return each_client(self, clients, key, on_error, timeout, limits, recent)

    def map(
        self,
        function: Callable[[T], R],
        clients: Iterable[T],
        *,
        key: str | Callable[[T], Any] | None = None,
        concurrency: int | None = None,
        retries: int = 0,
        timeout: Duration | None = None,
        executor: Any = None,
        max_tokens: int | None = None,
        max_cost_usd: Money | None = None,
        max_errors: int | None = None,
        done_within: Duration | None = None,
        min_items: int = 1,
    ) -> list[ClientOutcome[T, R]]:
        """Call `function` for each client on threads, each in a client run; return outcomes in order.

        The context is carried, a failing client does not stop the others, and a retry is another
        attempt of the same part: its results count once, its spend counts each time.

        Args:
            function: Called with one client.
            clients: Any iterable; taken as threads become free.
            key: Where the client id is, as in `clients`.
            concurrency: How many clients are worked on at once; default 1, with an `executor` its size.
            retries: How often a client that failed is tried again.
            timeout: For each attempt. Then the client run is Timed_out, and its outcome a
                `DeadlineExceeded`; the next client is worked on. A thread cannot be stopped: it goes on
                until its next `checkpoint`, and what it records is added, but the process does not wait
                for it. With a timeout the function never runs on the thread that called `map`.
            executor: Anything with ``submit``, in the place of a thread pool of our own. In another
                process the run goes on there as itself, where the ledger is the same.
            max_tokens: For each client, all its attempts together; one that has spent more is Failed with
                `BudgetExceeded` and not tried again. Counted is what is booked in this process.
            max_cost_usd: The same in US dollars.
            max_errors: The same for errors recorded.
            done_within: As in `clients`; the outcome of a client left out is Completed, with 0 attempts.
            min_items: As in `clients`.

        Raises:
            UsageError: An option is wrong.
        """
        from jobspan.runs.clients import recent_work
        from jobspan.runs.mapping import map_clients

        return map_clients(
            self,
            function,
            clients,
            key,
            concurrency,
            retries,
            timeout,
            executor,
            limits_of(max_tokens, max_cost_usd, max_errors),
            recent_work(self, done_within, min_items),
        )

    async def amap(
        self,
        function: Callable[[T], Awaitable[R]],
        clients: Iterable[T] | AsyncIterable[T],
        *,
        key: str | Callable[[T], Any] | None = None,
        concurrency: int = 1,
        retries: int = 0,
        timeout: Duration | None = None,
        max_tokens: int | None = None,
        max_cost_usd: Money | None = None,
        max_errors: int | None = None,
        done_within: Duration | None = None,
        min_items: int = 1,
    ) -> list[ClientOutcome[T, R]]:
        """Do what `map` does, in asyncio tasks; a client past its `timeout` is canceled.

        Raises:
            UsageError: An option is wrong.
        """
        from jobspan.runs.amapping import amap_clients
        from jobspan.runs.clients import recent_work

        return await amap_clients(
            self,
            function,
            clients,
            key,
            concurrency,
            retries,
            timeout,
            limits_of(max_tokens, max_cost_usd, max_errors),
            recent_work(self, done_within, min_items),
        )

    @property
    def exit_code(self) -> int:
        """What ``sys.exit`` is given: 0 Completed, 1 Failed, 2 with errors, 124 Timed_out, 130 Canceled.

        Read from the ledger (at most 2 s), else what this process knows. 0 while the job still runs.
        """
        status: Status | None = None
        with guarded("job.exit_code"):
            try:
                with self._runtime.reading() as reader:
                    status = reader.status(self.job_uid)
            except LedgerError:
                status = None
        return EXIT_CODES.get(status or self._status, 0)

    @property
    def client_key(self) -> str:
        return ""

    def _start(self) -> None:
        moved_ns = 0
        if not self._attached_to:
            with _CLOCK:
                moved_ns = _clock.resync()
            with _RUN_ID:
                self._id = self._runtime.new_run_id(_clock.now_ns())
        super()._start()
        if self.budget is not None and self.budget.is_of(self):
            self._runtime.limited[self.uid] = ref(self)
        if self._attached_to:
            return
        if self.budget is None and type(self) is JobRun:
            self.lead = f',"parent":"{self.uid}","kind":"c","job":"{self.uid}",'
        with _DELIVERY:
            self._runtime.deliveries.job_opened(self.uid)
        if moved_ns:
            self.note(f"the clock of this machine was moved by {moved_ns / 1e9:+.0f} s")
        self._runtime.job_boundary()

    def _finish(self, error: BaseException | None) -> None:
        if self.unentered:
            self.note(
                f"{self.unentered} client runs were given out by clients() and never entered;"
                " write: for run in j.clients(...): with run: ..."
            )
        self._runtime.limited.pop(self.uid, None)
        super()._finish(error)
        self._runtime.job_boundary()

    def _opening(self, now_ns: int) -> str:
        if not self._attached_to:
            self._started_ns = now_ns
        to = "" if self._attached_to else self._runtime.deliveries.opening
        name, job_id = quote(self.name), quote(self._id)
        return f'"kind":"j","job":"{self.job_uid}","name":{name},"id":{job_id}{to}{self._of}'

    def attribute_source(self) -> Attributes:
        return partial(_job_attributes, self._id, self.name)

    def _log_names(self) -> dict[str, str]:
        return {"run_id": self._id, "job_type": self.name}

    @property
    def _status(self) -> Status:
        if self._left is None or self.stays_open or Status.RUNNING in self._tally:
            return Status.RUNNING
        return combine(self._left, [*self._tally, *self._parts.values()], errors=self._errors > 0)

    def count_client(self, status: Status) -> None:
        """Take note of how a client run of this process ended."""
        self._tally[status] = None
        self.told_last = status

    def count_part(self, part: tuple[str, str], status: Status) -> None:
        """Take note of how a try of a part ended; the best one counts."""
        if part not in self._parts or success_rank(status) > success_rank(self._parts[part]):
            self._parts[part] = status

    def settle_part(self, part: tuple[str, str]) -> None:
        """Say that a part is not tried again: how it ended is kept, itself forgotten."""
        status = self._parts.pop(part, None)
        if status is not None:
            self.count_client(status)


def _job_attributes(run_id: str, job_type: str) -> dict[str, Any]:
    return {
        names.RUN_ID: run_id,
        names.RUN_KIND: "job",
        names.JOB_ID: run_id,
        names.JOB_TYPE: job_type,
    }
