"""`jobspan cancel` reaches the work through the ledger."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import jobspan
from jobspan import RunCanceled, _clock, _runtime, job
from jobspan._delivery import BY_A_PERSON
from jobspan.ledger.cancel import request_cancel, requests
from tests.cli.conftest import ENTRY
from tests.conftest import Fresh
from tests.faults.process import jobs, run, start
from tests.program import run_python

WORK = """
with job("a") as j:
    for r in j.clients(["x", "y"]):
        with r:
            say(j.run_id)
            while True:
                time.sleep(0.02)
                r.checkpoint()
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def cancel(ledger: Path, run_id: str, code: int = 0) -> str:
    done = run_python(["-c", ENTRY, "cancel", run_id], ledger.parent)
    assert done.returncode == code, done.stderr
    return done.stdout


@pytest.mark.parametrize("whose", ["", "-x"])
def test_a_live_run_stops_at_its_next_checkpoint(ledger: Path, whose: str) -> None:
    with start(ledger, WORK) as process:
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        assert "is asked to stop" in cancel(ledger, run_id + whose)
        asked = time.monotonic()
        process.communicate(timeout=30)
        assert time.monotonic() - asked < 8  # about 1 s on a quiet machine
    (found,) = jobs(ledger)
    assert (found["status"], found["client_runs"][0]["status"]) == ("Canceled", "Canceled")
    assert [client["client_id"] for client in found["client_runs"]] == ["x"]


def test_a_detached_run_is_canceled_at_once(ledger: Path) -> None:
    code = 'with job("a") as j, j.client("x") as r: r.detach(); say(j.run_id)'
    (run_id,) = run(ledger, code)
    cancel(ledger, run_id)
    (found,) = jobs(ledger)
    assert (found["status"], found["client_runs"][0]["status"]) == ("Canceled", "Canceled")


def test_what_has_ended_stays_as_it_is(ledger: Path) -> None:
    (run_id,) = run(ledger, 'with job("a") as j: say(j.run_id)')
    assert "has ended before: Completed" in cancel(ledger, run_id)
    assert jobs(ledger)[0]["status"] == "Completed"


def test_a_run_that_is_not_there_is_told(ledger: Path) -> None:
    run(ledger, 'with job("a"): pass')
    assert cancel(ledger, "260101-000000", code=1) == ""


def test_a_request_from_before_a_further_attempt_is_not_about_it(fresh: Fresh) -> None:
    with job("a") as j:
        uid = j.uid
        request_cancel(_runtime.runtime().ledger, uid, "canceled by a test")
        asked = requests(_runtime.runtime().ledger)
        j.asked_since_ns = _clock.now_ns()
        j.cancel_requested(asked)
        j.checkpoint()
        j.asked_since_ns = 0
        j.cancel_requested(asked)
        with pytest.raises(RunCanceled, match="canceled by a test"):
            j.checkpoint()


def test_requests_about_what_has_ended_are_forgotten_after_a_week(
    fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = _runtime.runtime().ledger
    with job("a") as ended:
        request_cancel(ledger, ended.uid, "too late")
    with job("b") as running:
        request_cancel(ledger, running.uid, "wait")
        jobspan.flush(10)
        now = _clock.now_ns()
        monkeypatch.setattr(_clock, "now_ns", lambda: now + 8 * 24 * 3600 * 10**9)
        ledger.tidy()
        assert list(requests(ledger)) == [running.uid]


def test_a_person_cancels_what_waits_for_others_as_well(fresh: Fresh) -> None:
    with job("a") as j:
        with j.client("x") as r:
            r.detach(external_id="E")
        j.expect(2)
    jobspan.flush(10)
    request_cancel(_runtime.runtime().ledger, j.uid, BY_A_PERSON)
    found = fresh.job()
    assert (found.status, found.client_runs[0].status) == ("Canceled", "Canceled")
    assert BY_A_PERSON in found.client_runs[0].system_notes
