"""The one place that swallows our own exceptions: it counts them, says so once a minute, and goes on.

Tracking must never break the work. Whatever fails inside jobspan is caught here and nowhere else;
`health()` shows the counts and reasons. In strict mode (our own tests) it is raised instead.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from jobspan import _clock, _log

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_LOG_EVERY_SECONDS = 60.0


class Guard:
    """Counts what went wrong inside jobspan, by place and kind."""

    def __init__(self) -> None:
        self.strict = False
        self._lock = threading.RLock()  # re-entrant: a signal handler may fail while a report is written
        self._counts: dict[str, int] = {}
        self._logged_at: dict[str, float] = {}
        self.last_error: str | None = None
        self.describe: Callable[[BaseException], str] = lambda error: type(error).__name__
        """Turns an exception into text that holds no secret; set by the composition root."""

        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew_lock)  # a thread of the parent may have held it

    def _renew_lock(self) -> None:
        self._lock = threading.RLock()

    def report(self, where: str, error: BaseException) -> None:
        """Count `error`, which happened in `where`; raise it again in strict mode."""
        try:
            text = self.describe(error)
        except Exception:  # noqa: BLE001 - the describing may be what failed
            text = type(error).__name__
        try:
            self.note(where, text, key=f"{where}: {type(error).__name__}")
        except Exception:  # noqa: BLE001 - a clock or a logging handler may be what failed
            self.last_error = f"{where}: {text}"
        if self.strict:
            raise error

    def note(self, where: str, text: str, *, key: str | None = None, level: int = logging.WARNING) -> None:
        """Count a trouble that was no exception; `text` is for people, `key` is what is counted."""
        key = key or where
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + 1
            self.last_error = f"{where}: {text}"
            now = _clock.monotonic()
            if now - self._logged_at.get(key, -_LOG_EVERY_SECONDS) < _LOG_EVERY_SECONDS:
                return
            self._logged_at[key] = now
            count = self._counts[key]
        _log.event(level, "jobspan.trouble.met", where=where, reason=text, count=count)

    def counts(self) -> dict[str, int]:
        """Return how often each trouble happened."""
        with self._lock:
            return dict(self._counts)

    def reset(self) -> None:
        """Forget all counts."""
        with self._lock:
            self._counts.clear()
            self._logged_at.clear()
            self.last_error = None


guard = Guard()


class guarded:  # noqa: N801 - reads as a keyword: `with guarded("journal.write"):`
    """Swallow and count any `Exception` of ours in a block or a function.

    As a decorator the function then returns None when it failed. BaseExceptions that are not
    Exceptions (KeyboardInterrupt, SystemExit, RunCanceled) always pass.

    Args:
        where: Named where it failed.
        after: Called, unguarded, with the first argument of a decorated function when that is done:
            for what is meant to raise into the work.
    """

    __slots__ = ("after", "where")

    def __init__(self, where: str, after: Callable[[Any], None] | None = None) -> None:
        self.where = where
        self.after = after

    if TYPE_CHECKING:

        def __enter__(self) -> object: ...
    else:
        __enter__ = staticmethod(bool)  # does nothing, without a call into Python: several in each run

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        guard.report(self.where, error)
        return True

    def __call__(self, function: F) -> F:
        where, report, after = self.where, guard.report, self.after
        if after is not None:
            return _followed(function, where, after)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - this is the one place
                report(where, error)
                return None

        return call  # type: ignore[return-value]


def guarded_event(where: str) -> Callable[[F], F]:
    """Return a cheaper `guarded(where)` for a method that is called all the time, with one argument."""

    def around(function: F) -> F:
        report = guard.report

        @functools.wraps(function)
        def call(self: Any, event: Any) -> None:
            try:
                function(self, event)
            except Exception as error:  # noqa: BLE001 - and here, for one argument
                report(where, error)

        return call  # type: ignore[return-value]

    return around


def guarded_step(where: str) -> Callable[[Callable[[T], bool]], Callable[[T], bool]]:
    """Return a cheaper `guarded(where)` for a function of one argument that says whether it did its work."""

    def around(function: Callable[[T], bool]) -> Callable[[T], bool]:
        report = guard.report

        @functools.wraps(function)
        def call(one: T) -> bool:
            try:
                return function(one)
            except Exception as error:  # noqa: BLE001 - and here: it did not
                report(where, error)
                return False

        return call

    return around


def _followed(function: F, where: str, after: Callable[[Any], None]) -> F:
    report = guard.report

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - and here, with what follows outside of it
            report(where, error)
        after(args[0])

    return call  # type: ignore[return-value]
