"""How many requests are let through: a strict window per base, one per user, a monthly quota."""

from __future__ import annotations

import threading
from collections import deque

from jobspan.testing.airtable import refusal


class _Window:
    """At most `rate` requests in any second; over it everything is refused for `lockout` seconds."""

    def __init__(self) -> None:
        self.admitted: deque[float] = deque()
        self.locked_until = float("-inf")


class Limits:
    """The limits of all bases and users.

    Documented: 5 requests/s per base and 50/s per user's tokens; above them 429 and about 30 s of
    refusal. A refused request does not prolong the refusal. The monthly quota counts calls of the
    data API; over it metadata calls are still answered (reported from the live service).
    """

    def __init__(
        self,
        rate: float | None = 5,
        lockout_seconds: float = 30.0,
        user_rate: float | None = 50,
        monthly_quota: int | None = None,
        retry_after: bool = False,
    ) -> None:
        self.rate = rate
        self.lockout_seconds = lockout_seconds
        self.user_rate = user_rate
        self.monthly_quota = monthly_quota
        self.retry_after = retry_after
        self.calls_this_month = 0
        self._lock = threading.Lock()
        self._windows: dict[str, _Window] = {}

    def admit(self, now: float, user_id: str, base_id: str | None, *, is_data: bool) -> None:
        """Count one request that arrived at `now`, in seconds of the server's clock.

        Raises:
            Refusal: 429; `RATE_LIMIT_REACHED` or `PUBLIC_API_BILLING_LIMIT_EXCEEDED`.
        """
        with self._lock:
            self._through(user_id, self.user_rate, now)
            if base_id is not None:
                self._through(base_id, self.rate, now)
            if is_data:
                if self.monthly_quota is not None and self.calls_this_month >= self.monthly_quota:
                    raise refusal.quota_used_up()
                self.calls_this_month += 1

    def release(self) -> None:
        """End every lock-out and forget the last second."""
        with self._lock:
            self._windows.clear()

    def _through(self, key: str, rate: float | None, now: float) -> None:
        if rate is None:
            return
        window = self._windows.setdefault(key, _Window())
        if now < window.locked_until:
            raise refusal.rate_limited(window.locked_until - now if self.retry_after else None)
        while window.admitted and window.admitted[0] <= now - 1.0:
            window.admitted.popleft()
        if len(window.admitted) >= rate:
            window.locked_until = now + self.lockout_seconds
            raise refusal.rate_limited(self.lockout_seconds if self.retry_after else None)
        window.admitted.append(now)
