from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobspan._guard import guard
from jobspan.journal import JournalWriter, Place, is_owned, journals, read
from tests.journal.observing import by_system_calls, event, numbers, run_writer

pytestmark = pytest.mark.usefixtures("kind")

Write = Callable[[int, bytes], int]


class FailingDisk:
    """Stands in for `os.write`: takes `room` more bytes, then fails with `error`."""

    def __init__(self, write: Write, room: int, error: int) -> None:
        self.write, self.room, self.error, self.calls = write, room, error, 0

    def __call__(self, fd: int, data: bytes) -> int:
        self.calls += 1
        if self.room <= 0:
            raise OSError(self.error, os.strerror(self.error))
        written = self.write(fd, data[: self.room])
        self.room -= written
        return written


@by_system_calls
@pytest.mark.parametrize("room", [0, 1, 20, 200, 333, 2_000])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS, errno.EFBIG])
@pytest.mark.parametrize("is_open", [True, False])
def test_a_disk_that_fails_costs_no_event_once_it_is_well(
    place: Place,
    writer: JournalWriter,
    wait: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
    room: int,
    error: int,
    is_open: bool,
) -> None:
    if is_open:
        writer.append(event(0))
    disk = FailingDisk(os.write, room, error)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", disk)
        for n in range(1, 100):
            writer.append(event(n))
        assert writer.trouble is not None
        assert writer.trouble.startswith("in memory only: ")
        assert 0 < writer.buffered <= 99
        assert [int(text[6:8].strip(',"')) for text in writer.buffered_payloads()] == list(
            range(100 - writer.buffered, 100)
        )
        assert sum(guard.counts().values()) == 1
        calls = disk.calls
        for n in range(100, 200):
            writer.append(event(n))
        assert disk.calls == calls  # asked at most once a second
        wait(1.1)
        writer.append(event(200))
        assert calls < disk.calls <= calls + 2
    wait(1.1)
    writer.append(event(201))
    assert writer.trouble is None
    assert (writer.buffered, writer.dropped) == (0, 0)
    found = numbers(place)
    first = 0 if is_open else 1
    assert sorted(set(found)) == list(range(first, 202))
    assert found[-1] == 201
    assert sorted(found, key=found.index) == found


class FailsOnce:
    """Counts the system calls made through it and lets the `nth` fail."""

    def __init__(self, nth: int) -> None:
        self.nth, self.calls = nth, 0

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls == self.nth:
                raise OSError(errno.EIO, "Input/output error")
            return call(*args, **kwargs)

        return counted


