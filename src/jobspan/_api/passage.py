"""The way into a generator's body and out again, around which its run is put into context."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any

from jobspan._api.scope import OpenRun
from jobspan.exceptions import AlreadyRunning

Bind = Callable[[], OpenRun]
"""Makes the run of one iteration; called at its first step."""


class Passage:
    """The way into a generator's body and out again: ``with passage:`` around each step.

    Opens the run at the first step, has it in context during the step, closes it when the body has
    ended. Two steps at once are refused as Python refuses them, so that a run is closed exactly once.
    """

    __slots__ = ("_bind", "_frame", "_generator", "_lock", "_token", "run")

    def __init__(self, generator: Any, frame: str, bind: Bind) -> None:
        self._generator = generator
        self._frame = frame
        self._bind: Bind | None = bind
        self._lock = threading.Lock()
        self._token: object = None
        self.run: OpenRun | None = None

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            raise self._busy_error()
        try:
            run = self.run
            if run is None and self._bind is not None:
                run = self._open()
            if run is not None:
                self._token = run.activate()
        except BaseException:  # a signal's; the generator must stay usable
            self._lock.release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            run = self.run
            if run is not None:
                token, self._token = self._token, None
                run.deactivate(token)
                if error is not None and self.ended():
                    self.close(self._outcome(error))
        finally:
            self._lock.release()

    def ended(self) -> bool:
        """Tell whether the body has ended; a generator that has lost its frame never runs again."""
        return getattr(self._generator, self._frame, None) is None

    def close(self, error: BaseException | None) -> None:
        """Close the run, if it is open."""
        run, self.run = self.run, None
        if run is not None:
            run.finish(error)

    def _open(self) -> OpenRun | None:
        bind, self._bind = self._bind, None
        if bind is None or self.ended():  # closed before its first step
            return None
        run = bind()
        try:
            run.start()
        except BaseException as refusal:
            self._end_unopened()
            if isinstance(refusal, AlreadyRunning) and getattr(run, "skips", False):
                return None
            raise
        self.run = run
        return run

    def _end_unopened(self) -> None:
        """End the body before its first step: it may not run."""
        self._generator.close()

    def _busy_error(self) -> BaseException:
        return ValueError("generator already executing")

    def _outcome(self, error: BaseException) -> BaseException | None:
        return None if isinstance(error, StopIteration) else error


class AsyncPassage(Passage):
    """The same for an async generator, where StopIteration ends a step and not the body."""

    __slots__ = ("left_behind",)

    def __init__(self, generator: Any, bind: Bind) -> None:
        super().__init__(generator, "ag_frame", bind)
        self.left_behind = False

    def _end_unopened(self) -> None:
        with suppress(StopIteration):
            self._generator.aclose().send(None)  # there is nothing in it yet to wait for

    def _busy_error(self) -> BaseException:
        return RuntimeError("anext(): asynchronous generator is already running")

    def _outcome(self, error: BaseException) -> BaseException | None:
        if isinstance(error, StopAsyncIteration):
            return None
        if isinstance(error, StopIteration):  # a finished aclose()
            return GeneratorExit()
        if self.left_behind and not isinstance(error, Exception):
            return GeneratorExit()  # a loop that ends cancels its closing; what ended it was the `break`
        return error
