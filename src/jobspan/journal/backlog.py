"""Events that wait in memory because the disk would not take them."""

from __future__ import annotations

from collections import deque

OVERHEAD = 64
"""What a short string costs beside its characters."""


class Backlog:
    """Payloads, oldest first, up to a bound in bytes; beyond it the newest are dropped and counted.

    The caller guards it by a lock that its own thread may enter again (a signal handler does).
    """

    __slots__ = ("_bound", "_bytes", "_payloads", "dropped", "inbox")

    def __init__(self, bound: int) -> None:
        self._payloads: deque[str] = deque()
        self.inbox: deque[str] = deque()
        """Where the compiled road, which takes no lock, puts what is to wait behind the others."""
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
            payload = self.inbox.popleft()
            self._bytes += len(payload) + OVERHEAD
            self._payloads.append(payload)

    def push(self, payload: str) -> None:
        """Keep `payload` behind the others, or count it as dropped."""
        if self.is_full() and self._payloads:
            self.dropped += 1
            return
        self._bytes += len(payload) + OVERHEAD
        self._payloads.append(payload)

    def take(self, size: int) -> list[str]:
        """Remove and return the oldest payloads, at least one, together about `size` bytes."""
        self._take_in()
        taken: list[str] = []
        while self._payloads and size > 0:
            payload = self._payloads.popleft()
            size -= len(payload)
            self._bytes -= len(payload) + OVERHEAD
            taken.append(payload)
        if not self._payloads:
            self._bytes = 0
        return taken

    def put_back(self, payloads: list[str]) -> None:
        """Put payloads that were taken, but not written, in front again."""
        self._payloads.extendleft(reversed(payloads))
        self._bytes += sum(len(payload) + OVERHEAD for payload in payloads)

    def forget(self, payloads: list[str]) -> None:
        """Remove these very objects from the front: they are safe elsewhere."""
        self._take_in()
        known = {id(payload) for payload in payloads}
        while self._payloads and id(self._payloads[0]) in known:
            self._bytes -= len(self._payloads.popleft()) + OVERHEAD

    def payloads(self) -> list[str]:
        """Return what waits, oldest first."""
        self._take_in()
        return list(self._payloads)
