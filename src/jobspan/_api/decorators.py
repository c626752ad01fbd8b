"""`job`, `client_run` and `operation`: decorator (bare or called), ``with`` and ``async with`` in one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, cast, overload

from jobspan.exceptions import UsageError
from jobspan.runs.limits import Money
from jobspan.runs.option import Duration, refuse_unknown
from jobspan.runs.scope import ClientRunScope, JobScope, OperationScope, Scope, block_of, set_decorator

if TYPE_CHECKING:
    from jobspan._api.argument import Reader
    from jobspan._api.scope import OpenRun

P = ParamSpec("P")
R = TypeVar("R")

Overlap = Literal["allow", "skip", "queue", "fail"]

_LIMITS = ("max_tokens", "max_cost_usd", "max_errors")
_JOB_OPTIONS = ("timeout", "key", "resume", "resume_within", "overlap", "queue_timeout", *_LIMITS)
_CLIENT_NAMES = ("client_id", "client")


class CallScope:
    """A scope as a decorated callable uses it: it knows the function's name and where the client id is."""

    __slots__ = ("_name", "_reader", "_scope")

    def __init__(self, scope: Scope[Any], name: str, reader: Reader | None) -> None:
        self._scope: Any = scope
        self._name = name
        self._reader = reader

    @property
    def skips(self) -> bool:
        """Whether a call may be skipped, because another job runs."""
        return isinstance(self._scope, JobScope) and self._scope.skips

    @property
    def waits(self) -> bool:
        """Whether a call may wait for another job to end."""
        return isinstance(self._scope, JobScope) and self._scope.waits

    def __reduce__(self) -> Any:
        return CallScope, (self._scope, self._name, None)  # the reader is made again from the function

    def bind(
        self,
        function: Callable[..., Any],
        instance: object | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> OpenRun:
        """Return a fresh run for one call; a client id that cannot be told is no reason to raise."""
        scope, reader = self._scope, self._reader
        if reader is not None:
            opened: OpenRun = scope.run_for(reader(args, kwargs), self._name)
            return opened
        if type(scope) is ClientRunScope and scope.source is not None:
            self._reader = _client_reader(scope, function)
            return self.bind(function, instance, args, kwargs)
        if type(scope) is ClientRunScope:
            return cast("OpenRun", scope.new_run())
        other: Any = scope
        return cast("OpenRun", other.run_for(self._name))


def _client_reader(scope: ClientRunScope, function: Any) -> Reader:
    from jobspan._api.argument import signature_binder

    source = scope.source
    if isinstance(source, str):
        return signature_binder(function, source)
    from_call = source
    assert from_call is not None

    def read(args: tuple[Any, ...], kwargs: Any) -> Any:
        try:
            return from_call(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the function is the user's; its failure is data
            return error

    return read


def _decorate(function: Any, scope: Scope[Any]) -> Any:
    """Decorate a function with a scope; what is wrong with it is told now."""
    from jobspan._api.instrumented import instrument  # loads wrapt, and asyncio with it: blocks need neither

    name = _name_of(function)
    if isinstance(scope, ClientRunScope) and scope.source is _GUESS:
        scope = scope.with_source(_guess_client(function, name))
    reader = None
    if isinstance(scope, ClientRunScope) and scope.source is not None and not isinstance(function, type):
        reader = _client_reader(scope, function)
    return instrument(function, CallScope(scope, name, reader))


set_decorator(_decorate)

_NOT_GIVEN: Any = object()
_GUESS = ""
"""The source of a bare ``@client_run``: the parameter `client_id`, else `client`, else the first one."""


def _name_of(function: Any) -> str:
    """Return the name a run without one is given: the function's."""
    for candidate in (function, getattr(function, "func", None), getattr(function, "__func__", None)):
        name = getattr(candidate, "__name__", None)
        if isinstance(name, str) and name:
            return name
    return type(function).__name__


def _guess_client(function: Any, name: str) -> str:
    import inspect

    inner: Any = getattr(function, "__func__", function)
    try:
        names = [p.name for p in inspect.signature(inner).parameters.values()]
    except (TypeError, ValueError):
        names = []
    for candidate in (*_CLIENT_NAMES, *(n for n in names if n not in ("self", "cls"))):
        if candidate in names:
            return candidate
    raise UsageError(f"@client_run cannot tell the client of {name}(): it has no parameter; write client=…")


@overload
def job(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def job(
    job_type: str,
    /,
    *,
    timeout: Duration | None = None,
    key: str | int | None = None,
    resume: str | None = None,
    resume_within: Duration | None = None,
    overlap: Overlap | None = None,
    queue_timeout: Duration | None = None,
    max_tokens: int | None = None,
    max_cost_usd: Money | None = None,
    max_errors: int | None = None,
) -> JobScope: ...
@overload
def job(
    *,
    timeout: Duration | None = None,
    key: str | int | None = None,
    resume: str | None = None,
    resume_within: Duration | None = None,
    overlap: Overlap | None = None,
    queue_timeout: Duration | None = None,
    max_tokens: int | None = None,
    max_cost_usd: Money | None = None,
    max_errors: int | None = None,
) -> JobScope: ...
def job(job_type: Any = None, /, **options: Any) -> Any:
    """Open a job for each call or block.

    ``@job``, ``@job("lead_scoring")``, ``with job("lead_scoring") as j:``, ``async with job(…) as j:``.

    Args:
        job_type: The type of the job; a bare ``@job`` takes the function's name.
        **options: ``timeout``: seconds, timedelta or text like "45m", enforced at `checkpoint`, in
            ``async with`` blocks and coroutines by canceling the task.
            ``resume``: "never" (default); "auto": go on with the newest job of this type and `key` if it
            ended Failed, Canceled, Timed_out or vanished within ``resume_within`` ("12h"); a run id: with
            that job. `clients`, `map` and `amap` then leave out the clients that are Completed.
            ``overlap``: what to do while another job of this type and `key` is Running: "allow"
            (default); "skip": a decorated function is not called and gives None, a block raises
            `AlreadyRunning`; "fail": raise it; "queue": wait, for ``queue_timeout`` at most.
            ``key``: jobs of one type with different keys have nothing to do with each other.
            ``max_tokens``, ``max_cost_usd``, ``max_errors``: `BudgetExceeded` is raised where the job, with
            all that is in it, has recorded more, at `checkpoint`, and where something is entered.

    Raises:
        UsageError: The job type is no text, an option is unknown or wrong.
    """
    _check_options("job()", options, _JOB_OPTIONS)
    if _is_function(job_type):
        return _decorate(job_type, JobScope(None, **options))
    return JobScope(job_type, **options)


@overload
def client_run(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def client_run(
    client_id: str | int,
    /,
    *,
    part: str | None = None,
    attempt: int = 1,
    timeout: Duration | None = None,
    implicit_job: bool = True,
    max_tokens: int | None = None,
    max_cost_usd: Money | None = None,
    max_errors: int | None = None,
) -> ClientRunScope: ...
@overload
def client_run(
    *,
    client: str | Callable[..., Any] | None = None,
    part: str | None = None,
    attempt: int = 1,
    timeout: Duration | None = None,
    implicit_job: bool = True,
    max_tokens: int | None = None,
    max_cost_usd: Money | None = None,
    max_errors: int | None = None,
) -> ClientRunScope: ...
def client_run(client_id: Any = _NOT_GIVEN, /, **options: Any) -> Any:
    """Open one client's share of the current job.

    ``@client_run``, ``@client_run(client="client_id")``, ``with client_run("Guy-Wilson") as run:``.
    Outside of a job it opens an implicit job of its own, named after the function.

    Args:
        client_id: The client, for a block.
        **options: ``client``: where a decorated function has its client: the name of an argument, or
            a function of the call's arguments (default: `client_id`, `client`, else the first one).
            ``part``, ``attempt``: see `JobRun.client`. ``timeout``. ``max_tokens``, ``max_cost_usd``,
            ``max_errors``: as for a job. ``implicit_job=False``: outside of a job nothing is recorded.

    Raises:
        UsageError: A client id is empty or neither str nor int, an option is unknown or wrong.
    """
    if not options and type(client_id) is str:
        return block_of(client_id)
    known = ("client", "part", "attempt", "timeout", "implicit_job", *_LIMITS)
    _check_options("client_run()", options, known)
    source = options.pop("client", None)
    if source is not None and not callable(source) and not (isinstance(source, str) and source):
        raise UsageError(f"client={source!r}: give the name of an argument, or a function of the arguments")
    if _is_function(client_id):
        return _decorate(client_id, ClientRunScope(source=source or _GUESS, **options))
    if source is not None:
        if client_id is not _NOT_GIVEN:
            raise UsageError("client_run() takes a client id, or client=…, not both")
        return ClientRunScope(source=source, **options)
    if client_id is _NOT_GIVEN:
        return ClientRunScope(source=_GUESS, **options)
    return ClientRunScope(client_id, **options)


@overload
def operation(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def operation(name: str, /, *, timeout: Duration | None = None) -> OperationScope: ...
@overload
def operation(*, timeout: Duration | None = None) -> OperationScope: ...
def operation(name: Any = None, /, **options: Any) -> Any:
    """Open a named step of the current run: ``@operation``, ``with operation("post_scoring") as op:``.

    Outside of every run it records nothing.

    Args:
        name: The name of the step; a bare ``@operation`` takes the function's.
        **options: ``timeout``.

    Raises:
        UsageError: The name is no text, an option is unknown or wrong.
    """
    _check_options("operation()", options, ("timeout",))
    if _is_function(name):
        return _decorate(name, OperationScope(None, **options))
    return OperationScope(name, **options)


def _is_function(value: object) -> bool:
    return callable(value) or isinstance(value, staticmethod | classmethod) or hasattr(value, "__get__")


def _check_options(what: str, given: dict[str, Any], known: tuple[str, ...]) -> None:
    refuse_unknown(given, known, what)
