"""Requests per second, lock-out, quota; time comes from a clock the tests move."""

from __future__ import annotations

import time

import pytest

from .conftest import JOBS, Client, Open


class HandClock:
    """Seconds that move when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def statuses(client: Client, clock: HandClock, gaps: list[float]) -> list[int]:
    found: list[int] = []
    for gap in gaps:
        clock.now += gap
        found.append(client.on("GET", JOBS).status)
    return found


def test_the_sixth_request_in_a_second_locks_the_base_for_30_seconds(opened: Open) -> None:
    clock = HandClock()
    server, client = opened(rate_limit=5, clock=clock)
    assert statuses(client, clock, [0.0] * 6) == [200] * 5 + [429]
    body = client.on("GET", JOBS)
    assert body.json == {
        "errors": [{"error": "RATE_LIMIT_REACHED", "message": "Rate limit exceeded. Please try again later"}]
    }
    assert "retry-after" not in body.headers
    assert statuses(client, clock, [29.9, 0.2]) == [429, 200]
    assert server.rate_limited == 3
    assert server.busiest_second == 7


def test_the_window_slides_strictly(opened: Open) -> None:
    clock = HandClock()
    _, client = opened(rate_limit=5, clock=clock)
    assert statuses(client, clock, [0, 0.9, 0, 0, 0]) == [200] * 5
    assert statuses(client, clock, [0.11, 0.1]) == [200, 429]


@pytest.mark.parametrize(("gap", "refused"), [(0.25, 0), (0.201, 0), (0.199, 1)])
def test_a_steady_pace_is_let_through_up_to_the_rate(opened: Open, gap: float, refused: int) -> None:
    clock = HandClock()
    clock.now = 0.0
    _, client = opened(rate_limit=5, clock=clock)
    found: list[int] = []
    for step in range(40):
        clock.now = round(step * gap, 6)
        found.append(client.on("GET", JOBS).status)
    assert (429 in found) is bool(refused)


def test_every_request_to_the_base_counts_and_other_bases_do_not(opened: Open) -> None:
    clock = HandClock()
    server, client = opened(rate_limit=5, clock=clock)
    other = server.add_base(seeded=True)
    assert client.send("GET", f"meta/bases/{server.base_id}/tables").status == 200
    assert client.on("GET", "Nothing").status == 403
    assert client.create(JOBS, Nothing=1).status == 422
    assert statuses(client, clock, [0, 0, 0]) == [200, 200, 429]
    assert client.upsert(JOBS, {"Run ID": "a"}).status == 429
    assert client.send("GET", f"{other.id}/{JOBS}").status == 200
    assert client.send("GET", "meta/whoami").status == 200
    assert server.rows(JOBS) == []
    server.release_limits()
    assert client.on("GET", JOBS).status == 200


def test_a_revoked_token_is_told_so_and_takes_no_room(opened: Open) -> None:
    clock = HandClock()
    server, client = opened(rate_limit=5, clock=clock)
    server.revoke()
    assert statuses(client, clock, [0] * 9) == [401] * 9
    server.restore()
    assert statuses(client, clock, [0] * 6) == [200] * 5 + [429]


def test_a_user_has_50_requests_a_second_over_all_bases(opened: Open) -> None:
    clock = HandClock()
    server, client = opened(rate_limit=None, user_rate_limit=50, clock=clock)
    assert statuses(client, clock, [0] * 51) == [200] * 50 + [429]
    client.token = server.add_token()
    assert client.on("GET", JOBS).status == 200


def test_retry_after_is_sent_when_wanted(opened: Open) -> None:
    clock = HandClock()
    _, client = opened(rate_limit=1, lockout_seconds=12, retry_after=True, clock=clock)
    assert statuses(client, clock, [0, 0]) == [200, 429]
    clock.now += 4
    assert client.on("GET", JOBS).headers["retry-after"] == "8"


def test_a_used_up_quota_refuses_data_but_not_metadata(opened: Open) -> None:
    server, client = opened(monthly_quota=3)
    client.send("GET", f"meta/bases/{server.base_id}/tables")
    assert [client.on("GET", JOBS).status for _ in range(4)] == [200, 200, 200, 429]
    assert client.on("GET", JOBS).error == "PUBLIC_API_BILLING_LIMIT_EXCEEDED"
    assert client.send("GET", f"meta/bases/{server.base_id}/tables").status == 200
    server.limits.monthly_quota = None
    assert client.on("GET", JOBS).status == 200


def test_a_short_lockout_passes_in_real_time(opened: Open) -> None:
    _, client = opened(rate_limit=1, lockout_seconds=0.3)
    assert [client.on("GET", JOBS).status for _ in range(2)] == [200, 429]
    time.sleep(1.1)  # the window of one second must pass too
    assert client.on("GET", JOBS).status == 200


def test_the_server_takes_300_requests_a_second_without_limits(opened: Open) -> None:
    _, client = opened()
    rows = [{"Run ID": str(number)} for number in range(10)]
    best = 0.0
    for _ in range(20):  # the best of some: other tests share the machine
        if best >= 300:
            break
        started = time.perf_counter()
        for _ in range(60):
            assert client.upsert(JOBS, *rows).status == 200
        best = max(best, 60 / (time.perf_counter() - started))
    assert best >= 300
