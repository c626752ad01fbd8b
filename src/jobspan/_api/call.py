"""What one call of a decorated callable does, by the kind of body it has.

Which kind is told once, at decoration. A plain function's run is open while it is called, a coroutine's
while it is awaited (in the context of the task that runs it), a generator's while it is iterated.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from types import CoroutineType
from typing import Any, cast

import wrapt

from jobspan._api.generator import InstrumentedAsyncGenerator, InstrumentedGenerator
from jobspan._api.scope import OpenRun, Scope
from jobspan.exceptions import AlreadyRunning, UsageError

Call = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]
"""What wrapt calls: the function (bound, if it is a method), its instance, the arguments."""

_WITH_FUNC = (functools.partial, functools.partialmethod, functools.singledispatchmethod)


def call_of(function: Any, scope: Scope) -> Call:
    """Return what makes each call of `function` a run of `scope`."""
    kind = _kind(function)
    if getattr(scope, "waits", False) and kind == "async generator":
        raise UsageError('overlap="queue" cannot be kept by an async generator: put the job around its loop')
    if getattr(scope, "skips", False):
        return _SKIPPING.get(kind, _MAKERS[kind])(function, scope)
    return _MAKERS[kind](function, scope)


def _kind(function: Any) -> str:
    """Tell how the body of `function` runs: as a function, coroutine, generator or async generator."""
    function = _implementation(function)
    for candidate in (function, getattr(cast("Any", type(function)), "__call__", None)):  # noqa: B004
        if inspect.iscoroutinefunction(candidate) or getattr(candidate, "_is_coroutine", None) is not None:
            return "coroutine"
        if inspect.isasyncgenfunction(candidate):
            return "async generator"
        if inspect.isgeneratorfunction(candidate):
            code: Any = getattr(candidate, "__code__", None)
            awaited = getattr(code, "co_flags", 0) & inspect.CO_ITERABLE_COROUTINE
            return "coroutine" if awaited else "generator"  # `types.coroutine`: to be awaited
    return "function"


def _implementation(function: Any) -> Any:
    """Return what runs behind other wrappers, partials and the makers of methods."""
    while True:
        if isinstance(function, _WITH_FUNC):
            function = cast("Any", function).func
        elif isinstance(function, (classmethod, staticmethod)):
            function = cast("Any", function).__func__
        elif isinstance(function, wrapt.FunctionWrapper):
            function = cast("Any", function).__wrapped__
        else:
            return function


def _takes_instance(function: Any) -> bool:
    """Tell whether the function behind a bound `function` has the instance or class as an argument."""
    while isinstance(function, wrapt.FunctionWrapper):
        function = cast("Any", function).__wrapped__
    if isinstance(function, functools.partialmethod):
        return _takes_instance(cast("Any", function).func)
    return not isinstance(function, staticmethod)


def _seen(function: Any) -> Callable[[Any, Any, tuple[Any, ...]], tuple[Any, ...]]:
    """Return what gives the arguments as the underlying function sees them: `self` in front."""
    takes_instance = _takes_instance(function)

    def seen(wrapped: Any, instance: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        if wrapped is function or instance is None or not takes_instance:
            return args
        return (instance, *args)

    return seen


def _plain(function: Any, scope: Scope) -> Call:
    bind, takes_instance = scope.bind, _takes_instance(function)

    def call(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        bound = takes_instance and instance is not None and wrapped is not function
        with bind(function, instance, (instance, *args) if bound else args, kwargs):
            return wrapped(*args, **kwargs)

    return call


def _coroutine(function: Any, scope: Scope) -> Call:
    bind, takes_instance = scope.bind, _takes_instance(function)

    def call(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        inner: Any = wrapped(*args, **kwargs)  # wrong arguments are refused here, as without us
        bound = takes_instance and instance is not None and wrapped is not function
        seen = (instance, *args) if bound else args
        outer: Any = _awaited(bind, function, instance, seen, kwargs, _Pending(inner))
        if type(inner) is CoroutineType:
            outer.__name__, outer.__qualname__ = inner.__name__, inner.__qualname__
        return outer

    return call


def _plain_or_skipped(function: Any, scope: Scope) -> Call:
    """Return a call that gives None, and does not call `function`, where its run may not be opened."""
    bind, seen = scope.bind, _seen(function)

    def call(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        run = bind(function, instance, seen(wrapped, instance, args), kwargs)
        try:
            run.start()
        except AlreadyRunning:
            return None
        with run:
            return wrapped(*args, **kwargs)

    return call


def _coroutine_or_skipped(function: Any, scope: Scope) -> Call:
    bind, seen = scope.bind, _seen(function)

    async def awaited(run: Any, pending: _Pending) -> Any:
        try:
            if hasattr(run, "admitted"):
                await run.admitted()
        except AlreadyRunning:
            return None
        async with run:
            return await pending.awaitable

    def call(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        inner: Any = wrapped(*args, **kwargs)
        run = bind(function, instance, seen(wrapped, instance, args), kwargs)
        return awaited(run, _Pending(inner))

    return call


class _Pending:
    """Holds what is not yet awaited; of two coroutines, only the one around it warns if it never is."""

    __slots__ = ("awaitable",)

    def __init__(self, awaitable: Any) -> None:
        self.awaitable = awaitable

    def __del__(self) -> None:
        awaitable: Any = self.awaitable
        if type(cast("object", awaitable)) is CoroutineType:
            awaitable.close()


async def _awaited(
    bind: Callable[..., OpenRun],
    function: Any,
    instance: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    pending: _Pending,
) -> Any:
    async with bind(function, instance, args, kwargs):
        return await pending.awaitable


def _generator(function: Any, scope: Scope) -> Call:
    seen = _seen(function)

    def call(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        inner: Generator[Any, Any, Any] = wrapped(*args, **kwargs)
        bind = functools.partial(scope.bind, function, instance, seen(wrapped, instance, args), kwargs)
        return InstrumentedGenerator(inner, bind)

    return call


def _async_generator(function: Any, scope: Scope) -> Call:
    seen = _seen(function)

    def call(wrapped: Any, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        inner: AsyncGenerator[Any, Any] = wrapped(*args, **kwargs)
        bind = functools.partial(scope.bind, function, instance, seen(wrapped, instance, args), kwargs)
        return InstrumentedAsyncGenerator(inner, bind)

    return call


_SKIPPING: dict[str, Callable[[Any, Scope], Call]] = {
    "function": _plain_or_skipped,
    "coroutine": _coroutine_or_skipped,
}
"""Generators look themselves: one that is skipped gives nothing."""

_MAKERS: dict[str, Callable[[Any, Scope], Call]] = {
    "function": _plain,
    "coroutine": _coroutine,
    "generator": _generator,
    "async generator": _async_generator,
}
