"""`jobspan cancel` reaches the work through the ledger."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.cli.conftest import ENTRY
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
