"""Events that wait in memory because the disk would not take them."""

from __future__ import annotations

from collections import deque
from itertools import islice

OVERHEAD = 64
"""What a short string costs beside its characters."""


class Backlog:
    """Payloads, oldest first, up to a bound in bytes; beyond it the newest are dropped and counted.

    The caller guards it by a lock that its own thread may enter again (a signal handler does). Such a handler
    may raise at every call: no event is ever in a variable alone.
    """

    __slots__ = ("_bound", "_bytes", "_payloads", "dropped", "in_hand", "inbox")

    def __init__(self, bound: int) -> None:
        self._payloads: deque[str] = deque()
        self.inbox: deque[str] = deque()
        """Where the compiled road, which takes no lock, puts what is to wait behind the others."""
        self.in_hand = 0
        """How many of the oldest are being written now: a signal handler meanwhile leaves them alone."""
        self._bytes = 0
        self._bound = bound
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._payloads) + len(self.inbox)

    @property
    def room(self) -> int:
        """Bytes that may still wait: of each payload its characters and `OVERHEAD`."""
        self._take_in()
        return self._bound - self._bytes

    def is_full(self) -> bool:
        """Tell whether the next payload would be dropped."""
        return self.room <= 0

    def _take_in(self) -> None:
        while self.inbox:
            fresh = list(self.inbox)
            size = sum(map(len, fresh)) + OVERHEAD * len(fresh)
            moving = islice(iter(self.inbox.popleft, None), len(fresh))
            if fresh and self.inbox and self.inbox[0] is fresh[0]:  # else a signal handler was faster
                self._bytes += size
                self._payloads.extend(moving)  # in one step for threads and signal handlers

    def push(self, payload: str) -> None:
        """Keep `payload` behind the others, or count it as dropped."""
        size = len(payload) + OVERHEAD
        if self.is_full() and self._payloads:
            self.dropped += 1
            return
        self._bytes += size
        self._payloads.append(payload)

    def is_waiting(self) -> bool:
        """Tell whether there is a payload that nobody is writing."""
        return len(self) > self.in_hand

    def first(self, size: int) -> list[str]:
        """Return the oldest payloads not in hand, at least one, together about `size` bytes; they stay."""
        chosen: list[str] = []
        for payload in self.payloads()[self.in_hand :]:
            if size <= 0:
                break
            size -= len(payload)
            chosen.append(payload)
        return chosen

    def is_at(self, place: int, payload: str) -> bool:
        """Tell whether this very object is the one at `place`."""
        return len(self._payloads) > place and self._payloads[place] is payload

    def drop(self, payload: str, place: int = 0) -> None:
        """Remove this very object from `place`, if it is there: it is safe elsewhere."""
        size = len(payload) + OVERHEAD
        if self.is_at(place, payload):
            self._bytes -= size
            self.in_hand -= self.in_hand > place
            del self._payloads[place]

    def forget(self, payloads: list[str]) -> None:
        """Remove these very objects from the front: they are safe elsewhere."""
        self._take_in()
        for payload in payloads:
            self.drop(payload)

    def payloads(self) -> list[str]:
        """Return what waits, oldest first."""
        self._take_in()
        return list(self._payloads)
