"""Which run is current: found by a ContextVar, carried to threads by `wrap`."""

from __future__ import annotations

import contextvars
import functools
import inspect
import sys
from collections.abc import Callable
from contextvars import ContextVar, Token
from threading import get_ident
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN

from jobspan._guard import guarded
from jobspan.spans.context import attach, current_context, detach
from jobspan.spans.context import set_span_in_context as set_span_in_context
from jobspan.spans.roster import roster

if TYPE_CHECKING:
    import asyncio

    from jobspan.runs.handle import RunHandle

P = ParamSpec("P")
R = TypeVar("R")

_current: ContextVar[RunHandle | None] = ContextVar("jobspan_run", default=None)
_SPAN = guarded("context.span")
modules = sys.modules

Activation = tuple[Token["RunHandle | None"], Token[Context] | None]
Inside = tuple["RunHandle", Context]
"""What was current in a generator's body when it was left at a ``yield``."""

live_run, set_current = _current.get, _current.set
"""Return the innermost run of this context, None outside of all; set it."""
roster.live = lambda: _current.get()


def activate(run: RunHandle, inside: Inside | None = None) -> Activation:
    """Put a run, and its span, into the current context; with `inside`, what was current in it last."""
    span_token = None
    if inside is not None:
        with _SPAN:
            span_token = attach(inside[1])
        return _current.set(inside[0]), span_token
    if run.span is not INVALID_SPAN:
        with _SPAN:
            span_token = attach(set_span_in_context(run.span))
    return _current.set(run), span_token


def suspend(run: RunHandle, activation: Activation) -> Inside | None:
    """Take a run out of the context until it is put back; return what was current in it, if not itself."""
    current = _current.get()
    inside = None
    if current is not None and current is not run and _is_in(current, run):
        inside = (current, current_context())
    restore(activation)
    return inside


def deactivate(run: RunHandle, activation: Activation) -> None:
    """Take a run out of the context for good, and with it what was opened in it and never left.

    A context that never had the run is left as it is; one that has a copy of it gets what was before.
    """
    current = _current.get()
    if current is run or (current is not None and _is_in(current, run)):
        restore(activation)


def _is_in(inner: RunHandle, outer: RunHandle) -> bool:
    run: RunHandle | None = inner
    while run is not None and run is not outer:
        run = run.parent
    return run is outer


def restore(activation: Activation) -> None:
    """Set the context back to what it was before an activation, which is the last one in it."""
    token, span_token = activation
    try:
        _current.reset(token)
        if span_token is not None:
            detach(span_token)
    except (ValueError, RuntimeError):  # entered in another context; this one has a copy of it
        _current.set(before(token))
        if span_token is not None:
            with _SPAN:
                attach(before(span_token) or Context())


def before(token: Token[Any]) -> Any:
    """Return what a context variable was before the setting that gave `token`; None if unset."""
    return None if token.old_value is Token.MISSING else token.old_value


def _look_for_loop() -> object:
    """Return the running loop as asyncio tells it; None where nobody has loaded that.

    Nor while its module is being loaded, for at the end of that the function is another one.
    """
    global running_loop
    events: Any = modules.get("asyncio.events")
    if events is None or getattr(getattr(events, "__spec__", None), "_initializing", False):
        return None
    running_loop = events._get_running_loop
    return running_loop()


running_loop: Callable[[], object] = _look_for_loop
"""Return the running loop of this thread; None: who asks is in no task."""


def lane() -> int:
    """Return a number of the thread or task that asks; equal for calls from the same one."""
    if running_loop() is None:
        return get_ident()
    import asyncio

    task = asyncio.current_task()
    return get_ident() if task is None else id(task)


def task_limit(seconds: float) -> asyncio.Timeout | None:
    """Return what cancels the task that asks after `seconds`; None outside of every task."""
    import asyncio

    return None if asyncio.current_task() is None else asyncio.timeout(max(0.0, seconds))


def wrap(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` so that it runs in the current run, span and context, on whatever thread.

    Threads do not inherit context: ``pool.submit(jobspan.wrap(work), item)``. Coroutine functions
    may be wrapped as well. The same wrapped function may run on many threads at once; each call sees
    every context variable as it is now, and changes none for others.
    """
    if inspect.iscoroutinefunction(function):
        return _wrap_coroutine(function)
    context = contextvars.copy_context()

    @functools.wraps(function)
    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        return context.copy().run(function, *args, **kwargs)

    return carried


def _wrap_coroutine(function: Callable[..., Any]) -> Callable[..., Any]:
    """Set run and span around the body: its task has a context of its own, that must stay its own."""
    run = _current.get()
    span_context = current_context()

    @functools.wraps(function)
    async def carried(*args: Any, **kwargs: Any) -> Any:
        activation = (_current.set(run), attach(span_context))
        try:
            return await function(*args, **kwargs)
        finally:
            restore(activation)

    return carried
