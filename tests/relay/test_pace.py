"""The pace of requests as the base sees it: 250 ms from one leaving to the next, and none of it lost."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

import jobspan
from jobspan import _clock
from jobspan.ledger.outbox import Outbox
from jobspan.relay.pace import Pace, Timing
from tests.relay.conftest import Deliver
from tests.relay.support import batch, settings


class Simulated:
    """A clock that stands still but for waits, and for what making a request takes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr(_clock, "monotonic", lambda: self.now)
        monkeypatch.setattr(_clock, "sleep", self.sleep)

    def sleep(self, seconds: float) -> bool:
        self.now += seconds
        return False


def test_what_making_a_request_takes_is_not_lost_between_two(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Simulated(monkeypatch)
    pace = Pace(Timing())
    left: list[float] = []
    for takes in (0.0, 0.015, 0.001, 0.049, 0.0, 0.08, 0.0, 0.01):
        assert pace.wait(clock.sleep)
        clock.sleep(takes)
        pace.leave()
        left.append(clock.now)
        clock.sleep(0.001)
        pace.left()
        clock.sleep(0.03)  # the answer comes
    spaces = [later - earlier for earlier, later in pairwise(left)]
    late = spaces.pop(4)
    assert spaces == pytest.approx([0.251] * 6)
    assert late == pytest.approx(0.251 + 0.03)


def test_no_two_requests_leave_closer_than_250_ms(deliver: Deliver, monkeypatch: pytest.MonkeyPatch) -> None:
    server = deliver(timing=Timing())
    delays = iter([0.0, 0.015, 0.0, 0.012, 0.001] * 100)
    count = Outbox.count_calls

    def late(self: Outbox, calls: int) -> None:
        time.sleep(next(delays))  # a busy disk, a lease to be renewed, a long text to be written down
        count(self, calls)

    monkeypatch.setattr(Outbox, "count_calls", late)
    begun: list[float] = []
    ended: list[float] = []
    leave, left = Pace.leave, Pace.left
    monkeypatch.setattr(Pace, "leave", lambda self: (leave(self), begun.append(time.monotonic())))
    monkeypatch.setattr(Pace, "left", lambda self: (ended.append(time.monotonic()), left(self)))
    batch(60)
    assert jobspan.flush(30)
    gaps = [later - earlier for earlier, later in zip(ended, begun[1:], strict=False)]
    assert len(gaps) == len(server.requests) - 1 >= 8
    assert min(gaps) >= 0.249, "a server on a busy machine may look at one late, and at the next sooner"
    assert all(seen.at >= moment for seen, moment in zip(server.requests, begun, strict=True))
    assert (server.rate_limited, server.busiest_second <= 5) == (0, True)


def test_a_sender_that_takes_over_from_another_waits_first(deliver: Deliver, fresh: Path) -> None:
    server = deliver(timing=replace(Timing(), spacing=1.0))
    batch(1)
    assert jobspan.flush(20)
    made, last = len(server.requests), server.requests[-1].at
    jobspan.configure(
        ledger=fresh / "ledger.db", airtable=settings(server)
    )  # the lease was given back just now
    batch(1)
    assert jobspan.flush(20)
    assert server.requests[made].at - last > 0.98


def test_a_sender_waits_first_only_as_long_as_another_may_have_sent() -> None:
    timing = Timing(spacing=60.0)
    assert Pace(timing, rested=60.0).wait(lambda _: True)
    assert not Pace(timing, rested=1.0).wait(lambda _: True)
