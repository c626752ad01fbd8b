"""What a decorated callable needs of a scope and of the runs it gives out.

The real scopes and runs live a floor below; these protocols say what is asked of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class OpenRun(Protocol):
    """A fresh run, made for one entry of a decorated callable.

    No method raises for tracking reasons. `finish` is called at most once, after `start`.
    `deactivate` gets the token of the matching `activate`, in the same context, except where Python
    itself leaves a coroutine elsewhere (collected or closed while suspended): there `__exit__` must
    bear a token of another context.
    """

    def start(self) -> None:
        """Open the record; touch no context."""
        ...

    def activate(self) -> object:
        """Put the run into the current context; return the token that takes it out again."""
        ...

    def deactivate(self, token: Any) -> None:
        """Take the run out of the current context."""
        ...

    def finish(self, error: BaseException | None) -> None:
        """Close the record; `error` is what the body was left with."""
        ...

    def __enter__(self) -> Any:
        """Start and activate."""
        ...

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool | None:
        """Deactivate and finish; swallow nothing."""
        ...

    async def __aenter__(self) -> Any:
        """Do what `__enter__` does, and have the task canceled at the deadline of the run."""
        ...

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> bool | None:
        """Do what `__exit__` does; a cancel at the deadline becomes its error."""
        ...


class Scope(Protocol):
    """What a decorator was told; immutable, shared by all calls, threads and tasks; can be pickled."""

    def bind(
        self,
        function: Callable[..., Any],
        instance: object | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> OpenRun:
        """Return a fresh run for one call; never raise for tracking reasons.

        Args:
            function: What was decorated, as it was given to `instrument`.
            instance: The object or class a method was called on, if that is known, else None.
            args: The positional arguments as the underlying function sees them, with ``self`` or
                ``cls`` where its signature has one, however the method was reached.
            kwargs: The keyword arguments.
        """
        ...
