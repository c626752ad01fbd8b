"""Generators and async generators whose run is open while they are iterated.

The run is in context only while the body runs: it is put in and taken out around each step, in
whatever thread, task or context the consumer makes that step, so the consumer never sees it. These are
classes with ``__next__`` rather than generator functions: a ``StopIteration`` passes as it is, and a
traceback grows by one frame only.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Generator
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from jobspan._api.passage import AsyncPassage, Bind, Passage


class InstrumentedGenerator(Generator[Any, Any, Any]):
    """A generator, with a run that opens at its first step and closes when its body ends.

    It answers to `inspect.isgenerator`, `inspect.getgeneratorstate` and the ``gi_`` attributes.
    Left by ``break`` or `close`, its run ends with a `GeneratorExit`; never started, it has none.
    """

    __slots__ = ("__weakref__", "_generator", "_passage")

    def __init__(self, generator: Generator[Any, Any, Any], bind: Bind) -> None:
        self._generator = generator
        self._passage = Passage(generator, "gi_frame", bind)

    def __next__(self) -> Any:
        with self._passage:
            return next(self._generator)

    def send(self, value: Any) -> Any:
        """Resume the body with `value`, as a generator does."""
        if self._passage.run is None and value is not None:
            return self._generator.send(value)  # refused: nothing waits for a value yet
        with self._passage:
            return self._generator.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise `error` where the body waits, as a generator does."""
        if self._passage.run is None:
            return self._generator.throw(*error)
        with self._passage:
            return self._generator.throw(*error)

    def close(self) -> Any:
        """End the body where it waits, as a generator does."""
        if self._passage.run is None:
            return self._generator.close()
        with self._passage:
            result: Any = self._generator.close()  # type: ignore[func-returns-value]  # from 3.13 on a value
        self._passage.close(GeneratorExit())
        return result

    def __del__(self) -> None:
        if self._passage.run is not None:
            self.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._generator.__reduce_ex__(protocol)  # Python's own words: it cannot be pickled

    def __repr__(self) -> str:
        return f"<instrumented {self._generator!r}>"

    @property
    def __class__(self) -> type:
        return GeneratorType

    @__class__.setter
    def __class__(self, value: type) -> None:
        raise TypeError("__class__ of a generator cannot be set")


class InstrumentedAsyncGenerator(AsyncGenerator[Any, Any]):
    """An async generator, with a run that opens at its first step and closes when its body ends.

    It answers to `inspect.isasyncgen` and the ``ag_`` attributes. The event loop's hooks get this object
    in the place of the generator it wraps, so one that was left behind is closed by its loop through it.
    """

    __slots__ = ("__weakref__", "_adopted", "_finalizer", "_generator", "_hooked", "_passage")

    def __init__(self, generator: AsyncGenerator[Any, Any], bind: Bind) -> None:
        self._generator = generator
        self._passage = AsyncPassage(generator, bind)
        self._hooked = False
        self._adopted = False
        self._finalizer: Callable[[Any], object] | None = None

    def __aiter__(self) -> InstrumentedAsyncGenerator:
        return self

    def __anext__(self) -> Any:
        ask = self._generator.__anext__
        return _Step(self, self._passage, ask() if self._hooked else self._ask(ask))

    def asend(self, value: Any) -> Any:
        """Resume the body with `value`, as an async generator does."""
        step = self._ask(self._generator.asend, value)
        return step if self._passage.run is None and value is not None else _Step(self, self._passage, step)

    def athrow(self, *error: Any) -> Any:
        """Raise `error` where the body waits, as an async generator does."""
        step = self._ask(self._generator.athrow, *error)
        return step if self._passage.run is None else _Step(self, self._passage, step)

    def aclose(self) -> Any:
        """End the body where it waits, as an async generator does."""
        step = self._ask(self._generator.aclose)
        if self._passage.run is None:
            return step
        if self._passage.left_behind:
            self._adopted = True
            return _LastStep(self, self._passage, step)
        return _Step(self, self._passage, step)

    def _ask(self, method: Callable[..., Any], *args: Any) -> Any:
        """Call `method` of the generator; at the first call show its loop this object, not the inner one."""
        if self._hooked:
            return method(*args)
        self._hooked = True
        firstiter, finalizer = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)
        try:
            step = method(*args)
        finally:
            sys.set_asyncgen_hooks(firstiter, finalizer)
        self._finalizer = finalizer
        if firstiter is not None:
            firstiter(self)
        return step

    def __del__(self) -> None:
        if self._finalizer is not None and not self._passage.ended():
            self._passage.left_behind = True
            self._finalizer(self)  # its loop closes it, in a task, by `aclose`
        if not self._adopted:  # no loop cares
            self._passage.close(GeneratorExit())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._generator, name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._generator.__reduce_ex__(protocol)  # Python's own words: it cannot be pickled

    def __repr__(self) -> str:
        return f"<instrumented {self._generator!r}>"

    @property
    def __class__(self) -> type:
        return AsyncGeneratorType

    @__class__.setter
    def __class__(self, value: type) -> None:
        raise TypeError("__class__ of an async generator cannot be set")


class _Step:
    """What ``anext(generator)`` gives: to be awaited once; passes into the body at each resumption."""

    __slots__ = ("_awaitable", "_generator", "_passage")

    def __init__(self, generator: object, passage: Passage, awaitable: Any) -> None:
        self._generator = generator  # kept alive while one of its steps is: its end would close the body
        self._passage = passage
        self._awaitable = awaitable

    def __await__(self) -> _Step:
        return self

    def __iter__(self) -> _Step:
        return self

    def __next__(self) -> Any:
        with self._passage:
            return self._awaitable.send(None)

    def send(self, value: Any) -> Any:
        with self._passage:
            return self._awaitable.send(value)

    def throw(self, *error: Any) -> Any:
        with self._passage:
            return self._awaitable.throw(*error)

    def close(self) -> None:
        if self._passage.run is None:
            self._awaitable.close()
            return
        with self._passage:
            self._awaitable.close()
        if self._passage.ended():
            self._passage.close(GeneratorExit())


class _LastStep(_Step):
    """The step by which a loop closes what was left behind; dropped unrun, it still closes the run."""

    __slots__ = ()

    def __del__(self) -> None:
        self._passage.close(GeneratorExit())
