"""Forks in the midst of making, closing or unmapping a journal: what the child inherits and hides."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from jobspan.journal import Place, is_owned, journals
from tests.journal.observing import SOURCE, numbers, run_writer, start_writer

pytestmark = pytest.mark.usefixtures("kind")

HOOKED = """
from jobspan.journal import forks, place as places, segment
forking, inside = threading.Event(), threading.Event()
os.register_at_fork(before=forking.set)  # run first: before those of jobspan
def paused(function):
    # As if this thread lost the interpreter here, for long enough that another one can fork.
    def call(*args, **kwargs):
        result = function(*args, **kwargs)
        if threading.current_thread() is thread and not inside.is_set():
            inside.set()
            forking.wait(10)
            time.sleep(0.1)
        return result
    return call
def leave_a_child(work):
    global thread
    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(10)
    if os.fork() == 0:
        say(os.getpid())
        time.sleep(60)
        os._exit(0)
    thread.join()
    say("done")
    time.sleep(60)
"""

MIDST = {
    "made": """
segment.open_new = paused(segment.open_new)
leave_a_child(lambda: writer.append(event(0)))
""",
    "closed": """
segment.os = type("os", (), {**vars(os), "ftruncate": staticmethod(paused(os.ftruncate))})
def work():
    writer.append(event(0))
    writer.close()
    writer.append(event(1))
if os.environ["JOURNAL_KIND"] == "written":
    segment.os.close = staticmethod(paused(os.close))
leave_a_child(work)
""",
    "unmapped": """
kept = []
def keep(*args, **kwargs):
    kept.append(real(*args, **kwargs))
    return kept[-1]
real, segment.mapping.reserve = segment.mapping.reserve, keep
class Room(segment.mapping.Room):
    __slots__ = ()
    def close(self):
        held, self._map = self._map, mapping.mmap.mmap(-1, 1)  # what munmap is about to free
        paused(lambda: None)()
        if self.area is not None:
            self.area.release()
        held.close()
        return True
def work():
    writer.append(event(0))
    if kept and kept[-1] is not None:
        kept[-1].__class__ = Room
        writer._state().segment.unmap()
    else:
        paused(lambda: None)()
leave_a_child(work)
""",
}


@pytest.mark.parametrize("midst", MIDST)
def test_a_child_forked_in_the_midst_hides_no_death(place: Place, midst: str) -> None:
    with start_writer(place, HOOKED + MIDST[midst]) as process:
        assert process.stdout is not None
        said = {process.stdout.readline().strip() for _ in range(2)}
        child = int((said - {"done"}).pop())
        try:
            assert "done" in said
            assert any(is_owned(path) for path in journals(place))
            process.kill()
            process.wait()
            assert not any(is_owned(path) for path in journals(place))
            os.kill(child, 0)
        finally:
            process.kill()
            os.kill(child, signal.SIGKILL)
    assert 0 in numbers(place)


@pytest.mark.parametrize("at", ["open_new", "mapping.reserve", "fcntl.flock"])
def test_a_child_forked_by_a_handler_in_the_midst_goes_on_in_a_journal_of_its_own(
    place: Place, at: str
) -> None:
    """The fork comes on the thread that makes the journal, and the child returns from the handler."""
    owner, _, name = f"segment.{at}".rpartition(".")
    code = f"""
from jobspan._guard import guard
from jobspan.journal import segment
real, pids = {owner}.{name}, []
def forking(*args, **kwargs):
    result = real(*args, **kwargs)
    if not pids: pids.append(os.fork())
    return result
{owner}.{name} = forking
writer.append(event(0))
if not pids: pids.append(os.fork())  # no journal is mapped here
if pids[0] == 0:
    writer.append(event(1))
    assert writer.trouble is None and writer.buffered == 0 and writer.lost_files == 0
    assert writer.path.name.startswith(f"{{os.getpid()}}-")
    writer.close()
    os._exit(0 if not guard.counts() else 1)
assert os.waitpid(pids[0], 0)[1] == 0
writer.append(event(2))
assert writer.trouble is None and writer.buffered == 0
say(writer.path.name.startswith(f"{{os.getpid()}}-"))
"""
    assert run_writer(place, code) == ["True"]
    assert sorted(numbers(place)) == [0, 1, 2]
    assert len(journals(place)) == 2
    assert not list(place.journal.glob(".*"))


RING = """
import json, os, sys, threading, time
from pathlib import Path
lock, ready = threading.Lock(), threading.Event()
os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
from jobspan.journal import JournalWriter, Place, forks  # its hooks come after: they run before the one above
writer = JournalWriter(Place(Path(sys.argv[1])), lambda: '{"header": true}')
def work():
    with lock:
        ready.set()
        while not forks._forking: time.sleep(0.001)
        writer.append(json.dumps({"n": 0}))  # begins a journal while the other thread, forking, wants `lock`
thread = threading.Thread(target=work)
thread.start()
ready.wait()
start = time.monotonic()
pid = os.fork()
if pid == 0:
    writer.append(json.dumps({"n": 1}))
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
thread.join()
print(time.monotonic() - start)
"""


def test_a_ring_of_other_codes_locks_ends_after_a_moment(place: Place) -> None:
    told = subprocess.run(
        [sys.executable, "-c", RING, str(place.ledger)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert float(told.stdout) < 10
    assert sorted(numbers(place)) == [0, 1]
