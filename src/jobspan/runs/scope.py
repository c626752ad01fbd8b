"""Scopes: what ``job(...)``, ``client_run(...)`` and ``operation(...)`` return.

Immutable and shared by all threads and tasks: each entry makes a fresh run. One object is the
decorator, the ``with`` block and the ``async with`` block.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar, cast

from jobspan.exceptions import UsageError
from jobspan.runs.handle import RunHandle
from jobspan.runs.inert import Reentry
from jobspan.runs.job_plan import QUEUE, SKIP, plan_of
from jobspan.runs.kinds import ClientRun, JobRun, Operation
from jobspan.runs.limits import Money, limits_of
from jobspan.runs.naming import check_client
from jobspan.runs.opening import new_client_run, new_job, new_operation
from jobspan.runs.option import Duration, name_of, seconds_of, whole_number

P = ParamSpec("P")
R = TypeVar("R")
H = TypeVar("H", bound=RunHandle)

ClientSource = str | Callable[..., Any]


class _Entry:
    """One entering of a ``with`` block; entries of a context stand on each other."""

    __slots__ = ("below", "left", "run", "scope")

    def __init__(self, scope: Scope[Any], run: RunHandle | Reentry, below: _Entry | None) -> None:
        self.scope = scope
        self.run = run
        self.below = below
        self.left = False


_top: ContextVar[_Entry | None] = ContextVar("jobspan_entry", default=None)
_entered: dict[_Entry, None] = {}
"""Blocks that are open: looked into only where one is left in another context."""

_decorators: list[Callable[[Any, Any], Any]] = []


def set_decorator(decorate: Callable[[Any, Any], Any]) -> None:
    """Say what makes a decorated callable of a function and a scope: the floor above knows how."""
    _decorators[:] = [decorate]


class Scope(Generic[H]):
    """The part all scopes share."""

    __slots__ = ("_timeout",)

    def __init__(self, timeout: Duration | None) -> None:
        self._timeout = None if timeout is None else seconds_of(timeout, "timeout")

    def new_run(self) -> H:
        """Return a fresh run for a ``with`` block."""
        raise TypeError

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function, method, generator or any other callable: each call is a run.

        Raises:
            UsageError: It cannot be decorated.
        """
        return cast("Callable[P, R]", _decorators[0](function, self))

    def __enter__(self) -> H:
        return self.enter_run(self.new_run())

    def enter_run(self, run: H) -> H:
        """Enter a run of this scope; the block that is left next leaves it."""
        entered: H = run.__enter__()
        self._remember(run)
        return entered

    def _remember(self, run: H) -> None:
        entry = _Entry(self, run, _top.get())
        _entered[entry] = None
        _top.set(entry)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        entry = self._leave()
        return None if entry is None else entry.run.__exit__(kind, error, trace)

    async def __aenter__(self) -> H:
        return await self.aenter_run(self.new_run())

    async def aenter_run(self, run: H) -> H:
        """Enter a run of this scope; at its deadline the task is canceled."""
        entered: H = await run.__aenter__()
        self._remember(run)
        return entered

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        entry = self._leave()
        return None if entry is None else await entry.run.__aexit__(kind, error, trace)

    def _leave(self) -> _Entry | None:
        """Take off the innermost entry of this context that this scope made, else its latest one anywhere."""
        top = entry = _top.get()
        while entry is not None and (entry.scope is not self or entry.left):
            entry = entry.below
        if entry is None:
            entry = next((one for one in reversed(list(_entered)) if one.scope is self), None)
        if entry is None:
            return None
        entry.left = True
        _entered.pop(entry, None)
        if top is not None and top.left:
            while top is not None and top.left:
                top = top.below
            _top.set(top)
        return entry


