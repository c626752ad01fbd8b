"""Faults to order: what goes wrong, when in a request's life, and for which requests."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from typing import Any, Literal

When = Literal["before", "after", "middle"]

ACTIONS = ("status", "reset", "hang", "truncate", "garble", "latency")
_WHEN: dict[str, tuple[When, ...]] = {
    "status": ("before", "after"),
    "reset": ("before", "after", "middle"),
    "hang": ("before", "after"),
    "truncate": ("after",),
    "garble": ("before", "after"),
    "latency": ("before", "after"),
}
LONGEST_WAIT = 300.0
"""Seconds a hang or a latency lasts at most."""


@dataclass
class Fault:
    """One fault; ask it how often it acted (`hits`), or end it (`cancel`).

    Args:
        action: What happens: "status" (an error answer), "reset" (a real RST), "hang" (silence for
            `seconds`, then a reset), "truncate" (less body than Content-Length says, then the end),
            "garble" (200 with a body that is not JSON), "latency" (`seconds` more, else normal).
        when: "before": the write is not done; "after": it is done, the client learns otherwise;
            "middle" (reset only): done, and the connection breaks in the middle of the answer.
        status: Of action "status".
        body: None for a JSON error, "html" for a page, "empty" for nothing, or any text or JSON value.
        retry_after: Seconds or text for a Retry-After header.
        nth: Act on the n-th matching request only (counting from 1).
        every: Act on every n-th matching request.
        times: Act so often at most; 1 unless `every` is given.
        method, path, table: Which requests match: method, regular expression searched in the decoded
            path, name or id of the table.
    """

    action: str
    when: When = "before"
    status: int = 503
    body: Any = None
    seconds: float = 1.0
    retry_after: float | str | None = None
    nth: int | None = None
    every: int | None = None
    times: int | None = None
    method: str | None = None
    path: str | None = None
    table: str | None = None
    seen: int = 0
    hits: int = 0
    cancelled: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"unknown action {self.action!r}; there are {', '.join(ACTIONS)}")
        if self.when not in _WHEN[self.action]:
            raise ValueError(f"{self.action} happens {' or '.join(_WHEN[self.action])}, not {self.when!r}")
        if self.nth is not None and self.every is not None:
            raise ValueError("give nth or every, not both")
        if not 0 <= self.seconds <= LONGEST_WAIT:
            raise ValueError(f"seconds is from 0 to {LONGEST_WAIT:.0f}")
        for name in ("nth", "every", "times"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise ValueError(f"{name} is at least 1")
        if self.path is not None:
            re.compile(self.path)
        if self.times is None and self.every is None:
            self.times = 1

    @property
    def name(self) -> str:
        """Return what requests are marked with: "reset after", "503 before"."""
        return f"{self.status if self.action == 'status' else self.action} {self.when}"

    def cancel(self) -> None:
        """Let it act no more."""
        self.cancelled = True

    def takes(self, method: str, path: str, tables: tuple[str, ...]) -> bool:
        """Count a request if it matches; say whether the fault acts on it."""
        if self.cancelled or (self.method is not None and self.method.upper() != method):
            return False
        if self.table is not None and self.table not in tables:
            return False
        if self.path is not None and not re.search(self.path, path):
            return False
        with self._lock:
            self.seen += 1
            if self.times is not None and self.hits >= self.times:
                return False
            if self.nth is not None and self.seen != self.nth:
                return False
            if self.every is not None and self.seen % self.every:
                return False
            self.hits += 1
            return True


class Faults:
    """The faults in force, asked in the order they were ordered."""

    def __init__(self) -> None:
        self._all: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Put a fault in force."""
        self._all = [*self._all, fault]
        return fault

    def clear(self) -> None:
        """End all faults."""
        self._all = []

    def acting_on(self, method: str, path: str, tables: tuple[str, ...]) -> list[Fault]:
        """Return what acts on a request: any latencies, and the first other fault that takes it."""
        acting: list[Fault] = []
        for fault in self._all:
            is_taken = any(other.action != "latency" for other in acting)
            if (fault.action == "latency" or not is_taken) and fault.takes(method, path, tables):
                acting.append(fault)
        return acting


def answer(fault: Fault) -> tuple[bytes, str]:
    """Return body and content type of an error answer."""
    if fault.body == "html":
        page = f"<html><body><h1>Error {fault.status}</h1></body></html>"
        return page.encode(), "text/html; charset=utf-8"
    if fault.body == "empty":
        return b"", "text/plain"
    if isinstance(fault.body, str):
        return fault.body.encode(), "text/plain; charset=utf-8"
    body = fault.body if fault.body is not None else _error(fault.status)
    return json.dumps(body).encode(), "application/json; charset=utf-8"


def _error(status: int) -> dict[str, Any]:
    kind, message = {
        429: ("RATE_LIMIT_REACHED", "Rate limit exceeded. Please try again later"),
        503: ("RETRIABLE_ERROR", "The service is temporarily unavailable. Please retry the request."),
    }.get(status, ("SERVER_ERROR", "An unexpected error occurred"))
    if status == 429:
        return {"errors": [{"error": kind, "message": message}]}
    return {"error": {"type": kind, "message": message}}
