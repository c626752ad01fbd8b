"""A scope and runs that write down what is done to them, and complain where the contract is broken."""

from __future__ import annotations

import contextlib
import contextvars
import itertools
import threading
from collections.abc import Callable
from typing import Any

current: contextvars.ContextVar[RecordingRun | None] = contextvars.ContextVar("current", default=None)
_numbers = itertools.count(1)


class RecordingRun:
    """One run; `state` goes new, open, closed; `steps` counts how often it was put into a context."""

    def __init__(self, scope: RecordingScope, call: tuple[Any, ...]) -> None:
        self.scope = scope
        self.function, self.instance, self.args, self.kwargs = call
        self.number = next(_numbers)
        self.state = "new"
        self.error: BaseException | None = None
        self.parent: RecordingRun | None = None
        self.steps = 0
        self.active = 0
        self._token: Any = None

    def start(self) -> None:
        assert self.state == "new", "started twice"
        self.state = "open"
        self.parent = current.get()
        self.scope.log(("start", self))

    def activate(self) -> object:
        assert self.state == "open", "activated while not open"
        self.steps += 1
        self.active += 1
        return current.set(self)

    def deactivate(self, token: Any) -> None:
        assert self.active > 0, "deactivated more often than activated"
        self.active -= 1
        current.reset(token)  # raises in another context

    def finish(self, error: BaseException | None) -> None:
        assert self.state == "open", f"finished while {self.state}"
        assert self.active == 0, "finished while in a context"
        self.state = "closed"
        self.error = error if self.scope.keep_errors else None
        self.scope.log(("finish", self))

    def __enter__(self) -> RecordingRun:
        self.start()
        self._token = self.activate()
        return self

    async def __aenter__(self) -> Any:
        return self.__enter__()

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.__exit__(kind, error, trace)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        with contextlib.suppress(ValueError):  # collected in another context
            self.deactivate(self._token)
        self.finish(error)


class RecordingScope:
    """Gives out recording runs; pickles to an empty one of the same name."""

    def __init__(self, name: str = "scope", keep_errors: bool = True) -> None:
        self.name = name
        self.keep_errors = keep_errors
        self.runs: list[RecordingRun] = []
        self.events: list[tuple[str, RecordingRun]] = []
        self._lock = threading.RLock()

    def bind(
        self,
        function: Callable[..., Any],
        instance: object | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> RecordingRun:
        return RecordingRun(self, (function, instance, args, kwargs))

    def log(self, event: tuple[str, RecordingRun]) -> None:
        with self._lock:
            self.events.append(event)
            if event[0] == "start":
                self.runs.append(event[1])

    def __reduce__(self) -> Any:
        return RecordingScope, (self.name, self.keep_errors)

    @property
    def only(self) -> RecordingRun:
        """The one run there was."""
        assert len(self.runs) == 1, f"{len(self.runs)} runs"
        return self.runs[0]

    def balanced(self) -> bool:
        return all(run.state == "closed" and run.active == 0 for run in self.runs)


def inside() -> str | None:
    """Return the name of the scope whose run is in context."""
    run = current.get()
    return run.scope.name if run is not None else None
