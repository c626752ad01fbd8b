"""Who is dead, who only looks so, and what forks and exits leave behind."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from jobspan.journal import Place, encode
from tests.faults.process import jobs, run, start

FOREIGN = {"boot_id": "another", "pid_namespace": "another", "host": "elsewhere", "platform": "linux"}

OPEN = """
j = job("left").__enter__()
c = j.client("a").__enter__()
c.add(leads=3)
"""


def only(ledger: Path) -> dict[str, Any]:
    (job,) = jobs(ledger)
    return job


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("os._exit(7)", 7),
        ("os.kill(os.getpid(), signal.SIGKILL)", -9),
        ("os.kill(os.getpid(), signal.SIGTERM)", -15),
        ("os.abort()", -6),
    ],
)
def test_what_a_dead_process_left_open_is_failed(ledger: Path, end: str, status: int) -> None:
    run(ledger, OPEN + end, status=status)
    job = only(ledger)
    assert job["status"] == "Failed"
    assert job["client_runs"][0]["status"] == "Failed"
    assert job["client_runs"][0]["leads_processed"] == 3
    assert "process ended without finishing (last seen" in job["system_notes"]


@pytest.mark.parametrize("fork", ["os.fork()", "ctypes.CDLL(None).fork()"])
def test_a_child_that_lives_on_does_not_keep_its_parent_alive(ledger: Path, fork: str) -> None:
    code = f"""{OPEN}
import pathlib
if {fork} == 0:
    time.sleep(20)
    os._exit(0)
old = time.time() - 60
os.utime(runtime().journal.path, (old, old))
os._exit(0)
"""
    process = start(ledger, code)
    process.wait()
    assert only(ledger)["status"] == "Failed"
    process.kill()
    for pipe in (process.stdin, process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()


class Elsewhere:
    """A journal whose owner cannot be looked at; its lock is held here in its place."""

    def __init__(self, ledger: Path, **identity: object) -> None:
        import fcntl

        place = Place(ledger)
        place.prepare()
        self.path = place.journal / "1-1-abcd-000001.j"
        self.fd = os.open(self.path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        fcntl.flock(self.fd, fcntl.LOCK_EX)
        self.number = 0
        now = time.time_ns() - 3600 * 10**9
        header = {"e": "process", "process": "p1", "uid": "p1", "pid": 1, "start": 5, **FOREIGN, **identity}
        self.write(header)
        self.write({"e": "open", "kind": "j", "job": "j1", "name": "far", "id": "250101-000000", "t": now})

    def write(self, event: dict[str, Any]) -> None:
        os.write(self.fd, encode(json.dumps({"w": "j1", "q": self.number, "t": time.time_ns(), **event})))
        self.number += event["e"] != "process"

    def be_silent(self, seconds: float) -> None:
        then = time.time() - seconds
        os.utime(self.path, (then, then))


def test_a_process_elsewhere_is_given_up_after_silence_and_takes_itself_back(ledger: Path) -> None:
    owner = Elsewhere(ledger)
    assert only(ledger)["status"] == "Running"
    owner.be_silent(14 * 60)
    assert only(ledger)["status"] == "Running"
    owner.be_silent(16 * 60)
    assert only(ledger)["status"] == "Failed"
    owner.write({"e": "add", "c": {"leads": 2}})
    assert only(ledger)["status"] == "Running"
    owner.write({"e": "close", "how": "ok"})
    assert only(ledger)["status"] == "Completed"
    os.close(owner.fd)
    assert only(ledger)["status"] == "Completed"


def test_a_reused_pid_is_another_process(ledger: Path) -> None:
    from jobspan.journal.identity import current

    about = {**current().as_dict(), "uid": "p1"}
    owner = Elsewhere(ledger, **{**about, "start": current().start - 1})
    owner.be_silent(60)
    assert only(ledger)["status"] == "Failed"
    os.close(owner.fd)


def test_blocks_in_exit_handlers_are_recorded(ledger: Path) -> None:
    code = """
import atexit
def late():
    with job("late") as j:
        with j.client("a") as c: c.add(leads=1)
atexit.register(late)
with job("before"): pass
"""
    run(ledger, "import atexit\n" + code)
    early = """
import atexit
def late():
    import jobspan
    with jobspan.job("early") as j:
        with j.client("a") as c: c.add(leads=1)
