"""Calling code that is not ours: exporters, redactors, the `__str__` of somebody's exception."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from jobspan._guard import guarded

Tell = Callable[[str, BaseException | str], None]
"""Takes where something went wrong and what; called on any thread."""


class attempt(guarded):  # noqa: N801 - reads as a keyword, like guarded
    """Keep what somebody else's code raised in `error`, and tell it; it is never raised, strict or not.

    With `everything` an exception that is no `Exception` is kept too: for threads of our own, which an
    exporter's SystemExit must not end.
    """

    __slots__ = ("error", "everything", "tell")

    def __init__(self, where: str, tell: Tell | None, *, everything: bool = False) -> None:
        super().__init__(where)
        self.tell = tell
        self.everything = everything
        self.error: BaseException | None = None

    def __enter__(self) -> attempt:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None or not (self.everything or isinstance(error, Exception)):
            return False
        self.error = error
        if self.tell is not None:
            with guarded("spans.tell"):
                self.tell(self.where, error)
        return True
