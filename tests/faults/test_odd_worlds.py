"""Odd worlds: greenlets, subinterpreters, stalled disks, file systems of other machines, clocks that jump."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from pathlib import Path

import pytest

import jobspan
from jobspan import _clock, job
from jobspan.journal import mapping, mount
from jobspan.ledger import connection
from tests.conftest import Fresh
from tests.faults.process import jobs, run

HOUR_NS = 3600 * 1_000_000_000


def test_greenlets_are_told_apart_like_threads(tmp_path: Path) -> None:
    pytest.importorskip("gevent")
    code = """
import gevent
with job("web") as j:
    def serve(number):
        with j.client(f"c{number % 5}") as r:
            for _ in range(10):
                r.add(leads=1)
                gevent.sleep(0.001)
                assert jobspan.current_run() is r
                with operation("step") as op: gevent.sleep(0); op.note("here")
    gevent.joinall([gevent.spawn(jobspan.wrap(serve), n) for n in range(20)], raise_error=True)
say(jobspan.flush(10))
"""
    ledger = tmp_path / "ledger.db"
    assert run(ledger, "from gevent import monkey; monkey.patch_all()\n" + code) == ["True"]
    (found,) = jobs(ledger)
    assert (found["status"], found["items_processed"]) == ("Completed", 200)
    assert [client["counts"] for client in found["client_runs"]] == [{"leads": 40}] * 5


def test_a_subinterpreter_does_no_harm_and_what_it_records_is_kept(tmp_path: Path) -> None:
    name = "_xxsubinterpreters" if sys.version_info < (3, 13) else "_interpreters"
    pytest.importorskip(name)
    code = f"""
import {name} as interpreters
inner = '''
import sys; sys.path[:] = PATH
import jobspan
with jobspan.job("inside") as j, j.client("x") as r: r.add(leads=2)
'''.replace("PATH", repr(sys.path))
with job("outside") as j:
    with j.client("x") as r: r.add(leads=1)
    made = interpreters.create(*([] if sys.version_info < (3, 13) else ["legacy"]))
    try:
        failed = interpreters.run_string(made, inner)
        say("ran" if failed is None else "refused")
    except Exception as error:
        say("refused")  # some library cannot be loaded twice: that is Python's to say
    with j.client("y") as r: r.add(leads=1)
"""
    ledger = tmp_path / "ledger.db"
    (how,) = run(ledger, code)
    found = {each["job_type"]: (each["status"], each["items_processed"]) for each in jobs(ledger)}
    assert found.pop("outside") == ("Completed", 2)
    assert found in ([{"inside": ("Completed", 2)}] if how == "ran" else [{}, {"inside": ("Completed", 2)}])


STALLED = """
stalls = threading.Event()
real = os.write
def stalling(fd, data):
    if threading.current_thread().name == "unlucky" and not stalls.is_set():
        stalls.set()
        time.sleep(1.0)
    return real(fd, data)
def refuse(*_): raise OSError(95, "not supported")  # no mapping: each event is a system call
os.write, os.posix_fallocate = stalling, refuse
with job("a") as j:
    def unlucky():
        with j.client("unlucky") as r: r.add(leads=1)
    with j.client("before") as r: r.add(leads=1)
    thread = threading.Thread(target=unlucky, name="unlucky")
    thread.start()
    stalls.wait(10)
    before = time.monotonic()
    with j.client("others") as r:
        for _ in range(200): r.add(leads=1)
    say(time.monotonic() - before); say(thread.is_alive())
    thread.join()
"""


def test_a_write_the_disk_holds_up_holds_up_nobody_else(tmp_path: Path) -> None:
    took, others_were_first = run(tmp_path / "ledger.db", STALLED)
    assert float(took) < 0.8
    assert others_were_first == "True"
    (found,) = jobs(tmp_path / "ledger.db")
    assert (found["status"], found["items_processed"]) == ("Completed", 202)


@pytest.fixture
def other_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the system say that all temporary folders are on NFS."""
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 {os.major(device)}:{os.minor(device)} / / rw shared:1 - nfs4 host:/export rw\n")
    monkeypatch.setattr(mount, "MOUNTS", str(mounts))
    monkeypatch.setattr(mapping, "_safe_devices", {})
    monkeypatch.setattr(connection, "_told_of", set())


@pytest.mark.usefixtures("other_machine")
def test_on_a_file_system_of_other_machines_there_is_no_wal_and_a_word_about_it(fresh: Fresh) -> None:
    ledger = fresh.folder / "shared.db"
    fresh.configure(ledger=ledger)
    with job("a") as j, j.client("x") as r:
        r.add(leads=1)
    assert jobspan.flush(10)
    assert sqlite3.connect(ledger).execute("PRAGMA journal_mode").fetchone() == ("delete",)
    health = jobspan.health()
    assert health.reasons == {"ledger.network": 1}
    assert "is on nfs4" in str(health.last_error)
    run(ledger, "with job('b') as j, j.client('x') as r: r.add(leads=2)")
    assert sorted(each["items_processed"] for each in jobs(ledger)) == [1, 2]


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_jumps_changes_no_duration_and_is_told(
    fresh: Fresh, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    before = _clock.use(_clock.Clock())
    try:
        real = time.time_ns
        with job("a") as j, j.client("x") as r:
            r.add(leads=1)
            time.sleep(0.05)
            monkeypatch.setattr(time, "time_ns", lambda: real() + hours * HOUR_NS)
            with r.operation("step"), job("b") as later, later.client("x"):
                pass
        first, second = fresh.job("a"), fresh.job("b")
    finally:
        _clock.use(before)
    for record in (first, *first.client_runs, *first.client_runs[0].operations, second):
        assert record.end_time is not None
        assert 0 <= (record.end_time - record.start_time).total_seconds() < 30, "measured by a steady clock"
    assert f"the clock of this machine was moved by {hours * 3600:+d} s" in (second.system_notes or "")
    moved = (second.start_time - first.start_time).total_seconds()
    assert abs(moved - hours * 3600) < 30, "the next job follows the wall clock"
    assert j.run_id != later.run_id
    assert jobspan.health().ok
