"""Which run is current: found by a ContextVar, carried to threads by `wrap`."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import set_span_in_context

if TYPE_CHECKING:
    from jobspan.runs.handle import RunHandle

P = ParamSpec("P")
R = TypeVar("R")

_current: ContextVar[RunHandle | None] = ContextVar("jobspan_run", default=None)

Activation = tuple[Token["RunHandle | None"], Token[Context]]

live_run = _current.get
"""Return the innermost run of this context, None outside of all."""


def activate(run: RunHandle) -> Activation:
    """Put a run, and its span, into the current context."""
    token = _current.set(run)
    return token, otel_context.attach(set_span_in_context(run.span))


def deactivate(run: RunHandle, activation: Activation) -> None:
    """Take a run out of the context again; a token of another context is borne."""
    token, span_token = activation
    try:
        _current.reset(token)
    except ValueError:  # left in another context: this one never had it, or has a copy
        if _current.get() is run:
            _current.set(run.parent)
        return
    otel_context.detach(span_token)


def lane() -> int:
    """Return a number of the thread or task that asks; equal for calls from the same one."""
    if asyncio._get_running_loop() is None:
        return threading.get_ident()
    task = asyncio.current_task()
    return threading.get_ident() if task is None else id(task)


def wrap(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` so that it runs in the current run and span, on whatever thread it is called.

    Threads do not inherit context: ``pool.submit(jobspan.wrap(work), item)``. Coroutine functions
    may be wrapped as well. The same wrapped function may run on many threads at once.
    """
    run = _current.get()
    span_context = otel_context.get_current()

    def enter() -> tuple[Token[Any], Token[Any]]:
        return _current.set(run), otel_context.attach(span_context)

    def leave(tokens: tuple[Token[Any], Token[Any]]) -> None:
        otel_context.detach(tokens[1])
        _current.reset(tokens[0])

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def carried_coroutine(*args: P.args, **kwargs: P.kwargs) -> Any:
            tokens = enter()
            try:
                return await function(*args, **kwargs)
            finally:
                leave(tokens)

        return carried_coroutine  # type: ignore[return-value]

    @functools.wraps(function)
    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        tokens = enter()
        try:
            return function(*args, **kwargs)
        finally:
            leave(tokens)

    return carried
