"""Calling code that is not ours: exporters, redactors, the `__str__` of somebody's exception."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from jobspan._guard import guarded

Tell = Callable[[str, BaseException | str], None]
"""Takes where something went wrong and what; called on any thread."""


class attempt(guarded):  # noqa: N801 - reads as a keyword, like guarded
    """Tell what somebody else's code raised, and go on; it is never raised, strict or not.

    `failed` says afterwards whether it raised. With `everything` an exception that is no `Exception` is
    told too: for threads of our own, which an exporter's SystemExit must not end.
    """

    __slots__ = ("everything", "failed", "tell")

    def __init__(self, where: str, tell: Tell | None, *, everything: bool = False) -> None:
        super().__init__(where)
        self.tell = tell
        self.everything = everything
        self.failed = False

    def __enter__(self) -> attempt:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None or not (self.everything or isinstance(error, Exception)):
            return False
        self.failed = True  # not the error: its traceback would keep our frames, and their spans, alive
        if self.tell is not None:
            with guarded("spans.tell"):
                self.tell(self.where, error)
        return True
