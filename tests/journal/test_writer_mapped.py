"""What is special about journals that are mapped into memory."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobspan._compiled import native
from jobspan._guard import guard
from jobspan.journal import (
    JournalWriter,
    Place,
    done_journals,
    encode,
    is_owned,
    journals,
    last_seen_ns,
    mapping,
    mount,
    read,
    retire,
)
from jobspan.journal.segment import Segment
from jobspan.journal.state import FIRST_ROOM_BYTES
from tests.journal.observing import event, in_python, numbers, read_one, run_writer, start_writer


@pytest.fixture(autouse=True, params=["compiled", "in Python"])
def _needs_mapping(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not mapping.is_safe(tmp_path):
        pytest.skip("files are not mapped here")
    if request.param == "in Python":
        in_python(monkeypatch)
    elif native is None:
        pytest.skip("the compiled part is not installed")


def _header() -> str:
    return '{"header": true}'


def _path_of(writer: JournalWriter) -> Path:
    assert writer.path is not None
    return writer.path


def test_room_is_reserved_while_open_and_given_back_at_the_end(place: Place, writer: JournalWriter) -> None:
    writer.append(event(1))
    path = _path_of(writer)
    status = path.stat()
    assert status.st_size == FIRST_ROOM_BYTES
    assert status.st_blocks * 512 >= FIRST_ROOM_BYTES
    used = writer.position
    assert 0 < used < 200
    writer.close()
    assert path.stat().st_size == used
    assert b"\0" not in path.read_bytes()


def test_segments_grow_to_their_bound_and_hold_no_zeros_once_full(place: Place) -> None:
    journal = JournalWriter(place, _header, segment_bytes=2 * FIRST_ROOM_BYTES)
    sizes: list[int] = []
    for n in range(3_000):
        journal.append(event(n, 1_000))
        path = _path_of(journal)
        if len(sizes) < len(journals(place)):
            sizes.append(path.stat().st_size)
    assert sizes[:3] == [FIRST_ROOM_BYTES, 2 * FIRST_ROOM_BYTES, 2 * FIRST_ROOM_BYTES]
    assert all(not path.read_bytes().endswith(b"\0") for path in journals(place) if not is_owned(path))
    assert numbers(place) == list(range(3_000))
    journal.close()


@pytest.mark.parametrize("is_late", [False, True], ids=["on time", "late"])
def test_an_event_is_there_on_return_however_long_it_takes_to_begin_a_segment(
    place: Place, is_late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine takes longer for that than an append may spend on what others left in memory.

    Late is a thread that was held up with a segment in hand that others have filled since, as the next.
    """
    create = Segment.create

    def slow(*args: Any, **options: Any) -> Segment:
        time.sleep(0.03)
        return create(*args, **options)

    monkeypatch.setattr(Segment, "create", slow)
    journal = JournalWriter(place, _header, segment_bytes=1_000)
    journal.append(event(0, 100))
    in_hand = journal._segment
    for n in range(1, 30):
        if is_late and journal.position > 900:
            journal._aim(in_hand)
        journal.append(event(n, 100))
        assert journal.buffered == 0, "it is in memory only"
        assert numbers(place) == list(range(n + 1))
    assert len(journals(place)) > 3
    journal.close()


def test_an_event_larger_than_a_segment_gets_one_that_holds_it(place: Place) -> None:
    journal = JournalWriter(place, _header, segment_bytes=2_000)
    for n, size in enumerate([10, 50_000, 10, 700_000, 10]):
        journal.append(event(n, size))
    assert numbers(place) == [0, 1, 2, 3, 4]
    assert journal.trouble is None
    journal.close()


