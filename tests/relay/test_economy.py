"""How many requests an hour of work takes: only waits move the clock, everything else is real."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

import jobspan
from jobspan import _clock, _keeper, _runtime
from jobspan.relay.pace import Timing
from jobspan.testing.airtable import AirtableServer
from tests.relay.conftest import Deliver
from tests.relay.support import assert_equal_to_ledger, kinds

SECOND = 10**9
MIDDAY = datetime(2026, 6, 2, 12, tzinfo=UTC)
"""Early in a month: 5 % of it are gone."""


class Compressed(_clock.Clock):
    """A clock that goes on only when somebody waits."""

    def __init__(self) -> None:
        super().__init__()
        self._now_ns = int(MIDDAY.timestamp()) * SECOND

    def now_ns(self) -> int:
        return self._now_ns

    def resync(self) -> int:
        return 0

    def wait(self, seconds: float) -> bool:
        """Let time pass at once."""
        self._now_ns += max(0, round(seconds * SECOND))
        return False


class Hour:
    """Work and delivery by turns, in one thread, as long as the clock says."""

    def __init__(
        self, deliver: Deliver, monkeypatch: pytest.MonkeyPatch, ledger: str = "ledger.db", **airtable: Any
    ) -> None:
        monkeypatch.setattr(_keeper.Keeper, "start", lambda _: None)
        self.server = deliver(
            timing=Timing(),
            ledger=ledger,
            airtable={"cancel_poll": False, **airtable},
            rate_limit=None,
            user_rate_limit=None,
        )
        self.clock = Compressed()
        before = _clock.use(self.clock)
        monkeypatch.setattr(_clock, "monotonic", lambda: self.clock.now_ns() / SECOND)
        monkeypatch.setattr(_clock, "sleep", self.clock.wait)
        self._restore: Callable[[], Any] = lambda: _clock.use(before)
        self._runtime = _runtime.runtime()
        relay = self._runtime.deliveries.relay
        assert relay is not None
        relay.pid = -1
        relay._fresh()
        monkeypatch.setattr(relay, "start", lambda: None)
        monkeypatch.setattr(relay, "_sleep", self.clock.wait)
        self.relay = relay

    def pass_by(self, seconds: float) -> None:
        """Let the relay work for so many seconds."""
        assert self._runtime.keeper.fold_now(10)
        until = self.clock.now_ns() + round(seconds * SECOND)
        while self.clock.now_ns() < until:
            left = (until - self.clock.now_ns()) / SECOND
            self.clock.wait(min(left, max(1.0, self.relay._turn())))

    def upserts(self) -> int:
        """Return how many upserts were made."""
        return kinds(self.server)["upsert"]

    def end(self) -> AirtableServer:
        """Deliver the rest, and give the clock back."""
        while self.relay.outbox.waiting().rows:
            self.pass_by(5.0)
        self._restore()
        return self.server


@pytest.mark.parametrize(
    ("count", "most"),
    [(60, 2 * 15 + 2), pytest.param(1_000, 200, marks=pytest.mark.slow)],
    ids=["60", "1000"],
)
def test_a_serial_job_takes_an_upsert_for_five_client_runs(
    deliver: Deliver, monkeypatch: pytest.MonkeyPatch, count: int, most: int
) -> None:
    """In an hour; the first minutes take more: two upserts, of client runs and of the job, each 15 s."""
    hour = Hour(deliver, monkeypatch)
    with jobspan.job("serial") as job:
        for number in range(count):
            with job.client(f"client-{number}") as run:
                run.add(posts=number)
                hour.pass_by(3.6)
    server = hour.end()
    print(f"{count} client runs in {count * 3.6:.0f} s: {hour.upserts()} upserts")
    assert hour.upserts() <= most
    assert_equal_to_ledger(server)


def sparse(hour: Hour, minutes: int) -> int:
    """Run a job that works on six clients at a time and tells each minute how far it is."""
    with jobspan.job("sparse") as job:
        for number in range(0, minutes, 12):
            with job.client(f"client-{number}") as run:
                for _ in range(12):
                    run.add(posts=1)
                    hour.pass_by(60.0)
    hour.end()
    return hour.upserts()


@pytest.mark.slow
@pytest.mark.parametrize("minutes", [24, 60])
def test_the_window_widens_as_the_calls_of_the_month_go(
    deliver: Deliver, monkeypatch: pytest.MonkeyPatch, minutes: int
) -> None:
    made: dict[int, int] = {}
    for used in (0, 400, 950):
        hour = Hour(deliver, monkeypatch, f"{used}.db", plan="free")
        hour.relay.outbox.count_calls(used)
        made[used] = sparse(hour, minutes)
        assert_equal_to_ledger(hour.server)
        jobspan.shutdown(0)
    print(f"{minutes} minutes, by calls used of 1,000: {made}")
    assert made[0] >= minutes
    assert made[400] <= made[0] * 0.65
    assert made[950] <= made[400] * 0.6
