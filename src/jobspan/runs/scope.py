"""Scopes: what ``job(...)``, ``client_run(...)`` and ``operation(...)`` return.

Immutable and shared by all threads and tasks: each entry makes a fresh run. One object is the
decorator, the ``with`` block and the ``async with`` block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar, cast

from jobspan.exceptions import UsageError
from jobspan.runs.current import before, lane, live_run
from jobspan.runs.handle import RunHandle
from jobspan.runs.inert import Reentry
from jobspan.runs.job_plan import QUEUE, SKIP, plan_of
from jobspan.runs.kinds import ClientRun, JobRun, Operation
from jobspan.runs.limits import Money, limits_of
from jobspan.runs.naming import check_client
from jobspan.runs.opening import new_client_run, new_job, new_operation, plain_client_run
from jobspan.runs.option import Duration, name_of, seconds_of, whole_number
from jobspan.runs.plain import enter_plain, leave_plain

P = ParamSpec("P")
R = TypeVar("R")
H = TypeVar("H", bound=RunHandle)

_MOST_KNOWN = 1_024

ClientSource = str | Callable[..., Any]


class _Aside:
    """An entering that made no run of its own current: of a run that records nothing, or goes on."""

    __slots__ = ("around", "below", "left", "run", "scope")

    def __init__(self, scope: Scope[Any], run: RunHandle | Reentry, below: _Aside | None) -> None:
        self.scope = scope
        self.run = run
        self.around = live_run()
        self.below = below
        self.left = False


_asides: ContextVar[_Aside | None] = ContextVar("jobspan_aside", default=None)
_entered: dict[RunHandle, None] = {}
"""Runs whose blocks are open. It holds them: a block may be left where its context is not."""

_fresh: Any = object.__new__

_decorators: list[Callable[[Any, Any], Any]] = []


def set_decorator(decorate: Callable[[Any, Any], Any]) -> None:
    """Say what makes a decorated callable of a function and a scope: the floor above knows how."""
    _decorators[:] = [decorate]


class Scope(Generic[H]):
    """The part all scopes share."""

    __slots__ = ()

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
        run = self.new_run()
        entered: H = run.__enter__()
        self._remember(run)
        return entered

    def enter_run(self, run: H) -> H:
        """Enter a run of this scope; the block that is left next leaves it."""
        entered: H = run.__enter__()
        self._remember(run)
        return entered

    def _remember(self, run: H) -> None:
        if run._activation is None:
            _asides.set(_Aside(self, run, _asides.get()))
        else:
            run.scope = self
            _entered[run] = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        run = live_run()
        if run is None or run.scope is not self or _asides.get() is not None or run not in _entered:
            found = self._leave()
            return None if found is None else found.__exit__(kind, error, trace)
        del _entered[run]
        return run.__exit__(kind, error, trace)

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
        found = self._leave()
        return None if found is None else await found.__aexit__(kind, error, trace)

    def _leave(self) -> RunHandle | Reentry | None:
        """Take off what this scope has entered last: in this context, else on this thread, else anywhere."""
        run, aside = self._innermost(), self._innermost_aside()
        if aside is not None and (run is None or any(each is run for each in _stack(aside.around))):
            aside.left = True
            top = _asides.get()
            while top is not None and top.left:
                top = top.below
            _asides.set(top)
            return aside.run
        if run is None:
            mine = [each for each in reversed(list(_entered)) if each.scope is self]
            here = lane()
            run = next((each for each in mine if each.lane == here), mine[0] if mine else None)
        if run is not None:
            _entered.pop(run, None)
        return run

    def _innermost(self) -> RunHandle | None:
        return next((run for run in _stack(live_run()) if run.scope is self and run in _entered), None)

    def _innermost_aside(self) -> _Aside | None:
        aside = _asides.get()
        while aside is not None and (aside.scope is not self or aside.left):
            aside = aside.below
        return aside


def _stack(run: RunHandle | None) -> Iterator[RunHandle]:
    """Yield a run and those that were current before it, as far as they have not been left."""
    while run is not None:
        yield run
        activation = run._activation
        run = None if activation is None else before(activation[0])


class JobScope(Scope[JobRun]):
    """What ``job(...)`` returns."""

    __slots__ = ("_job_type", "_limits", "_plan", "_timeout")

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
        self._timeout = None if timeout is None else seconds_of(timeout, "timeout")
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


@dataclass(slots=True)
class _Asked:
    """What a scope of client runs was asked for beside the client; all plain blocks share one."""

    source: ClientSource | None
    job: JobRun | None
    options: dict[str, Any]
    """What `new_client_run` is told: only what is not usual."""
    is_plain: bool
    """Whether it is a block of a client, and nothing more was asked for."""


class ClientRunScope(Scope[ClientRun]):
    """What ``client_run(...)`` and ``j.client(...)`` return."""

    __slots__ = ("_asked", "_client_id")

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
        if source is None or client_id is not None:
            check_client(client_id)  # a client id written here is programming: told at once
        limits = limits_of(max_tokens, max_cost_usd, max_errors)
        options: dict[str, Any] = {} if implicit_job else {"implicit": None}
        if timeout is not None:
            options["timeout_seconds"] = seconds_of(timeout, "timeout")
        if part is not None:
            options["part"] = name_of(part, "a part")
        if whole_number(attempt, "attempt", 1) != 1:
            options["attempt"] = attempt
        if limits is not None:
            options["limits"] = limits
        self._client_id = client_id
        self._asked = _Asked(source, job, options, not options and source is None)

    def __repr__(self) -> str:
        source = self._asked.source
        return f"client_run({self._client_id if source is None else source!r})"

    @property
    def source(self) -> ClientSource | None:
        """Where a decorated function has its client; None for a block of one client."""
        return self._asked.source

    def with_source(self, source: ClientSource) -> ClientRunScope:
        """Return a scope like this one that takes its client from `source`."""
        scope: ClientRunScope = _fresh(ClientRunScope)
        scope._client_id = self._client_id
        scope._asked = replace(self._asked, source=source, is_plain=False)
        return scope

    def __enter__(self) -> ClientRun:
        asked = self._asked
        if asked.is_plain:
            run = plain_client_run(self._client_id, asked.job)
            if run is not None:
                if not enter_plain(run):
                    return self.enter_run(run)
                run.scope = self
                _entered[run] = None
                return run
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        run = live_run()
        if (
            error is None
            and type(run) is ClientRun
            and run._is_plain
            and run.scope is self
            and _asides.get() is None
            and run in _entered
        ):
            del _entered[run]
            return None if leave_plain(run) else run.__exit__(kind, error, trace)
        return super().__exit__(kind, error, trace)

    def new_run(self) -> ClientRun:
        """Return a fresh client run.

        Raises:
            UsageError: The scope takes its client from a call, and there is none.
        """
        asked = self._asked
        if asked.source is not None:
            raise UsageError('a with block needs a client id: with client_run("Guy-Wilson"):')
        run = plain_client_run(self._client_id, asked.job) if asked.is_plain else None
        # a `Reentry` gives the run it goes on with
        return run or new_client_run(self._client_id, asked.job, **asked.options)  # type: ignore[return-value]

    def run_for(self, client_id: object, function_name: str) -> ClientRun:
        """Return a fresh client run for a client id that came with a call."""
        asked = self._asked
        run = None if asked.options else plain_client_run(client_id, asked.job)
        made = run or new_client_run(client_id, asked.job, function_name, **asked.options)
        return made  # type: ignore[return-value]


_PLAIN_BLOCK = _Asked(None, None, {}, True)
_known: set[str] = set()
"""Clients seen of late, whose ids need not be checked again."""


def block_of(client_id: str) -> ClientRunScope:
    """Return what ``client_run("Guy-Wilson")`` does; each time another, so that two blocks are told apart.

    Raises:
        UsageError: It is no client id.
    """
    if client_id not in _known:
        check_client(client_id)
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known.add(client_id)
    scope: ClientRunScope = _fresh(ClientRunScope)
    scope._client_id = client_id
    scope._asked = _PLAIN_BLOCK
    return scope


class OperationScope(Scope[Operation]):
    """What ``operation(...)`` and ``run.operation(...)`` return."""

    __slots__ = ("_name", "_parent", "_timeout")

    def __init__(
        self, name: str | None, *, timeout: Duration | None = None, parent: RunHandle | None = None
    ) -> None:
        self._timeout = None if timeout is None else seconds_of(timeout, "timeout")
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
