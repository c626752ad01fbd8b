"""What writes the events of one run, in one process: each is named by its writer and its number.

The compiled `Pen` of `jobspan._native` does the same.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count


class Pen:
    """Writes the events of one writer. One object, so that threads never mix two writers.

    Args:
        append: Takes each event as JSON text.
        pid: The process it writes in.
        writer: The writer id.
        part: The part it writes to, if another writer has opened that; else empty.
    """

    __slots__ = ("_append", "_head", "_next", "pid", "uid")

    def __init__(self, append: Callable[[str], None], pid: int, writer: str, part: str = "") -> None:
        self.pid = pid
        self.uid = writer
        self._append = append
        self._head = f'"w":"{writer}","p":"{part}"' if part else f'"w":"{writer}"'
        self._next = count().__next__  # one C call, no lock

    @classmethod
    def new(cls, append: Callable[[str], None], pid: int, prefix: str, number: int) -> Pen:
        """Return the pen of a new part: its uid is the prefix and the number in hexadecimal."""
        return cls(append, pid, prefix + "%016x" % number)  # noqa: UP031 - half as dear

    def write(self, at_ns: int, body: str, /) -> None:
        """Write one event, of an instant in ns; `body` is its own part, as JSON text without braces."""
        self._append(f'{{{self._head},"q":{self._next()},"t":{at_ns},{body}}}')
