"""Who looks dead and is not, and who looks alive: stopped processes, and containers that share a ledger."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from jobspan.journal import Place
from tests.faults.process import PRELUDE, environment, jobs
from tests.program import stop

CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
WORK = """
with job(sys.argv[1]) as j:
    with j.client("Guy-Wilson") as r:
        r.add(leads=3)
        say(os.getpid())
        sys.stdin.readline()
        r.add(leads=4)
        say("added")
        sys.stdin.readline()
"""
READ = """
with runtime().reading(30) as reader:
    say(json.dumps({one.job_type: one.to_dict() for one in reader.jobs()}))
"""
QUARTER = 16 * 60


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    if subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode:
        pytest.skip("namespaces of process ids need root")
    return tmp_path / "ledger.db"


@contextmanager
def container(ledger: Path, code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run Python as process 1 of a namespace of its own."""
    process = subprocess.Popen(
        [*CONTAINER, sys.executable, "-c", PRELUDE + code, *arguments],
        env=environment(ledger, JOBSPAN_EXIT_FLUSH="0"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    """Return the next line a process said."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    """Let a process go on."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def from_container(ledger: Path) -> dict[str, Any]:
    """Read all jobs by type in a third container, as its process 1."""
    with container(ledger, READ) as process:
        return dict(json.loads(said(process)))


def inner_pid(process: subprocess.Popen[str]) -> int:
    """Return the process id, seen from here, of the process 1 of a container."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0])


def be_silent(ledger: Path, seconds: float) -> float:
    """Let all journals look as if nothing was heard for so long; return that instant."""
    then = time.time() - seconds
    for path in Place(ledger).journal.glob("*.j"):
        os.utime(path, (then, then))
    return then


def test_containers_that_repeat_process_ids_are_told_apart(ledger: Path) -> None:
    with container(ledger, WORK, "lives") as lives, container(ledger, WORK, "dies") as dies:
        assert (said(lives), said(dies)) == ("1", "1")
        os.kill(inner_pid(dies), signal.SIGKILL)
        dies.wait(10)
        killed = time.time()
        time.sleep(0.1)
        found = from_container(ledger)
        assert {name: one["status"] for name, one in found.items()} == {"lives": "Running", "dies": "Failed"}
        assert datetime.fromisoformat(found["dies"]["end_time"]).timestamp() <= killed
        assert "pid 1)" in found["dies"]["error"]
        assert {one["job_type"]: one["status"] for one in jobs(ledger)} == {
            "lives": "Running",
            "dies": "Failed",
        }
        tell(lives)
        assert said(lives) == "added"
        tell(lives)
        assert lives.wait(30) == 0
    after = from_container(ledger)
    assert (after["lives"]["status"], after["lives"]["items_processed"]) == ("Completed", 7)


def test_a_stopped_process_given_up_after_silence_takes_itself_back(ledger: Path) -> None:
    with container(ledger, WORK, "stopped") as process:
        said(process)
        pid = inner_pid(process)
        stop(pid, ledger)
        try:
            be_silent(ledger, QUARTER)
            time.sleep(1.1)  # after a second of silence the next event is a sign of life
            found = from_container(ledger)["stopped"]
            assert found["status"] == found["client_runs"][0]["status"] == "Failed"
            assert found["end_time"] is not None
            assert datetime.fromisoformat(found["end_time"]).timestamp() < time.time()
        finally:
            os.kill(pid, signal.SIGCONT)
        tell(process)
        assert said(process) == "added"
        again = from_container(ledger)["stopped"]
        assert (again["status"], again["end_time"], again["items_processed"]) == ("Running", None, 7)
        tell(process)
        assert process.wait(30) == 0
    assert from_container(ledger)["stopped"]["status"] == "Completed"


def test_a_stopped_process_whose_host_sees_it_is_never_given_up(ledger: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + WORK, "stopped"],
        env=environment(ledger, JOBSPAN_EXIT_FLUSH="0"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said(process)
        stop(process.pid, ledger)
        be_silent(ledger, 24 * 3600)
        assert jobs(ledger)[0]["status"] == "Running"
    finally:
        process.kill()
        process.communicate()
    assert jobs(ledger)[0]["status"] == "Failed"