class JobScope(Scope[JobRun]):
    """What ``job(...)`` returns."""

    __slots__ = ("_job_type", "_limits", "_plan")

    def __init__(
        self,
        job_type: str | None,
        *,
        timeout: Duration | None = None,
        key: str | int | None = None,
        resume: str | None = None,
        resume_within: Duration | None = None,
        overlap: str | None = None,
        queue_timeout: Duration | None = None,
        max_tokens: int | None = None,
        max_cost_usd: Money | None = None,
        max_errors: int | None = None,
    ) -> None:
        super().__init__(timeout)
        self._limits = limits_of(max_tokens, max_cost_usd, max_errors)
        self._job_type = None if job_type is None else name_of(job_type, "a job type")
        self._plan = plan_of(key, resume, resume_within, overlap, queue_timeout)

    @property
    def skips(self) -> bool:
        """Whether a decorated function is not called while another job of its type and key runs."""
        return self._plan is not None and self._plan.overlap == SKIP

    @property
    def waits(self) -> bool:
        """Whether a call waits until no other job of its type and key runs."""
        return self._plan is not None and self._plan.overlap == QUEUE

    def __repr__(self) -> str:
        return f"job({self._job_type!r})"

    def new_run(self) -> JobRun:
        """Return a fresh job.

        Raises:
            UsageError: The scope has no job type: ``with job():``.
        """
        if self._job_type is None:
            raise UsageError('a with block needs a job type: with job("lead_scoring"):')
        return new_job(self._job_type, self._timeout, self._plan, self._limits)

    def run_for(self, function_name: str) -> JobRun:
        """Return a fresh job for one call of a decorated function."""
        return new_job(self._job_type or function_name, self._timeout, self._plan, self._limits)


class ClientRunScope(Scope[ClientRun]):
    """What ``client_run(...)`` and ``j.client(...)`` return."""

    __slots__ = ("_attempt", "_client_id", "_implicit", "_job", "_limits", "_part", "source")

    def __init__(
        self,
        client_id: str | int | None = None,
        *,
        source: ClientSource | None = None,
        part: str | None = None,
        attempt: int = 1,
        timeout: Duration | None = None,
        implicit_job: bool = True,
        job: JobRun | None = None,
        max_tokens: int | None = None,
        max_cost_usd: Money | None = None,
        max_errors: int | None = None,
    ) -> None:
        super().__init__(timeout)
        self._limits = limits_of(max_tokens, max_cost_usd, max_errors)
        if source is None or client_id is not None:
            check_client(client_id)  # a client id written here is programming: told at once
        self._client_id = client_id
        self.source = source
        self._part = "" if part is None else name_of(part, "a part")
        self._attempt = whole_number(attempt, "attempt", 1)
        self._implicit = implicit_job
        self._job = job

    def __repr__(self) -> str:
        return f"client_run({self._client_id if self.source is None else self.source!r})"

    def with_source(self, source: ClientSource) -> ClientRunScope:
        """Return a scope like this one that takes its client from `source`."""
        scope = ClientRunScope(source=source, implicit_job=self._implicit, job=self._job)
        scope._timeout, scope._part, scope._attempt = self._timeout, self._part, self._attempt
        scope._limits = self._limits
        return scope

    def new_run(self) -> ClientRun:
        """Return a fresh client run.

        Raises:
            UsageError: The scope takes its client from a call, and there is none.
        """
        if self.source is not None:
            raise UsageError('a with block needs a client id: with client_run("Guy-Wilson"):')
        return self.run_for(self._client_id, "client_run")

    def run_for(self, client_id: object, function_name: str) -> ClientRun:
        """Return a fresh client run for a client id that came with a call."""
        run = new_client_run(
            client_id,
            self._job,
            timeout_seconds=self._timeout,
            part=self._part,
            attempt=self._attempt,
            implicit=function_name if self._implicit else None,
            where=function_name,
            limits=self._limits,
        )
        return cast("ClientRun", run)


class OperationScope(Scope[Operation]):
    """What ``operation(...)`` and ``run.operation(...)`` return."""

    __slots__ = ("_name", "_parent")

    def __init__(
        self, name: str | None, *, timeout: Duration | None = None, parent: RunHandle | None = None
    ) -> None:
        super().__init__(timeout)
        self._name = None if name is None else name_of(name, "an operation's name")
        self._parent = parent

    def __repr__(self) -> str:
        return f"operation({self._name!r})"

    def new_run(self) -> Operation:
        """Return a fresh operation.

        Raises:
            UsageError: The scope has no name: ``with operation():``.
        """
        if self._name is None:
            raise UsageError('a with block needs a name: with operation("post_scoring"):')
        return new_operation(self._name, self._timeout, self._parent)

    def run_for(self, function_name: str) -> Operation:
        """Return a fresh operation for one call of a decorated function."""
        return new_operation(self._name or function_name, self._timeout, self._parent)