def test_every_system_call_may_fail_once(
    place: Place, wait: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fail the n-th system call, for every n until the scenario passes untouched."""
    names = ["write", "open", "rename", "mkdir", "fstat", "stat", "lstat"]
    calls = [*((os, name) for name in names), (fcntl, "flock"), (fcntl, "fcntl")]
    nth = 0
    while True:
        nth += 1
        shutil.rmtree(place.root, ignore_errors=True)
        fault = FailsOnce(nth)
        journal = JournalWriter(place, lambda: '{"header": true}', segment_bytes=150)
        with monkeypatch.context() as patch:
            for module, name in calls:
                patch.setattr(module, name, fault.wrap(getattr(module, name)))
            for n in range(6):
                journal.append(event(n))
        wait(1.1)
        journal.append(event(6))
        journal.close()  # a busy machine may have left something for the next append
        assert set(numbers(place)) == set(range(7)), f"call {nth}"
        if fault.calls < nth:
            break
    assert nth > 30


@by_system_calls
@pytest.mark.parametrize("error", [errno.EINTR, errno.EAGAIN])
def test_an_interrupted_write_is_made_again(
    place: Place, writer: JournalWriter, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    writer.append(event(0))
    write, calls = os.write, 0

    def interrupted(fd: int, data: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError(error, os.strerror(error))
        return write(fd, data)

    monkeypatch.setattr(os, "write", interrupted)
    writer.append(event(1))
    assert numbers(place) == ([0, 1] if error == errno.EINTR else [0])
    assert writer.buffered == (0 if error == errno.EINTR else 1)


@by_system_calls
def test_memory_is_bounded_and_the_newest_are_dropped(
    place: Place, wait: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = JournalWriter(place, lambda: "{}", buffer_bytes=10_000)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", FailingDisk(os.write, 0, errno.ENOSPC))
        for n in range(1000):
            journal.append(event(n))
        kept = journal.buffered
        assert 50 < kept < 200
        assert journal.dropped == 1000 - kept
    wait(1.1)
    journal.append(event(1000))
    assert [n for n in range(1001) if event(n).encode() in _payloads(place)] == [*range(kept), 1000]
    journal.close()


def _payloads(place: Place) -> list[bytes]:
    return [payload for path in journals(place) for payload in read(path, 0, 1 << 20).payloads]


def test_a_large_backlog_is_written_in_order_over_several_appends(
    place: Place, writer: JournalWriter, wait: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", FailingDisk(os.write, 0, errno.ENOSPC))
        for n in range(30_000):
            writer.append(event(n, 100))
    wait(1.1)
    slowest, n = 0.0, 30_000
    while writer.buffered and n < 31_000:
        started = time.thread_time()
        writer.append(event(n))
        slowest = max(slowest, time.thread_time() - started)
        n += 1
    assert numbers(place) == list(range(n))
    assert slowest < 0.05  # measured 6 ms: no single append pays for all


@by_system_calls
def test_a_full_disk_costs_no_more_than_a_healthy_one(
    writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = event(1, 150)

    def median_seconds() -> float:
        times = []
        for _ in range(10_000):
            started = time.perf_counter()
            writer.append(payload)
            times.append(time.perf_counter() - started)
        return sorted(times)[5_000]

    healthy = median_seconds()
    disk = FailingDisk(os.write, 100, errno.ENOSPC)
    monkeypatch.setattr(os, "write", disk)
    troubled = median_seconds()
    assert writer.buffered > 9_000
    assert troubled < healthy * 1.5 + 1e-6
    assert disk.calls < 10


def test_a_file_that_may_not_grow_is_followed_by_the_next(place: Place) -> None:
    """RLIMIT_FSIZE: a short write, then EFBIG (the interpreter ignores SIGXFSZ)."""
    code = """
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for n in range(3000): writer.append(event(n, 50))
say(writer.buffered)
from jobspan._guard import guard
say(guard.counts())
"""
    assert run_writer(place, code) == ["0", "{}"]
    assert sorted(set(numbers(place))) == list(range(3000))
    assert len(journals(place)) >= 3


def test_no_descriptor_left_for_a_new_segment_is_no_trouble(place: Place, tmp_path: Path) -> None:
    code = """
writer.append(event(0))
resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
for n in range(1, 100): writer.append(event(n, 50))
say(writer.trouble)
"""
    assert run_writer(place, code, segment_bytes=1_000) == ["None"]
    assert numbers(place) == list(range(100))
    assert len(journals(place)) == 1


def test_a_file_in_place_of_the_folder_is_told_and_survived(
    place: Place, writer: JournalWriter, wait: Callable[[float], None]
) -> None:
    place.root.write_text("somebody's notes")
    for n in range(10):
        writer.append(event(n))
    assert "is not a directory" in (writer.trouble or "")
    assert writer.buffered == 10
    assert place.root.read_text() == "somebody's notes"
    place.root.unlink()
    wait(1.1)
    writer.append(event(10))
    assert numbers(place) == list(range(11))
    assert writer.trouble is None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "none", str(folder)]
    can = os.geteuid() == 0 and shutil.which("mount") is not None
    if not can or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_really_full_costs_no_event(small_disk: Path, wait: Callable[[float], None]) -> None:
    filler = small_disk / "filler"
    place = Place(small_disk / "ledger.db")
    journal = JournalWriter(place, lambda: '{"header": true}')
    journal.append(event(0))
    filler.write_bytes(b"x" * 40_000)
    for n in range(1, 500):
        journal.append(event(n, 100))
    assert journal.trouble == "in memory only: No space left on device"
    assert 100 < journal.buffered < 499
    acknowledged = set(range(500 - journal.buffered))
    assert acknowledged <= set(numbers(place))
    wait(1.1)
    journal.append(event(500))
    assert journal.buffered > 100
    filler.unlink()
    filler.touch()
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    wait(1.1)
    journal.append(event(501))
    assert journal.buffered == 0
    assert sorted(set(numbers(place))) == list(range(502))
    journal.close()


def test_a_file_system_made_read_only_is_survived(small_disk: Path, wait: Callable[[float], None]) -> None:
    place = Place(small_disk / "ledger.db")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    journal = JournalWriter(place, lambda: '{"header": true}')
    for n in range(10):
        journal.append(event(n))
    assert journal.trouble == "in memory only: Read-only file system"
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    wait(1.1)
    journal.append(event(10))
    assert numbers(place) == list(range(11))
    journal.close()


@pytest.mark.parametrize("how", ["moved", "replaced"])
def test_a_journal_moved_while_in_use_is_begun_anew(
    place: Place, writer: JournalWriter, wait: Callable[[float], None], how: str
) -> None:
    writer.append(event(0))
    place.root.rename(place.root.with_name("elsewhere"))
    if how == "replaced":
        place.prepare()
        assert writer.path is not None
        writer.path.touch()
    wait(1.1)
    writer.touch()  # notices without an event
    writer.append(event(1))
    assert numbers(place) == [1]
    assert writer.lost_files == 1
    assert f"it was {how}" in (guard.last_error or "")


@pytest.mark.parametrize("how", ["file", "folder"])
def test_a_journal_deleted_while_in_use_is_begun_anew(
    place: Place, writer: JournalWriter, wait: Callable[[float], None], how: str
) -> None:
    writer.append(event(0))
    writer.append(event(1))
    assert writer.path is not None
    if how == "file":
        writer.path.unlink()
    else:
        shutil.rmtree(place.root)
    wait(1.1)
    writer.append(event(2))  # goes to the deleted file, but is the last
    writer.append(event(3))
    assert numbers(place) == [3]
    assert writer.lost_files == 1
    assert writer.trouble is None
    assert "it was deleted" in (guard.last_error or "")


def test_a_descriptor_closed_by_other_code_is_replaced(place: Place) -> None:
    code = """
writer.append(event(0))
os.closerange(3, 4096)
writer.append(event(1))
say(writer.buffered)
"""
    assert run_writer(place, code) == ["0"]
    assert numbers(place) == [0, 1]


def test_a_descriptor_taken_by_other_code_is_left_alone(
    place: Place, writer: JournalWriter, wait: Callable[[float], None], tmp_path: Path, kind: str
) -> None:
    writer.append(event(0))
    first = writer.path
    assert first is not None
    fd = next(fd for fd in map(int, os.listdir("/dev/fd")) if _is_open_on(fd, first))
    foreign = os.open(tmp_path / "foreign", os.O_RDWR | os.O_CREAT)
    os.dup2(foreign, fd)  # as if closed by other code, and the number given to its own file
    wait(1.1)
    writer.append(event(1))
    writer.append(event(2))
    assert writer.path != first
    assert writer.lost_files == 1
    assert os.write(fd, b"still open") == 10
    assert not is_owned(first)
    os.close(fd)
    os.close(foreign)
    assert numbers(place) == ([0, 2] if kind == "written" else [0, 1, 2])  # a mapping needs no descriptor


def _is_open_on(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except OSError:
        return False


def test_without_file_locks_events_stay_in_memory(
    place: Place, writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    writer.append(event(1))
    assert writer.buffered_payloads() == [event(1)]
    assert "in memory only" in (writer.trouble or "")
    assert not place.root.exists()
