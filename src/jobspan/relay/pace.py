"""When requests may go: evenly spaced, never in bursts, and not at all while the destination says so."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from jobspan import _clock


@dataclass(frozen=True, slots=True)
class Timing:
    """All waits of the relay, in seconds; tests compress them.

    Attributes:
        spacing: Between the starts of two requests. Measured: 250 ms draws no 429, 200 ms does.
        poll: Between two looks for something to deliver.
        linger: How long the change of a client run may wait for company, in a young job.
        linger_widest: The same in an old job: a tenth of its age, up to this (facts, C: one hour of
            1,000 client runs in a row takes 482 requests with a window of 15 s, 182 with one of 60 s).
        lease: How long a sender that gives no sign of life keeps its right.
        renew: Between two signs of life.
        penalty: Silence after a 429.
        quota: Silence once the calls of the month are used up.
        broken: Silence about a row after a connection broke with the outcome unknown.
        overtaken: Silence about a row after the read time-out: as long again.
        retry_most: Longest wait between attempts while the destination is away.
        stopped: First wait after a refusal of the token or the base; doubled up to `stopped_most`.
        notes: A row written longer ago is read before its notes are replaced.
        cancel_poll, cancel_poll_late: Between two looks for canceled jobs, in a job's first
            `cancel_early` seconds and after.
    """

    spacing: float = 0.25
    poll: float = 0.5
    linger: float = 15.0
    linger_widest: float = 60.0
    lease: float = 15.0
    renew: float = 5.0
    penalty: float = 30.0
    quota: float = 4 * 3600.0
    broken: float = 5.0
    overtaken: float = 60.0
    retry_most: float = 30.0
    stopped: float = 5.0
    stopped_most: float = 900.0
    notes: float = 60.0
    cancel_poll: float = 15.0
    cancel_poll_late: float = 60.0
    cancel_early: float = 600.0


_AHEAD_SECONDS = 0.05
"""So long before its moment a request begins to be made: what that takes is not lost between two."""


class Pace:
    """Spaces requests, from leaving to leaving. There is no credit for time not used.

    Args:
        timing: The spacing.
        rested: Seconds since anybody else may have sent; in the first moments a new sender waits.
    """

    def __init__(self, timing: Timing, rested: float = 0.0) -> None:
        self._spacing = timing.spacing
        self._free_at = _clock.monotonic() + max(0.0, timing.spacing - rested)
        self._is_expected = False

    def wait(self, sleep: Callable[[float], bool]) -> bool:
        """Wait until a request may be made, with `sleep(seconds)`; False if that was interrupted."""
        now = _clock.monotonic()
        if self._is_expected:  # none left since the last wait: this one is no shorter for that
            self._free_at = max(self._free_at, now + self._spacing + _AHEAD_SECONDS)
        left = self._free_at - _AHEAD_SECONDS - now
        self._is_expected = not (left > 0 and sleep(left))
        return self._is_expected

    def leave(self) -> None:
        """Hold back a request that is ready to leave until its very moment, at most some 50 ms."""
        left = self._free_at - _clock.monotonic()
        if left > 0:
            _clock.sleep(left)

    def left(self) -> None:
        """Take note that the whole request has left."""
        self._free_at = _clock.monotonic() + self._spacing
        self._is_expected = False


def backoff(failures: int, first: float, most: float) -> float:
    """Return seconds to wait after so many failures in a row: doubled each time, with jitter."""
    return min(most, first * 2.0 ** min(failures, 20)) * (0.75 + 0.5 * _chance())


def jittered(seconds: float) -> float:
    """Return `seconds` or a little more, so that several senders do not come back at once."""
    return seconds + min(2.0, seconds * 0.1) * _chance()


def _chance() -> float:
    """Return a number from 0 to 1; the global generator belongs to the work."""
    return int.from_bytes(os.urandom(2), "big") / 65536


def linger_seconds(timing: Timing, calls: int, budget: int | None) -> float:
    """Return how long client runs wait for company, by the calls left in this month.

    15 s while the calls made are within a tenth of the month's share so far; beyond that the window
    widens, to 60 s and further, up to 15 minutes when the budget is nearly gone. A job's age widens it, too.
    """
    if budget is None or budget <= 0:
        return timing.linger
    over = calls / budget - _month_gone() - 0.1
    if over <= 0:
        return timing.linger
    return min(timing.linger * 60, timing.linger * (1 + 30 * over))


def _month_gone() -> float:
    now = datetime.fromtimestamp(_clock.now_ns() / 1e9, UTC)
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return (now - first) / (following - first)
