"""The relay's parts by themselves: pace, verdict, lease, plan, and what the fold leaves dirty."""

from __future__ import annotations

import threading
import time
from datetime import UTC
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import jobspan
from jobspan import _clock
from jobspan._guard import guard
from jobspan.exceptions import DeliveryError
from jobspan.journal.writer import JournalWriter
from jobspan.ledger.leasing import lease_of
from jobspan.ledger.ledger import Ledger
from jobspan.ledger.outbox import Outbox
from jobspan.ledger.reading import LedgerReader
from jobspan.model.delivery import Delivery
from jobspan.model.event import write_event
from jobspan.relay.lease import HeldLease
from jobspan.relay.pace import Pace, Timing, backoff, linger_seconds
from jobspan.relay.plan import changes
from jobspan.relay.verdict import Action, judge
from tests.relay.conftest import Deliver
from tests.relay.support import batch

TIMING = Timing()


def slept(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def test_requests_are_spaced_and_time_not_used_gives_no_burst() -> None:
    pace = Pace(Timing(spacing=0.05))
    starts: list[float] = []
    for number in range(6):
        if number == 3:
            time.sleep(0.3)
        assert pace.wait(slept)
        pace.leave()
        starts.append(time.monotonic())
        pace.left()
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert min(gaps) >= 0.049


def test_a_wait_of_which_no_request_came_is_as_long_as_any() -> None:
    pace = Pace(Timing(spacing=0.1))
    started = time.monotonic()
    for _ in range(5):
        assert pace.wait(slept)
    assert time.monotonic() - started >= 4 * 0.08


def test_an_interrupted_wait_starts_no_request() -> None:
    assert not Pace(Timing(spacing=60)).wait(lambda _: True)


@given(st.integers(0, 100), st.floats(0.01, 10), st.floats(1, 100))
def test_a_backoff_grows_and_is_bounded(failures: int, first: float, most: float) -> None:
    assert 0 < backoff(failures, first, most) <= most * 1.25


@given(st.integers(0, 10**7), st.one_of(st.none(), st.integers(1, 10**6)))
def test_the_linger_is_never_below_its_least_nor_beyond_a_quarter_of_an_hour(
    calls: int, budget: int | None
) -> None:
    assert TIMING.linger <= linger_seconds(TIMING, calls, budget) <= 900


def test_the_linger_widens_as_the_budget_goes() -> None:
    spent = [linger_seconds(TIMING, calls, 1_000) for calls in (0, 1_100, 1_500, 5_000)]
    assert spent == sorted(spent)
    assert spent[0] == 15
    assert spent[-1] > 60


@pytest.mark.parametrize(
    ("status", "kind", "outcome", "action"),
    [
        (None, "ConnectionError", "not_sent", Action.WAIT),
        (None, "ConnectionError", "unknown", Action.HOLD),
        (None, "ReadTimeout", "unknown", Action.HOLD),
        (200, "JSONDecodeError", "unknown", Action.HOLD),
        (500, "HTTP_500", "unknown", Action.HOLD),
        (502, "HTTP_502", "unknown", Action.HOLD),
        (503, "RETRIABLE_ERROR", "unknown", Action.HOLD),
        (429, "RATE_LIMIT_REACHED", "refused", Action.BLOCK),
        (429, "PUBLIC_API_BILLING_LIMIT_EXCEEDED", "refused", Action.BLOCK),
        (401, "AUTHENTICATION_REQUIRED", "refused", Action.STOP),
        (403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND", "refused", Action.STOP),
        (404, "NOT_FOUND", "refused", Action.STOP),
        (413, "REQUEST_ENTITY_TOO_LARGE", "refused", Action.SPLIT),
        (422, "UNKNOWN_FIELD_NAME", "refused", Action.LEARN),
        (422, "INVALID_VALUE_FOR_COLUMN", "refused", Action.LEARN),
        (422, "INVALID_MULTIPLE_CHOICE_OPTIONS", "refused", Action.LEARN),
        (422, "ROW_DOES_NOT_EXIST", "refused", Action.LEARN),
        (422, "INVALID_RECORDS", "refused", Action.SPLIT),
        (422, "RECORD_LIMIT_EXCEEDED", "refused", Action.STOP),
        (418, "HTTP_418", "refused", Action.SPLIT),
    ],
)
def test_each_failure_has_its_verdict(status: int | None, kind: str, outcome: str, action: Action) -> None:
    verdict = judge(DeliveryError("PATCH", status, kind, "why", outcome=outcome), TIMING)
    assert verdict.action is action
    if "BILLING" in kind:
        assert verdict.seconds >= 3600
    elif status == 429:
        assert verdict.seconds >= 30
    if kind == "ReadTimeout":
        assert verdict.seconds >= 60


def test_a_longer_retry_after_wins_over_our_own() -> None:
    error = DeliveryError("PATCH", 429, "RATE_LIMIT_REACHED", "", retry_after=77.0)
    assert judge(error, TIMING).seconds == 77.0


def ledger(home: Path) -> Ledger:
    return Ledger(home / "ledger.db", lambda _: None, UTC)


def test_one_holder_has_the_lease_and_each_takeover_raises_the_fence(tmp_path: Path) -> None:
    timing = Timing(lease=0.3, renew=0.05)
    one, two = (HeldLease(ledger(tmp_path), "base", name, timing) for name in ("one", "two"))
    assert one.take()
    assert not two.take()
    fence = one.fence
    for _ in range(4):
        time.sleep(0.1)
        one.renew()
        assert not two.take()
    assert one.is_still(fence)
    time.sleep(0.4)
    assert two.take()
    assert two.fence == fence + 1
    assert not one.is_still(fence)
    two.give_back()
    assert one.take()
    assert one.fence == fence + 2
    assert not one.is_still(fence)


def test_of_many_takers_at_once_one_gets_the_lease(tmp_path: Path) -> None:
    shared = ledger(tmp_path)
    leases = [HeldLease(shared, "base", f"holder-{n}", TIMING) for n in range(8)]
    taken: list[bool] = []
    threads = [threading.Thread(target=lambda each=each: taken.append(each.take())) for each in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [False] * 7 + [True]
    held = lease_of(shared, "base")
    assert held is not None
    assert held[1] == 1


CELLS = st.dictionaries(
    st.sampled_from(["status", "posts", "error"]), st.sampled_from([None, 0, 1, -7, "", "Running", "é🙂"])
)


@given(CELLS, CELLS)
def test_what_was_sent_plus_the_changes_is_what_is_wanted(
    known: dict[str, object], wanted: dict[str, object]
) -> None:
    given = ("r", "j", "c", 2, 1, "Completed", "Running", False, "due", 0, "rec1", None, 0, None, 0, 0, 0)
    delivery = Delivery(*given, dict(known))
    sent = changes(delivery, wanted)
    assert {**known, **sent} | wanted == {**known, **sent}
    assert all(known.get(name, "nothing") != value for name, value in sent.items())


def test_client_runs_folded_before_their_job_named_its_destination_are_shown_too(tmp_path: Path) -> None:
    own = ledger(tmp_path)
    journal = JournalWriter(own.place, lambda: write_event({"e": "process", "process": "ab" * 8, "v": 1}))
    job, client = "11" * 12, "22" * 12
    now = _clock.now_ns()
    journal.append(
        f'{{"w":"{client}","q":0,"t":{now},"e":"open","kind":"c","job":"{job}","name":"A","client":"A"}}'
    )
    own.fold(seconds=5)
    outbox = Outbox(own, "airtable:appX")
    assert outbox.waiting().rows == 0
    journal.append(
        f'{{"w":"{job}","q":0,"t":{now},"e":"open","kind":"j","job":"{job}","name":"late",'
        f'"id":"260101-000000","to":["airtable:appX"]}}'
    )
    own.fold(seconds=5)
    assert outbox.waiting().rows == 2
    journal.close()
    own.close()


def test_calls_are_counted_and_a_block_is_seen_by_others(tmp_path: Path) -> None:
    one, two = (Outbox(ledger(tmp_path), "airtable:appX") for _ in range(2))
    one.count_calls(3)
    two.count_calls(2)
    assert one.calls() == two.calls() == 5
    one.block(60, "too many requests")
    until_ns, why = two.blocked()
    assert until_ns > _clock.now_ns() + 50e9
    assert why == "too many requests"


def test_a_run_nobody_can_render_is_parked_and_the_others_arrive(
    deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = deliver()
    guard.strict = False
    record = LedgerReader.record

    def broken(self: LedgerReader, uid: str, *args: object, **more: object) -> object:
        if uid.endswith("/client-3"):
            raise ArithmeticError("nobody can render this")
        return record(self, uid, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(LedgerReader, "record", broken)
    batch(12)
    assert not jobspan.flush(10)
    there = {row["Client ID"] for row in server.rows("Client Run Results")}
    assert there == {f"client-{n}" for n in range(12)} - {"client-3"}
    assert jobspan.health().pending == 1
    assert any("outbox.record" in reason for reason in jobspan.health().reasons)
