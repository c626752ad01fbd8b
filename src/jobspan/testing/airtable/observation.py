"""What the server has seen: every request, and figures about them."""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class SeenRequest:
    """One request as it arrived, and how it ended.

    `status` is None while it is being worked on and when no answer was sent (reset, hang).
    `applied` says whether its write was done, whatever the client was told. `fault` names the fault
    that acted on it, such as "reset after".
    """

    method: str
    path: str
    query: dict[str, Any]
    body: Any
    at: float
    kind: str = "unknown"
    table: str | None = None
    status: int | None = None
    applied: bool = False
    fault: str | None = None
    error: str | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str], repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the request for the control endpoint; the token is not in it."""
        shown = asdict(self)
        del shown["headers"]
        return shown


class Observation:
    """The requests of one server, in the order of their arrival."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: list[SeenRequest] = []

    def add(self, request: SeenRequest) -> None:
        """Keep a request."""
        with self._lock:
            self._seen.append(request)

    def all(self) -> list[SeenRequest]:
        """Return the requests so far."""
        with self._lock:
            return list(self._seen)

    def clear(self) -> None:
        """Forget the requests so far."""
        with self._lock:
            self._seen.clear()

    def counts(self) -> dict[str, int]:
        """Return how many requests there were of each kind (list, get, create, upsert, schema …)."""
        return dict(Counter(request.kind for request in self.all()))

    def with_status(self, status: int) -> int:
        """Return how many requests were answered with `status`."""
        return sum(request.status == status for request in self.all())

    def busiest_second(self) -> int:
        """Return the largest number of requests within any second."""
        window: deque[float] = deque()
        most = 0
        for at in sorted(request.at for request in self.all()):
            window.append(at)
            while window[0] <= at - 1.0:
                window.popleft()
            most = max(most, len(window))
        return most