atexit.register(late)
import jobspan
with jobspan.job("before"): pass
"""
    import subprocess
    import sys

    from tests.faults.process import environment

    subprocess.run([sys.executable, "-c", early], env=environment(ledger), check=True, timeout=60)
    found = [(one["job_type"], one["status"], len(one["client_runs"])) for one in jobs(ledger)]
    assert sorted(found) == [
        ("before", "Completed", 0),
        ("before", "Completed", 0),
        ("early", "Completed", 1),
        ("late", "Completed", 1),
    ]


def test_a_daemon_thread_in_a_block_at_exit_is_failed(ledger: Path) -> None:
    code = """
def work():
    with job("daemon"):
        up.set()
        time.sleep(60)
up = threading.Event()
threading.Thread(target=work, daemon=True).start()
up.wait()
"""
    run(ledger, code)
    assert only(ledger)["status"] == "Failed"


@pytest.mark.parametrize("forks", [100, pytest.param(300, marks=pytest.mark.slow)])
def test_forks_while_the_keeper_folds_lose_nothing(ledger: Path, forks: int) -> None:
    code = (
        f"forks = {forks}"
        + """
jobspan.configure(segment_bytes=20000)
def fold():
    while not stop.is_set():
        jobspan.flush(1)
        with runtime().reading() as reader: list(reader.jobs(1))
stop = threading.Event()
folding = threading.Thread(target=fold)
with job("parent") as j:
    folding.start()
    for n in range(forks):
        pid = os.fork()
        if pid == 0:
            with j.client(f"c{n}") as c: c.add(leads=n)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    stop.set()
    folding.join()
"""
    )
    run(ledger, code)
    job = only(ledger)
    assert job["status"] == "Completed"
    assert {one["client_id"]: one["leads_processed"] for one in job["client_runs"]} == {
        f"c{n}": n for n in range(forks)
    }


def test_an_exit_is_not_held_up_by_a_locked_ledger(ledger: Path) -> None:
    import sqlite3

    code = """
import atexit
if len(sys.argv) > 1: jobspan.configure(exit_flush=float(sys.argv[1]), strict=False)
with job("a") as j:
    for n in range(2000):
        with j.client(str(n)) as c: c.add(leads=1)
say(time.time())
"""
    run(ledger, "with job('first'): pass")
    other = sqlite3.connect(ledger, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    for flush_seconds, most in (("0.5", 1.5), ("0", 0.7)):
        (ended,) = run(ledger, code, flush_seconds, JOBSPAN_STRICT="0")
        assert time.time() - float(ended) < most
    other.close()
    assert [len(one["client_runs"]) for one in jobs(ledger)] == [0, 2000, 2000]


def test_a_second_configure_loses_nothing_and_declares_nobody_dead(ledger: Path) -> None:
    code = """
with job("across") as j:
    c = j.client("a").__enter__()
    jobspan.configure(ledger=sys.argv[1])
    with runtime().reading() as reader:
        assert [one.status for one in reader.jobs()] == ["Running"], [one.status for one in reader.jobs()]
    c.add(leads=2)
    c.__exit__(None, None, None)
assert jobspan.flush()
"""
    run(ledger, code, str(ledger))
    assert only(ledger)["status"] == "Completed"
    assert only(ledger)["client_runs"][0]["leads_processed"] == 2


def test_power_durability_waits_for_the_disk_at_a_jobs_ends(ledger: Path) -> None:
    code = """
calls = []
real = os.fdatasync
def counted(fd):
    calls.append(fd)
    real(fd)
os.fdatasync = counted
jobspan.configure(durability=sys.argv[1])
runtime().keeper.stop()
with job("a") as j:
    opened = len(calls)
    with j.client("x"): pass
    between = len(calls)
say([opened, between - opened, len(calls) - between])
"""
    assert run(ledger, code, "power") == ["[1, 0, 1]"]
    assert run(ledger, code, "process") == ["[0, 0, 0]"]


def test_files_are_for_their_owner_only(ledger: Path) -> None:
    run(ledger, "with job('a'): pass\nassert jobspan.flush()\nos._exit(0)")
    for path in [ledger, *Path(f"{ledger}.d").rglob("*"), *ledger.parent.glob("ledger.db-*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
