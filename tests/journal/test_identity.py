from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from jobspan.journal import ProcessIdentity, current, is_gone
from jobspan.journal import identity as identity_module
from tests.journal.observing import SOURCE


def _start(code: str) -> tuple[subprocess.Popen[str], ProcessIdentity]:
    process = subprocess.Popen(
        [sys.executable, "-c", "import json\nfrom jobspan.journal import current\n" + code],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    identity = ProcessIdentity.from_dict(json.loads(process.stdout.readline()))
    assert identity is not None
    return process, identity


SAY_AND_WAIT = "print(json.dumps(current().as_dict()), flush=True)\ninput()"


def test_this_process_is_alive_and_knows_itself() -> None:
    assert current() is current()
    assert current().pid == os.getpid()
    assert is_gone(current()) is False


def test_an_identity_survives_json() -> None:
    assert ProcessIdentity.from_dict(json.loads(json.dumps(current().as_dict()))) == current()


@pytest.mark.parametrize("fields", [{}, {"pid": 1}, {"header": True}])
def test_what_is_no_identity_is_none(fields: dict[str, object]) -> None:
    assert ProcessIdentity.from_dict(fields) is None


def test_another_process_is_gone_once_it_was_killed() -> None:
    process, identity = _start(SAY_AND_WAIT)
    with process:
        assert is_gone(identity) is False
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_gone(identity) is True  # though nobody has fetched its exit status yet
        process.wait()
        assert is_gone(identity) is True


def test_a_forked_child_is_another_process() -> None:
    code = """
import os
first = current()
if os.fork() == 0:
    assert current() is current()
    print(json.dumps([first.as_dict(), current().as_dict()]), flush=True)
    os._exit(0)
os.wait()
"""
    done = subprocess.run(
        [sys.executable, "-c", "import json\nfrom jobspan.journal import current\n" + code],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    parent, child = json.loads(done.stdout)
    assert parent["uid"] != child["uid"]
    assert parent["pid"] != child["pid"]


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"start": 1}, True),
        ({"pid": 2**22 + 5}, True),
        ({"boot_id": "another boot"}, None),
        ({"pid_namespace": "pid:[1]"}, None),
        ({"boot_id": "?"}, None),
        ({"pid_namespace": "?"}, None),
        ({"start": 0}, None),
        ({"pid": 0}, None),
        ({"pid": -1}, None),
        ({"platform": "darwin"}, None),
    ],
)
def test_the_verdict_follows_the_evidence(change: dict[str, object], verdict: bool | None) -> None:
    assert is_gone(dataclasses.replace(current(), **change)) is verdict  # type: ignore[arg-type]


def test_a_process_that_may_not_be_looked_at_is_not_declared_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity_module, "_stat_of", lambda pid: [])
    assert is_gone(current()) is None


def test_the_way_for_other_systems_tells_the_living_from_the_dead() -> None:
    from jobspan.journal.identity import _start_elsewhere

    assert abs((_start_elsewhere(os.getpid()) or 0) - (_start_elsewhere(os.getpid()) or 0)) == 0
    assert _start_elsewhere(os.getpid())
    assert _start_elsewhere(2**22 + 5) is None
