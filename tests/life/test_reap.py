"""`jobspan reap` closes what nobody else will, and says what."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.cli.conftest import ENTRY
from tests.faults.process import run, start
from tests.program import run_python

KILLED = """
with job("nightly") as j:
    with j.client("done"): pass
    with j.client("Guy-Wilson") as r:
        r.add(leads=1)
        say(j.run_id)
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def reap(ledger: Path, *options: str) -> str:
    done = run_python(["-c", ENTRY, "reap", *options], ledger.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_runs_of_a_killed_process_are_closed_and_named_once(ledger: Path) -> None:
    (run_id,) = run(ledger, KILLED, status=-9)
    lines = reap(ledger).splitlines()
    assert [line.split("  ")[:2] for line in lines] == [
        [run_id, "Failed"],
        [f"{run_id}-Guy-Wilson", "Failed"],
    ]
    assert all("process ended without finishing (last seen 20" in line for line in lines)
    assert reap(ledger) == "Nothing to close.\n"


def test_a_detached_run_past_its_deadline_is_closed_with_its_job(ledger: Path) -> None:
    code = 'with job("a") as j, j.client("x") as r: r.detach(deadline=0.2); say(j.run_id)'
    (run_id,) = run(ledger, code, JOBSPAN_EXIT_FLUSH="0")
    time.sleep(0.25)
    found = json.loads(reap(ledger, "--json"))
    assert [(one["run_id"], one["status"]) for one in found] == [
        (run_id, "Timed_out"),
        (f"{run_id}-x", "Timed_out"),
    ]
    assert found[1]["why"] == "DeadlineExceeded: its deadline passed"


def test_what_runs_and_what_ended_by_itself_is_left_alone(ledger: Path) -> None:
    code = 'with job("b"): pass\nwith job("a") as j:\n with j.client("x"): say("in"); sys.stdin.readline()'
    with start(ledger, code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        assert reap(ledger) == "Nothing to close.\n"
        assert json.loads(reap(ledger, "--json")) == []
        process.communicate("go on\n", timeout=60)
    assert reap(ledger) == "Nothing to close.\n"
