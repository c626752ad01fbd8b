from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from jobspan.journal import Place, is_owned, is_writer_dead, journals, read, retire
from tests.journal.observing import event, numbers, read_one, run_writer, start_writer
from tests.relay.support import wait_until

pytestmark = pytest.mark.usefixtures("kind")

FORKS = {
    "with hooks": "fork = os.fork\n",
    "without hooks": "fork = ctypes.PyDLL(None).fork\n",  # as uWSGI does it
}


@pytest.fixture(params=list(FORKS))
def fork(request: pytest.FixtureRequest) -> str:
    return FORKS[request.param]


def test_parent_and_children_write_at_the_same_time(place: Place) -> None:
    code = """
threads = [threading.Thread(target=lambda b=b: [writer.append(event(b + n)) for n in range(3000)])
           for b in (0, 3000, 6000)]
for thread in threads: thread.start()
children = []
for child in range(20):
    pid = os.fork()
    if pid == 0:
        for n in range(20): writer.append(event(100_000 + child * 20 + n))
        os._exit(0)
    children.append(pid)
    time.sleep(0.002)
for pid in children: assert os.waitpid(pid, 0)[1] == 0
for thread in threads: thread.join()
"""
    run_writer(place, code, segment_bytes=30_000)
    assert sorted(numbers(place)) == [*range(9_000), *range(100_000, 100_400)]
    assert len({path.name.split("-")[0] for path in journals(place)}) == 21


def test_parent_and_children_of_a_fork_without_hooks_write_at_the_same_time(place: Place) -> None:
    code = """
children = []
for child in range(10):
    pid = fork()
    if pid == 0:
        for n in range(200): writer.append(event(100_000 + child * 200 + n))
        os._exit(0)
    children.append(pid)
    for n in range(200): writer.append(event(child * 200 + n))
for pid in children: assert os.waitpid(pid, 0)[1] == 0
"""
    run_writer(place, FORKS["without hooks"] + code, segment_bytes=5_000)
    assert sorted(numbers(place)) == [*range(2_000), *range(100_000, 102_000)]
    assert len({path.name.split("-")[0] for path in journals(place)}) == 11


def test_a_child_begins_its_own_journal(place: Place, fork: str) -> None:
    code = """
writer.append(event(0))
pid = fork()
if pid == 0:
    writer.touch()
    assert writer.path is None and writer.buffered == 0
    writer.append(event(1))
    assert writer.path.name.startswith(f"{os.getpid()}-")
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
writer.append(event(2))
say(writer.path.name.startswith(f"{os.getpid()}-"))
"""
    assert run_writer(place, fork + code) == ["True"]
    assert sorted(numbers(place)) == [0, 1, 2]
    assert len(journals(place)) == 2


def test_a_child_never_writes_to_its_parents_journal(place: Place, fork: str) -> None:
    code = """
writer.append(event(0))
if fork() == 0:
    writer.append(event(1))
    os._exit(0)
os.wait()
say(writer.path)
"""
    parents = Path(run_writer(place, fork + code)[0])
    assert read_one(parents) == [b'{"header": true}', event(0).encode()]
    assert sorted(numbers(place)) == [0, 1]


def test_what_waits_in_the_parents_memory_is_not_written_by_the_child(place: Place, fork: str) -> None:
    code = """
place.root.write_text("")
writer.append(event(0))
pid = fork()
if pid == 0:
    place.root.unlink()
    writer.append(event(1))
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
writer.close()
"""
    run_writer(place, fork + code)
    assert sorted(numbers(place)) == [0, 1]


LEAVE_A_CHILD = """
def busy():
    while True: writer.append(event(2)); time.sleep(0.0001)
writer.append(event(0))
if fork is os.fork:
    for _ in range(3): threading.Thread(target=busy, daemon=True).start()
    time.sleep(0.05)
if fork() == 0:
    say(os.getpid())
    time.sleep(60)
    os._exit(0)
time.sleep(60)
"""


def test_the_death_of_a_parent_is_seen_while_its_child_lives(place: Place) -> None:
    with start_writer(place, FORKS["with hooks"] + LEAVE_A_CHILD, segment_bytes=3_000) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            wait_until(lambda: _owned_by(place, process.pid), 10)  # its files change while they are listed
            process.kill()
            process.wait()
            assert not _owned_by(place, process.pid)
        finally:
            process.kill()
            os.kill(child, signal.SIGKILL)


def test_a_lock_inherited_by_a_silent_child_does_not_hide_a_death(place: Place) -> None:
    """A fork in C closes nothing until the child appends: then the parent's identity tells."""
    from jobspan.journal import current

    with start_writer(place, FORKS["without hooks"] + LEAVE_A_CHILD) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            path = next(path for path in journals(place) if path.name.startswith(f"{process.pid}-"))
            identity = _identity_of(process)
            assert not is_writer_dead(path, place, identity)
            process.kill()
            process.wait()
            assert is_owned(path)
            assert not is_writer_dead(path, place)
            assert is_writer_dead(path, place, identity)
            assert read(path, 0, 100).owned
            assert not read(path, 0, 100, owner_gone=True).owned
            assert not retire(path, place)
            assert retire(path, place, owner_gone=True)
        finally:
            os.kill(child, signal.SIGKILL)
    assert current().pid == os.getpid()
    assert numbers(place) == [0]


def _identity_of(process: subprocess.Popen[str]):  # type: ignore[no-untyped-def]
    import dataclasses

    from jobspan.journal import current
    from jobspan.journal.identity import _start_of

    return dataclasses.replace(current(), pid=process.pid, start=_start_of(process.pid) or 0)


def _owned_by(place: Place, pid: int) -> bool:
    return any(path.name.startswith(f"{pid}-") and is_owned(path) for path in journals(place))


def test_forking_in_a_signal_handler_loses_nothing(place: Place) -> None:
    code = """
children = []
def handle(number, frame):
    if len(children) >= 15: return
    pid = os.fork()
    if pid == 0:
        children.clear(); children.extend([0] * 99)
        writer.append(event(50_000 + os.getpid()))
        os._exit(0)
    children.append(pid)
    signal.setitimer(signal.ITIMER_REAL, 0.001)  # again only when this one is done: none piles up
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.001)
n = 0
while len(children) < 15: writer.append(event(n)); n += 1
signal.setitimer(signal.ITIMER_REAL, 0)
for pid in children: assert os.waitpid(pid, 0)[1] == 0
say(n)
say(sorted(children))
"""
    count, children = run_writer(place, code, segment_bytes=10_000)
    found = Counter(numbers(place))
    assert set(found) == {*range(int(count)), *(50_000 + pid for pid in json.loads(children))}
    assert max(found.values()) == 1