@pytest.mark.parametrize(
    "error", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EOPNOTSUPP, errno.EINVAL, errno.EINTR]
)
def test_where_no_room_can_be_reserved_events_are_written(
    place: Place, writer: JournalWriter, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def refuse(fd: int, start: int, length: int) -> None:
        os.ftruncate(fd, length // 2)  # it may have got half of it
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    for n in range(10):
        writer.append(event(n))
    assert writer.trouble is None
    assert _path_of(writer).stat().st_size == writer.position
    assert numbers(place) == list(range(10))


def test_a_file_system_that_only_pretends_to_reserve_is_not_mapped(
    place: Place, writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", lambda fd, start, length: os.ftruncate(fd, length))
    writer.append(event(1))
    assert _path_of(writer).stat().st_size == writer.position
    assert numbers(place) == [1]


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "btrfs", "zfs", "9p", "ext4"])
def test_only_known_file_systems_are_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mountinfo"
    line = f"22 1 {os.major(device)}:{os.minor(device)} / / rw shared:1 master:2 - {{}} a\\040b rw\n"
    mounts.write_text("21 1 0:99 / /proc rw - proc proc rw\n" + line.format("xfs") + line.format(kind))
    monkeypatch.setattr(mount, "MOUNTS", str(mounts))
    monkeypatch.setattr(mapping, "_safe_devices", {})
    assert mapping.is_safe(tmp_path) == (kind == "ext4")


def test_without_the_interpreter_lock_nothing_is_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys._is_gil_enabled", lambda: False, raising=False)
    assert not mapping.is_safe(tmp_path)


class FailsOnce:
    """Counts the calls made through it and lets the `nth` fail."""

    def __init__(self, nth: int) -> None:
        self.nth, self.calls = nth, 0

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls == self.nth:
                raise OSError(errno.EIO, "Input/output error")
            return call(*args, **kwargs)

        return counted


def test_every_call_that_maps_may_fail_once(
    place: Place, wait: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    os_calls = ["posix_fallocate", "ftruncate", "dup", "fstat", "stat", "open", "pread", "utime", "statvfs"]
    calls = [*((os, name) for name in os_calls), (mmap, "mmap"), (fcntl, "flock"), (fcntl, "fcntl")]
    nth = 0
    while True:
        nth += 1
        shutil.rmtree(place.root, ignore_errors=True)
        fault = FailsOnce(nth)
        journal = JournalWriter(place, lambda: '{"header": true}', segment_bytes=200)
        with monkeypatch.context() as patch:
            patch.setattr(mapping, "_safe_devices", {})
            for module, name in calls:
                patch.setattr(module, name, fault.wrap(getattr(module, name)))
            for n in range(6):
                journal.append(event(n))
            journal.touch()
        wait(1.1)
        journal.append(event(6))
        journal.close()
        assert set(numbers(place)) == set(range(7)), f"call {nth}"
        if fault.calls < nth:
            break
    assert nth > 30


def test_a_full_disk_does_not_touch_what_was_reserved(
    place: Place, wait: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no next segment to be had events go to the reserved room, then beyond it, then to memory."""
    journal = JournalWriter(place, _header, segment_bytes=10_000)
    journal.append(event(0))

    def full(*args: object, **kwargs: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        patch.setattr(os, "write", full)
        n = 0
        while journal.buffered == 0:
            n += 1
            journal.append(event(n, 100))
        assert n > 50
        assert len(journals(place)) == 1
        assert journal.trouble == "in memory only: No space left on device"
        path = _path_of(journal)
        assert path.stat().st_size == journal.position < 10_000  # what is left was given back
        assert len(read_one(path)) == n + 1
        for _ in range(50):
            n += 1
            journal.append(event(n, 100))
    wait(1.1)
    journal.append(event(n + 1))
    assert journal.buffered == 0
    assert numbers(place) == list(range(n + 2))
    journal.close()


def test_threads_write_on_when_the_room_is_given_up(
    place: Place, wait: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = JournalWriter(place, _header, segment_bytes=30_000)
    journal.append(event(0))
    rename = os.rename

    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def work(base: int) -> None:
        for n in range(300):
            journal.append(event(base + n, n % 100))

    monkeypatch.setattr(os, "rename", refuse)
    threads = [threading.Thread(target=work, args=(base,)) for base in range(1_000, 9_000, 1_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(journals(place)) == 1
    assert journal.trouble is None
    expected = [base + n for base in range(1_000, 9_000, 1_000) for n in range(300)]
    assert sorted(numbers(place)) == [0, *expected]
    monkeypatch.setattr(os, "rename", rename)
    wait(1.1)
    journal.append(event(9_999))
    journal.append(event(9_999))
    assert len(journals(place)) == 2
    journal.close()


@pytest.mark.parametrize("size", [0, 4096])
def test_a_file_cut_short_by_others_is_noticed_within_a_second(
    place: Place, writer: JournalWriter, wait: Callable[[float], None], size: int
) -> None:
    for n in range(10):
        writer.append(event(n))
    first = _path_of(writer)
    os.truncate(first, size)
    wait(1.1)
    writer.touch()  # an event in between, beyond the cut, would have killed the process
    assert writer.lost_files == 1
    assert "it was cut short" in (guard.last_error or "")
    writer.append(event(10))
    assert numbers(place) == ([*range(10), 10] if size else [10])
    assert not is_owned(first)
    assert first.stat().st_size <= size  # not made longer again


def test_room_taken_away_by_others_is_noticed(
    place: Place, writer: JournalWriter, wait: Callable[[float], None]
) -> None:
    if shutil.which("fallocate") is None:
        pytest.skip("no program to punch holes with")
    writer.append(event(0))
    path = _path_of(writer)
    command = ["fallocate", "--punch-hole", "--offset", "65536", "--length", "65536", str(path)]
    subprocess.run(command, check=True)
    wait(1.1)
    writer.touch()
    writer.append(event(1))
    assert writer.lost_files == 1
    assert numbers(place) == [0, 1]


def test_the_time_of_the_file_follows_the_events(
    place: Place, writer: JournalWriter, wait: Callable[[float], None]
) -> None:
    writer.append(event(0))
    path = _path_of(writer)
    os.utime(path, (1, 1))
    writer.append(event(1))
    wait(1.1)
    writer.append(event(2))  # at most a second old, without anybody's heartbeat
    assert abs(last_seen_ns(path) - time.time_ns()) < 60e9


def _killed(place: Place, code: str) -> Path:
    with start_writer(place, code + "\nsay(0); time.sleep(60)") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0\n"
        process.kill()
    return journals(place)[0]


def test_room_left_by_a_killed_process_is_no_event_and_given_back(place: Place) -> None:
    path = _killed(place, "for n in range(10): writer.append(event(n))")
    assert path.stat().st_size == FIRST_ROOM_BYTES
    for limit in (100, 1 << 16, 1 << 24):
        assert len(read_one(path, limit=limit)) == 11
    chunk = read(path, 0, 1 << 24)
    assert (chunk.skipped, chunk.owned, chunk.at_end) == (0, False, True)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    assert retire(path, place)
    (done,) = done_journals(place)
    assert done.stat().st_size < 1_000
    assert last_seen_ns(done) == 1_000_000_000 * 10**9  # last seen alive, not last tidied
    assert numbers(place) == list(range(10))
    assert read(done, chunk.offset_after, 100).at_end  # who had read the zeros as well goes on in peace


def test_what_lies_in_a_journal_still_locked_is_not_cut(place: Place, writer: JournalWriter) -> None:
    writer.append(event(0))
    path = _path_of(writer)
    assert retire(path, place, owner_gone=True)  # held to be dead, but alive
    assert done_journals(place)[0].stat().st_size == FIRST_ROOM_BYTES
    writer.append(event(1))
    assert numbers(place) == [0, 1]


@pytest.mark.parametrize("torn", ["head", "tail", "ends"])
def test_a_record_copied_by_half_is_waited_for_then_skipped(
    place: Place, writer: JournalWriter, torn: str
) -> None:
    """A copy need not go from front to back; a process killed in it leaves any part of the record."""
    writer.append(event(0))
    path, position = _path_of(writer), writer.position
    record = encode(event(1, 100))
    keep = {"head": range(50), "tail": range(60, len(record)), "ends": [*range(9), *range(90, len(record))]}[
        torn
    ]
    half = bytes(byte if index in keep else 0 for index, byte in enumerate(record))
    with path.open("r+b") as file:
        file.seek(position)
        file.write(half)
    alive = read(path, 0, 1 << 20)
    assert (alive.offset_after, alive.skipped, alive.at_end) == (position, 0, True)
    assert read(path, position, 16).payloads == []
    dead = place.journal / "1-1-a-000001.j"
    shutil.copyfile(path, dead)
    for limit in (32, 1 << 20):
        offset, skipped, found = 0, 0, 0
        while not (chunk := read(dead, offset, limit)).at_end:
            offset, skipped, found = chunk.offset_after, skipped + chunk.skipped, found + len(chunk.payloads)
        assert (skipped + chunk.skipped, found + len(chunk.payloads)) == (1, 2)
    with path.open("r+b") as file:
        file.seek(position)
        file.write(record)
    assert read(path, position, 1 << 20).payloads == [event(1, 100).encode()]


def test_looking_at_a_live_journal_does_not_read_all_of_its_room(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = JournalWriter(place, _header)
    for n in range(4_000):
        journal.append(event(n, 1_000))
    path, position = _path_of(journal), journal.position
    assert path.stat().st_size - position > 1 << 20
    pread, lengths = os.pread, []

    def watched(fd: int, length: int, offset: int) -> bytes:
        lengths.append(length)
        return pread(fd, length, offset)

    monkeypatch.setattr(os, "pread", watched)
    chunk = read(path, position, 4_096)
    assert (chunk.offset_after, chunk.at_end, chunk.payloads) == (position, True, [])
    assert sum(lengths) <= 8_192
    journal.close()


@pytest.mark.parametrize("fork", ["os.fork", "ctypes.PyDLL(None).fork"])
def test_a_child_closes_the_mapping_it_inherited(place: Place, fork: str) -> None:
    code = f"""
def mapped(): return open("/proc/self/maps").read().count(".j")
writer.append(event(0))
assert mapped() == 1
pid = {fork}()
if pid == 0:
    writer.append(event(1))
    assert mapped() == 1 and str(writer.path) in open("/proc/self/maps").read()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
writer.append(event(2))
say(writer.path)
"""
    parents = Path(run_writer(place, code)[0])
    assert [n for n in read_one(parents) if n.startswith(b'{"n"')] == [event(0).encode(), event(2).encode()]
    assert sorted(numbers(place)) == [0, 1, 2]


def test_an_exception_of_a_signal_handler_is_not_taken_for_a_full_segment(
    place: Place, writer: JournalWriter
) -> None:
    armed = False

    def handle(number: int, frame: object) -> None:
        if armed:
            raise ValueError("the caller's alarm")

    caught, n = 0, 0

    def work() -> None:  # apart: CPython 3.13 leaves the jump of a loop out of the `try` it is in
        nonlocal n
        while n < 8_000:
            writer.append(event(n))
            n += 1

    writer.append(event(0))
    first = writer.path
    before = signal.signal(signal.SIGALRM, handle)
    try:
        while n < 8_000:  # less than would fill the segment
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, 0.0002)
                work()
                armed = False
            except ValueError:
                armed = False
                caught += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert caught > 5
    writer.append(event(n))
    assert writer.trouble is None
    assert writer.path == first
    assert set(numbers(place)) == set(range(n + 1))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "none", str(folder)]
    can = os.geteuid() == 0 and shutil.which("mount") is not None
    if not can or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_really_full_kills_nobody(small_disk: Path) -> None:
    place = Place(small_disk / "ledger.db")
    code = """
writer.append(event(0))
filler = open(place.root.parent / "filler", "wb", buffering=0)
try:
    while True: filler.write(b"x" * 65536)
except OSError: pass
for n in range(1, 5000): writer.append(event(n, 200))
say(writer.trouble)
say(5000 - writer.buffered)
"""
    trouble, acknowledged = run_writer(place, code)
    assert trouble == "in memory only: No space left on device"
    assert int(acknowledged) > 2_000  # the room was there
    assert numbers(place) == list(range(int(acknowledged)))
