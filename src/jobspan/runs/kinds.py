"""The three kinds of runs: job, client run, operation."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator
from json.encoder import encode_basestring_ascii as quote
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from jobspan import _clock
from jobspan._guard import guarded
from jobspan.exceptions import LedgerError
from jobspan.model.status import EXIT_CODES, Left, Status, combine
from jobspan.runs.handle import RunHandle
from jobspan.runs.option import Duration, name_of, seconds_of
from jobspan.spans import names

if TYPE_CHECKING:
    from types import TracebackType

    from jobspan._runtime import Runtime
    from jobspan.runs.outcome import ClientOutcome
    from jobspan.runs.scope import ClientRunScope, OperationScope

T = TypeVar("T")
R = TypeVar("R")


class _Parent(RunHandle):
    """A run in which operations can be opened."""

    __slots__ = ()

    def operation(self, name: str, *, timeout: Duration | None = None) -> OperationScope:
        """Return a named step of this run: ``with run.operation("post_scoring") as op:``.

        Raises:
            UsageError: The name is no text, or the timeout no duration.
        """
        from jobspan.runs.scope import OperationScope

        return OperationScope(name, timeout=timeout, parent=self)


class JobRun(_Parent):
    """One execution of a batch function. Made by ``job(...)``."""

    kind: ClassVar[str] = "job"
    __slots__ = ("_id", "_tally", "unentered")

    def __init__(self, runtime: Runtime, job_type: str, parent: RunHandle | None) -> None:
        super().__init__(runtime, job_type, parent)
        self._id = ""
        self._tally: Counter[Status] = Counter()
        self.unentered = 0
        """Client runs that a loop gave out and that were never entered."""
        self._span_name = f"job {job_type}"

    @property
    def job_type(self) -> str:
        """The type of the job."""
        return self.name

    @property
    def run_id(self) -> str:
        """``YYMMDD-HHMMSS``; with a suffix ``~…`` while it is provisional. Empty before the job is open."""
        return self._id

    @property
    def job_uid(self) -> str:
        """The inside name of the job."""
        return self.uid

    def client(
        self,
        client_id: str | int,
        *,
        part: str | None = None,
        attempt: int = 1,
        timeout: Duration | None = None,
    ) -> ClientRunScope:
        """Return one client's share of this job: ``with j.client("Guy-Wilson") as run:``.

        Entering it again opens another part; parts add up. With `part`, a second entry with a higher
        `attempt` is another try of the same part: results come from the best one.

        Raises:
            UsageError: The client id is empty or neither str nor int, or an option is wrong.
        """
        from jobspan.runs.scope import ClientRunScope

        return ClientRunScope(client_id, part=part, attempt=attempt, timeout=timeout, job=self)

    def clients(
        self,
        clients: Iterable[T],
        *,
        key: str | Callable[[T], Any] | None = None,
        on_error: Literal["continue", "raise"] = "continue",
        timeout: Duration | None = None,
    ) -> Iterator[ClientRun]:
        """Yield a client run for each client: ``for run in j.clients(xs, key="id"): with run: …``.

        An `Exception` that leaves the ``with`` block is recorded and the loop goes on (on_error="raise"
        lets it pass); ``run.client`` is the client as it came.

        Args:
            clients: Any iterable; taken one by one.
            key: Where the client id is: a key or attribute name, or a function; default: the client itself.
            on_error: What becomes of exceptions of the body.
            timeout: For each client.
        """
        from jobspan.runs.clients import each_client

        return each_client(self, clients, key, on_error, timeout)

    def map(
        self,
        function: Callable[[T], R],
        clients: Iterable[T],
        *,
        key: str | Callable[[T], Any] | None = None,
        concurrency: int = 1,
        retries: int = 0,
        timeout: Duration | None = None,
        executor: Any = None,
    ) -> list[ClientOutcome[T, R]]:
        """Call `function` for each client on threads, each in a client run; return outcomes in order.

        The context is carried, a failing client does not stop the others, and a retry is another
        attempt of the same part: its results count once, its spend counts each time.

        Args:
            function: Called with one client.
            clients: Any iterable; taken as threads become free.
            key: Where the client id is, as in `clients`.
            concurrency: How many threads work at once.
            retries: How often a client that failed is tried again.
            timeout: For each attempt; enforced at `checkpoint`.
            executor: Anything with ``submit``, in the place of a thread pool of our own.

        Raises:
            UsageError: An option is wrong.
        """
        from jobspan.runs.mapping import map_clients

        return map_clients(self, function, clients, key, concurrency, retries, timeout, executor)

    async def amap(
        self,
        function: Callable[[T], Awaitable[R]],
        clients: Iterable[T] | AsyncIterable[T],
        *,
        key: str | Callable[[T], Any] | None = None,
        concurrency: int = 1,
        retries: int = 0,
        timeout: Duration | None = None,
    ) -> list[ClientOutcome[T, R]]:
        """Do what `map` does, in asyncio tasks; a client past its `timeout` is canceled.

        Raises:
            UsageError: An option is wrong.
        """
        from jobspan.runs.amapping import amap_clients

        return await amap_clients(self, function, clients, key, concurrency, retries, timeout)

    @property
    def exit_code(self) -> int:
        """What ``sys.exit`` is given: 0 Completed, 1 Failed, 2 with errors, 124 Timed_out, 130 Canceled.

        Read from the ledger (at most 2 s), else what this process knows. 0 while the job still runs.
        """
        status: Status | None = None
        with guarded("job.exit_code"):
            try:
                with self._runtime.reading() as reader:
                    status = reader.status(self.uid)
            except LedgerError:
                status = None
        return EXIT_CODES.get(status or self._status, 0)

    def _start(self) -> None:
        self._id = self._runtime.new_run_id(_clock.now_ns())
        super()._start()
        self._runtime.deliveries.job_opened(self)
        moved_ns = _clock.resync()
        if moved_ns:
            self.note(f"the clock of this machine was moved by {moved_ns / 1e9:+.0f} s")
        self._runtime.job_boundary()

    def _finish(self, error: BaseException | None) -> None:
        if self.unentered:
            self.note(
                f"{self.unentered} client runs were given out by clients() and never entered;"
                " write: for run in j.clients(...): with run: ..."
            )
        super()._finish(error)
        self._runtime.job_boundary()

    def _opening(self, now_ns: int) -> str:
        to = self._runtime.deliveries.opening
        return f'"kind":"j","job":"{self.uid}","name":{quote(self.name)},"id":"{self._id}"{to}'

    def _attributes(self) -> dict[str, Any]:
        return {
            names.RUN_ID: self._id,
            names.RUN_KIND: self.kind,
            names.JOB_ID: self._id,
            names.JOB_TYPE: self.name,
        }

    def _log_names(self) -> dict[str, str]:
        return {"run_id": self._id, "job_type": self.name}

    @property
    def _status(self) -> Status:
        if self._left is None:
            return Status.RUNNING
        return combine(self._left, self._tally, errors=self._errors > 0)

    def count_client(self, status: Status) -> None:
        """Take note of how a client run of this process ended."""
        self._tally[status] += 1


class ClientRun(_Parent):
    """One client's share of a job. Made by ``client_run(...)``, ``j.client(...)`` and ``j.clients(...)``."""

    kind: ClassVar[str] = "client_run"
    __slots__ = (
        "_attempt",
        "_part",
        "_skipped",
        "client",
        "client_note",
        "job",
        "lends",
        "owns_job",
        "swallows",
    )

    def __init__(
        self,
        runtime: Runtime,
        client_id: str,
        job: JobRun,
        parent: RunHandle | None,
        *,
        part: str = "",
        attempt: int = 1,
        owns_job: bool = False,
    ) -> None:
        super().__init__(runtime, client_id, parent)
        self.job = job
        self.client: Any = client_id
        """The client as it came to `clients()` or `map`; else its id."""
        self.client_note: str | None = None
        self.owns_job = owns_job
        self._part = part
        self._attempt = attempt
        self._skipped = False
        self.swallows = False
        """Whether an `Exception` ends at the block: only in the loop of `clients`."""
        self.lends = False
        """Whether entering the same client again, in here, goes on with this run: in `map`."""
        self._span_name = f"client_run {job.name}"

    @property
    def client_id(self) -> str:
        """The client's id, as it is recorded."""
        return self.name

    @property
    def run_id(self) -> str:
        """``<job id>-<client id>``, for people; never read apart again."""
        return f"{self.job.run_id}-{self.name}"

    def skip(self, reason: object = "skipped") -> None:
        """Say that there is nothing to do for this client; records and returns.

        A skipped client run is Completed, and its numbers stay blank.
        """
        self._skipped = True
        super().skip(reason)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        super().__exit__(kind, error, trace)
        return self.swallows and isinstance(error, Exception)

    def _start(self) -> None:
        if self.owns_job:
            self.job.start()
        super()._start()
        if self.client_note:
            self.note(self.client_note)

    def finish(self, error: BaseException | None = None) -> None:
        super().finish(error)
        if self.owns_job:
            self.job.finish(error)

    def _opening(self, now_ns: int) -> str:
        name = quote(self.name)
        text = f'"kind":"c","job":"{self.job.uid}","name":{name},"client":{name}'
        if self._part:
            text += f',"part":{quote(self._part)},"attempt":{self._attempt}'
        return text

    def _tell_parent(self) -> None:
        if not self._skipped or self._left is not Left.OK:
            self.job.count_client(self._status)

    def _attributes(self) -> dict[str, Any]:
        return {
            names.RUN_ID: self.run_id,
            names.RUN_KIND: self.kind,
            names.JOB_ID: self.job.run_id,
            names.JOB_TYPE: self.job.name,
            names.CLIENT_ID: self.name,
        }

    def _log_names(self) -> dict[str, str]:
        return {"run_id": self.run_id, "client_id": self.name, "job_type": self.job.name}


class Operation(_Parent):
    """A named step in a client run or job. Made by ``operation(...)`` and ``run.operation(...)``."""

    kind: ClassVar[str] = "operation"
    __slots__ = ("owner",)

    def __init__(self, runtime: Runtime, name: str, parent: RunHandle, owner: JobRun | ClientRun) -> None:
        super().__init__(runtime, name, parent)
        self.owner = owner
        """The job or client run it belongs to."""
        self._span_name = f"operation {name}"

    @property
    def run_id(self) -> str:
        """The id of the job or client run it belongs to."""
        return self.owner.run_id

    def _opening(self, now_ns: int) -> str:
        owner = self.owner
        job = owner if isinstance(owner, JobRun) else owner.job
        text = f'"kind":"o","job":"{job.uid}","name":{quote(self.name)},"top":"{owner.uid}"'
        return text if owner is job else f'{text},"client":{quote(owner.name)}'

    def _attributes(self) -> dict[str, Any]:
        return {**self.owner._attributes(), names.RUN_KIND: self.kind, names.OPERATION_NAME: self.name}

    def _log_names(self) -> dict[str, str]:
        return {"operation": self.name}


__all__ = ["ClientRun", "JobRun", "Operation", "name_of", "seconds_of"]
