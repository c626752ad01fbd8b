"""The road of one event of a journal writer: the compiled one where there is one, else that in Python."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from jobspan._compiled import native
from jobspan.journal import process
from jobspan.journal.pen import Pen
from jobspan.journal.segment import Segment
from jobspan.journal.state import WriterState


class Road:
    """Leads events to the segment it is aimed at.

    Args:
        append: The road in Python, which takes any event at any time.
    """

    def __init__(self, append: Callable[[str], None]) -> None:
        self._line: Any = None
        self.append = append
        """Write one event."""
        self.pen: Callable[[int, str, str], Pen] = partial(Pen, append)
        """Return what writes events to a part another writer has opened: ``pen(pid, writer, part)``."""
        self.new_pen: Callable[[int, str, int], Pen] = partial(Pen.new, append)
        """Return what writes the events of a new part: ``new_pen(pid, prefix, number)``."""
        if native is not None and isinstance(process.told, memoryview):
            line = self._line = native.Line(process.told, append)
            self.append, self.pen, self.new_pen = line.append, line.pen, line.new_pen

    def aim(self, segment: Segment) -> None:
        """Have events written to `segment` from now on."""
        if self._line is not None:
            self._line.aim(segment.area, segment.pid)

    def ask_again_at(self, second: float) -> None:
        """Have the first event from a second of `time.monotonic` on go by the road in Python."""
        if self._line is not None:
            self._line.check_at = second

    def hold(self, state: WriterState) -> None:
        """Let events wait in memory, without a second thought, until the disk is asked again."""
        if self._line is not None:
            backlog = state.backlog
            self._line.hold(backlog.inbox.append, process.pid(), state.retry_at, backlog.room)

    def release(self) -> None:
        """End `hold`."""
        if self._line is not None:
            self._line.hold(None, -1, 0.0, 0)
