from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from jobspan import _clock
from jobspan.journal import Place, RunIdClaims
from tests.journal.observing import SOURCE

NOON = 1_764_000_000


def render(second: int, zone: timezone = UTC) -> str:
    return datetime.fromtimestamp(second, zone).strftime("%y%m%d-%H%M%S")


@pytest.fixture
def claims(place: Place) -> RunIdClaims:
    return RunIdClaims(place, budget_seconds=10)


def test_a_free_second_is_claimed(place: Place, claims: RunIdClaims) -> None:
    assert claims.claim(NOON, render) == render(NOON)
    for path in place.claims.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (place.claims / str(NOON)).exists()


def test_a_taken_second_moves_on_to_the_next_free_one(place: Place, claims: RunIdClaims) -> None:
    other = RunIdClaims(place)
    assert other.claim(NOON + 1, render) == render(NOON + 1)
    assert [claims.claim(NOON, render) for _ in range(3)] == [render(NOON + n) for n in (0, 2, 3)]
    assert claims.claim(NOON + 2, render) == render(NOON + 4)


def test_an_earlier_free_second_is_taken_as_it_is(claims: RunIdClaims) -> None:
    assert claims.claim(NOON, render) == render(NOON)
    assert claims.claim(NOON - 100, render) == render(NOON - 100)
    assert claims.claim(NOON, render) == render(NOON + 1)


def test_eight_processes_get_a_thousand_ids(place: Place) -> None:
    code = f"""
import sys
from datetime import UTC, datetime
from pathlib import Path
from jobspan.journal import Place, RunIdClaims
claims = RunIdClaims(Place(Path(sys.argv[1])), budget_seconds=30)
sys.stdin.read()
for _ in range(125):
    print(claims.claim({NOON}, lambda s: datetime.fromtimestamp(s, UTC).strftime("%y%m%d-%H%M%S")))
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(place.ledger)],
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    ids: list[str] = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    for process in processes:
        assert process.stdout is not None
        ids.extend(process.stdout.read().split())
        process.stdout.close()
        assert process.wait() == 0
    assert len(ids) == 1000
    assert set(ids) == {render(NOON + n) for n in range(1000)}


def test_threads_get_distinct_ids(claims: RunIdClaims) -> None:
    ids: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: ids.extend([claims.claim(NOON, render) for _ in range(50)]))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 400
    assert None not in ids


def test_the_same_text_is_never_given_twice(place: Place, claims: RunIdClaims) -> None:
    """Clocks set back at the end of summer time, or another zone, bring a text again."""
    summer, winter = timezone(timedelta(hours=2)), timezone(timedelta(hours=1))
    first = claims.claim(NOON, lambda second: render(second, summer))
    again = RunIdClaims(place).claim(NOON + 3600, lambda second: render(second, winter))
    assert first == render(NOON, summer) == render(NOON + 3600, winter)
    assert again == render(NOON + 3601, winter)
    assert RunIdClaims(place).claim(NOON, lambda second: render(second, winter)) == render(NOON + 1, winter)


def test_an_hour_that_is_full_gives_none(place: Place, claims: RunIdClaims) -> None:
    place.prepare()
    for second in range(NOON, NOON + 3600):
        (place.claims / str(second)).touch()
    assert claims.claim(NOON, render) == render(NOON + 3600)
    assert claims.claim(NOON, render) is None
    assert RunIdClaims(place, budget_seconds=10).claim(NOON + 3601, render) == render(NOON + 3601)


@pytest.mark.parametrize("text", ["../../etc/x", "a/b", "x" * 300, "", "\0", "é\ud800", "id-1", "1764000000"])
def test_any_text_is_claimed_without_leaving_the_folder(
    place: Place, claims: RunIdClaims, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobspan.journal.claim._AHEAD_SECONDS", 60)  # each second tried is a file made
    assert claims.claim(NOON, lambda second: text) == text
    assert len(list(place.claims.iterdir())) == 2
    assert RunIdClaims(place, budget_seconds=10).claim(NOON, lambda second: text) is None


def test_after_a_failure_there_is_no_claim_for_half_a_minute(
    place: Place, claims: RunIdClaims, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.root.write_text("no folder")
    assert claims.claim(NOON, render) is None
    place.root.unlink()
    started = time.thread_time()
    assert claims.claim(NOON, render) is None
    assert time.thread_time() - started < 0.01
    assert not place.root.exists()
    later = _clock.monotonic() + 31
    monkeypatch.setattr(_clock, "monotonic", lambda: later)
    assert claims.claim(NOON, render) == render(NOON)


def test_a_slow_folder_gives_none(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    claims, clock = RunIdClaims(place), [0.0]
    place.prepare()
    for second in range(NOON, NOON + 10):
        (place.claims / str(second)).touch()

    def slow() -> float:
        clock[0] += 0.03
        return clock[0]

    monkeypatch.setattr(_clock, "monotonic", slow)
    assert claims.claim(NOON, render) is None
    assert claims.claim(NOON + 100, render) is None  # at once
    clock[0] += 31
    assert claims.claim(NOON + 100, render) == render(NOON + 100)  # a slow claim that succeeds is taken


def test_old_claims_are_cleared_away(place: Place, claims: RunIdClaims) -> None:
    assert claims.prune(0) == 0
    for second in (NOON, NOON + 1):
        claims.claim(second, render)
    os.utime(place.claims / str(NOON), (1, 1))
    assert claims.prune(24 * 3600) == 1
    assert len(list(place.claims.iterdir())) == 3


def test_a_claim_after_the_folder_was_deleted_makes_it_again(place: Place, claims: RunIdClaims) -> None:
    claims.claim(NOON, render)
    for path in place.claims.iterdir():
        path.unlink()
    place.claims.rmdir()
    assert claims.claim(NOON, render) == render(NOON + 1)
