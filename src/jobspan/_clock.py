"""The only place that asks what time it is.

Instants are integer nanoseconds since the Unix epoch, UTC. Within one process they never go
backwards: they are the wall clock read once, plus a clock that only moves forward (and goes on
while the machine sleeps, where the system has such a clock). `resync` looks at the wall clock
again; a job does so when it opens, so that a machine whose clock was set right is followed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from jobspan._compiled import native

_JUMP_NS = 1_000_000_000
"""A difference to the wall clock up to this (1 s) is drift, beyond it the clock was set."""


_BOOTTIME: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def _forward_clock() -> Callable[[], int]:
    return time.monotonic_ns if _BOOTTIME is None else partial(time.clock_gettime_ns, _BOOTTIME)


class Clock:
    """Gives the time; tests put a frozen one in its place with `use`."""

    def __init__(self) -> None:
        self._forward = _forward_clock()
        self._offset_ns = time.time_ns() - self._forward()
        self._compiled = (
            None if native is None or _BOOTTIME is None else native.Clock(_BOOTTIME, self._offset_ns)
        )

    @property
    def reader(self) -> Callable[[], int]:
        """What tells `now_ns` at the least cost."""
        return self.now_ns if self._compiled is None or type(self) is not Clock else self._compiled.now_ns

    def now_ns(self) -> int:
        """Return nanoseconds since the epoch, never less than an earlier answer between two resyncs."""
        return self._offset_ns + self._forward()

    def resync(self) -> int:
        """Follow the wall clock; return by how many nanoseconds it was moved (0 for mere drift)."""
        moved_ns = time.time_ns() - self.now_ns()
        if -_JUMP_NS < moved_ns < _JUMP_NS:
            return 0
        self._offset_ns += moved_ns
        if self._compiled is not None:
            self._compiled.offset_ns = self._offset_ns
        return moved_ns


class FrozenClock(Clock):
    """A clock for tests: stands still until `advance` moves it."""

    def __init__(self, start_ns: int = 1_750_000_000_000_000_000) -> None:
        super().__init__()
        self._now_ns = start_ns

    def now_ns(self) -> int:
        return self._now_ns

    def resync(self) -> int:
        return 0

    def advance(self, seconds: float) -> None:
        """Move the clock forward by `seconds`."""
        self._now_ns += round(seconds * 1e9)


_clock = Clock()


now_ns: Callable[[], int] = _clock.reader
"""Return the current instant in nanoseconds since the epoch, UTC. Asked for with each event: nothing stands
between it and the clock in charge."""


moved_ns: int = 0
"""By how much `resync` has moved the clock in all: no part of any duration."""


def resync() -> int:
    """Look at the wall clock again; return the jump in nanoseconds, 0 if there was none."""
    global moved_ns
    jump_ns = _clock.resync()
    moved_ns += jump_ns
    return jump_ns


def use(clock: Clock) -> Clock:
    """Put `clock` in charge and return the one it replaces."""
    global _clock, now_ns
    previous, _clock = _clock, clock
    now_ns = clock.reader
    return previous


monotonic: Callable[[], float] = time.monotonic
"""Return seconds of a clock for measuring waits; its zero means nothing."""

thread_seconds: Callable[[], float] = time.thread_time
"""Return the seconds of CPU time of the current thread."""


def sleep(seconds: float) -> None:
    """Wait, for background threads alone."""
    time.sleep(seconds)
