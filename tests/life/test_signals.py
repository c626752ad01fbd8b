"""SIGTERM with ``handle_signals=True``: Canceled and folded, then whatever was set up before."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.faults.process import jobs, run, start

WORK = """
with job("a") as j:
    with j.client("x") as r:
        r.add(leads=3)
        with r.operation("step"):
            say("in")
            time.sleep(30)
"""


def terminate(ledger: Path, code: str, **more: str) -> tuple[int, str]:
    """Run `code` until it says that it is in, send SIGTERM, and return exit code and what else it said."""
    with start(ledger, code, **more) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
    return process.returncode, output


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def test_what_is_open_is_canceled_with_its_children_and_the_process_ends_as_told(ledger: Path) -> None:
    code, _ = terminate(ledger, WORK, JOBSPAN_HANDLE_SIGNALS="true")
    assert code == -signal.SIGTERM
    (found,) = jobs(ledger)
    (client,) = found["client_runs"]
    assert (found["status"], client["status"], client["counts"]) == ("Canceled", "Canceled", {"leads": 3})
    assert [op["status"] for op in client["operations"]] == ["Canceled"]
    assert "SIGTERM" in found["system_notes"]


def test_the_handler_there_was_before_is_called(ledger: Path) -> None:
    before = "signal.signal(signal.SIGTERM, lambda *_: (say('mine'), os._exit(7)))\n"
    configure = "jobspan.configure(handle_signals=True)\n"
    assert terminate(ledger, before + configure + WORK) == (7, "mine\n")
    assert jobs(ledger)[0]["status"] == "Canceled"


def test_without_it_a_terminated_process_has_vanished(ledger: Path) -> None:
    code, _ = terminate(ledger, WORK)
    assert code == -signal.SIGTERM
    assert jobs(ledger)[0]["status"] == "Failed"


def test_a_detached_run_goes_on(ledger: Path) -> None:
    work = WORK.replace("r.add(leads=3)", "r.detach()")
    terminate(ledger, work, JOBSPAN_HANDLE_SIGNALS="1")
    assert jobs(ledger)[0]["client_runs"][0]["status"] == "Running"


def test_from_another_thread_nothing_is_set_up_and_health_says_so(ledger: Path) -> None:
    code = """
thread = threading.Thread(target=jobspan.configure, kwargs={"handle_signals": True})
thread.start(); thread.join()
say(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL); say(list(jobspan.health().reasons))
"""
    assert run(ledger, code) == ["True", "['signals']"]
