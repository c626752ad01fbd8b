"""A place in an exporter's queue that somebody waits for."""

from __future__ import annotations

import threading

from jobspan import _clock


class FlushMark:
    """Stands in the queue behind everything that ended before a flush; resolved when that is out."""

    __slots__ = ("deadline", "done", "exported", "stops")

    def __init__(self, deadline: float, *, stops: bool = False) -> None:
        self.deadline = deadline
        """For the exporter's own flush: a monotonic time in seconds."""
        self.stops = stops
        self.exported = False
        self.done = threading.Event()

    def wait(self, deadline: float) -> bool:
        """Wait until `deadline` at most; True if everything before the mark was exported by then."""
        self.done.wait(max(0.0, deadline - _clock.monotonic()))
        return self.exported

    def resolve(self, exported: bool) -> None:
        """Say whether all before the mark was exported, and let the waiting go on."""
        self.exported = exported
        self.done.set()
