from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from jobspan._guard import guard
from jobspan.exceptions import LedgerError
from jobspan.journal import JournalWriter, Place, is_owned, journals, last_seen_ns, read, writer_key
from tests.journal.observing import SOURCE, by_system_calls, event, numbers, read_all, read_one, run_writer

pytestmark = pytest.mark.usefixtures("kind")


def test_importing_the_journal_loads_nothing_heavy() -> None:
    heavy = ("psutil", "ctypes", "sqlite3", "asyncio", "subprocess", "socket", "hashlib")
    alone = "import sys, types; root = types.ModuleType('jobspan'); sys.modules['jobspan'] = root; "
    alone += f"root.__path__ = [{str(SOURCE / 'jobspan')!r}]; "  # without what the package itself loads
    code = f"{alone}import jobspan.journal; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_nothing_is_made_before_the_first_event(place: Place, writer: JournalWriter) -> None:
    assert writer.path is None
    assert writer.position == 0
    assert not place.root.exists()


def test_an_event_can_be_read_at_once(place: Place, writer: JournalWriter) -> None:
    writer.append(event(1))
    assert writer.path is not None
    assert journals(place) == [writer.path]
    chunk = read(writer.path, 0, 1 << 20)
    assert chunk.payloads == [b'{"header": true}', event(1).encode()]
    assert (chunk.owned, chunk.at_end, chunk.skipped) == (True, True, 0)
    assert chunk.offset_after == writer.position
    assert writer.trouble is None
    path = writer.path
    writer.close()
    assert path.stat().st_size == chunk.offset_after


def test_files_and_folders_are_for_their_owner_only(place: Place, writer: JournalWriter) -> None:
    writer.append(event(1))
    assert writer.path is not None
    assert stat.S_IMODE(writer.path.stat().st_mode) == 0o600
    for folder in (place.root, place.journal, place.done, place.claims):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert re.fullmatch(rf"{os.getpid()}-\d{{19}}-[0-9a-f]{{8}}-000001\.j", writer.path.name)


def test_a_journal_is_locked_and_has_its_header_before_it_is_visible(
    place: Place, writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, seen = os.rename, []

    def look(source: Path, target: Path) -> None:
        assert journals(place) == []
        seen.append((is_owned(source), read(source, 0, 1000).payloads))
        rename(source, target)

    monkeypatch.setattr(os, "rename", look)
    writer.append(event(1))
    assert seen == [(True, [b'{"header": true}'])]


def test_a_line_break_in_a_payload_does_not_break_the_journal(place: Place, writer: JournalWriter) -> None:
    writer.append('{"n":\n1}')
    writer.append('{"n": 2, "text": "é\ud800"}')
    assert numbers(place) == [1, 2]


def test_after_close_a_new_segment_is_begun(place: Place, writer: JournalWriter) -> None:
    writer.append(event(1))
    first = writer.path
    assert first is not None
    writer.close()
    assert writer.path is None
    assert not is_owned(first)
    writer.append(event(2))
    assert writer.path != first
    assert writer_key(writer.path or first) == writer_key(first)
    assert numbers(place) == [1, 2]


def test_an_event_in_an_exit_function_is_recorded(place: Place) -> None:
    code = """
import atexit
atexit.register(lambda: writer.append(event(2)))
atexit.register(writer.close)
writer.append(event(1))
"""
    run_writer(place, code)
    assert numbers(place) == [1, 2]


def test_a_process_that_never_closes_its_journal_ends_in_silence(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    code = """
import logging
logging.keep = writer  # lives until the modules are taken apart
for n in range(100): writer.append(event(n))
"""
    run_writer(place, code, segment_bytes=1_000)
    assert numbers(place) == list(range(100))
    assert capfd.readouterr().err == ""


def test_a_relative_place_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    journal = JournalWriter(Place(Path("ledger.db")), lambda: '{"header": true}')
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    journal.append(event(1))
    assert numbers(Place(tmp_path / "ledger.db")) == [1]
    journal.close()


def _append_many(journal: JournalWriter, base: int) -> None:
    for n in range(500):
        journal.append(event(base + n))


def test_threads_and_rotation_write_everything_once(place: Place) -> None:
    journal = JournalWriter(place, lambda: '{"header": true}', segment_bytes=2_000)
    threads = [threading.Thread(target=_append_many, args=(journal, base)) for base in range(0, 4000, 500)]
    for thread in threads:
        thread.start()
    sealed: dict[Path, int] = {}
    while any(thread.is_alive() for thread in threads):
        for path in journals(place):
            if path not in sealed and not is_owned(path):
                sealed[path] = path.stat().st_size
        time.sleep(0.001)
    assert sorted(numbers(place)) == list(range(4000))
    assert sealed
    assert {path: path.stat().st_size for path in sealed} == sealed  # unlocked: nobody wrote there again
    assert all(read_one(path)[0] == b'{"header": true}' for path in journals(place))
    assert [path for path in journals(place) if is_owned(path)] == [journal.path]
    journal.close()
    assert not any(is_owned(path) for path in journals(place))


def test_rotation_leaves_no_descriptor_open(place: Place) -> None:
    journal = JournalWriter(place, lambda: "{}", segment_bytes=300)
    journal.append(event(0))
    before = len(os.listdir("/dev/fd"))
    for n in range(100):
        journal.append(event(n, 100))
    assert len(journals(place)) > 30
    assert len(os.listdir("/dev/fd")) == before
    journal.close()


def test_a_sign_of_life_is_the_time_of_the_file(writer: JournalWriter) -> None:
    writer.touch()  # nothing to touch yet
    writer.append(event(1))
    assert writer.path is not None
    os.utime(writer.path, (1, 1))
    writer.touch()
    assert abs(last_seen_ns(writer.path) - time.time_ns()) < 60e9


def test_sync_brings_every_segment_to_the_disk(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = JournalWriter(place, lambda: "{}", segment_bytes=200)
    journal.append(event(1))
    assert journal.sync()
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    for n in range(4):
        journal.append(event(n, 300))
    count = len(journals(place))
    assert journal.sync()
    assert len(synced) >= count - 1
    synced.clear()
    assert journal.sync()
    assert len(synced) == 1
    assert sum(is_owned(path) for path in journals(place)) == 1
    journal.close()


def test_a_sync_that_fails_is_told(writer: JournalWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    writer.append(event(1))
    assert not writer.sync()
    assert guard.counts() == {"journal.sync": 1}


def test_a_signal_handler_may_append_while_the_program_appends(place: Place) -> None:
    code = """
import itertools
counter = itertools.count(1_000_000)
depth = 0
def handle(number, frame):  # may be interrupted by itself, a few times: on a busy machine they would pile up
    global depth
    depth += 1
    if depth < 5: signal.setitimer(signal.ITIMER_REAL, 0.0005)
    writer.append(event(next(counter)))
    depth -= 1
    if depth == 0: signal.setitimer(signal.ITIMER_REAL, 0.0005)
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0005)
for n in range(20_000): writer.append(event(n))
signal.setitimer(signal.ITIMER_REAL, 0)
say(next(counter) - 1_000_000)
"""
    count = int(run_writer(place, code, segment_bytes=20_000)[0])
    assert count > 20
    found = Counter(numbers(place))
    assert set(found) == {*range(20_000), *range(1_000_000, 1_000_000 + count)}
    assert max(found.values()) == 1


@by_system_calls
def test_a_signal_handler_may_append_while_events_wait_in_memory(
    writer: JournalWriter, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = os.write, 0

    def interrupted(fd: int, data: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls in (1, 2, 4):  # also while the segment is being opened
            os.kill(os.getpid(), signal.SIGUSR1)
        return write(fd, data)

    before = signal.signal(signal.SIGUSR1, lambda number, frame: writer.append(event(100 + calls)))
    try:
        monkeypatch.setattr(os, "write", interrupted)
        for n in range(5):
            writer.append(event(n))
    finally:
        monkeypatch.undo()
        signal.signal(signal.SIGUSR1, before)
    assert writer.buffered == 0
    assert sorted(n for n in numbers(place) if n < 100) == [0, 1, 2, 3, 4]
    assert sum(n >= 100 for n in numbers(place)) == 3


@by_system_calls
def test_an_exception_of_a_signal_handler_passes_and_breaks_nothing(
    writer: JournalWriter, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(fd: int, data: bytes) -> int:
        raise TimeoutError("the caller's alarm")

    for first in (True, False):
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", interrupt)
            with pytest.raises(TimeoutError, match="the caller's alarm"):
                writer.append(event(1 if first else 3))
        writer.append(event(2 if first else 4))
    assert [n for n in numbers(place) if n in (2, 4)] == [2, 4]
    assert writer.trouble is None
    assert [path for path in place.journal.iterdir() if path.name.startswith(".")] == []


def test_a_header_that_fails_costs_no_event(place: Place) -> None:
    journal = JournalWriter(place, lambda: json.dumps(1 / 0))
    journal.append(event(1))
    assert read_all(place) == [b"{}", event(1).encode()]
    assert guard.counts() == {"journal.header: ZeroDivisionError": 1}
    journal.close()


@pytest.mark.parametrize("spoil", ["file", "link", "open to all"])
def test_a_place_that_cannot_be_trusted_is_refused(place: Place, spoil: str) -> None:
    place.root.mkdir()
    if spoil == "file":
        place.journal.write_text("")
    elif spoil == "link":
        place.journal.symlink_to(place.ledger.parent)
    else:
        place.root.chmod(0o707)
    with pytest.raises(LedgerError, match=r"chmod|JOBSPAN_LEDGER"):
        place.prepare()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_place_of_another_user_is_refused(place: Place, writer: JournalWriter) -> None:
    place.prepare()
    os.chown(place.claims, 12345, 12345)
    with pytest.raises(LedgerError, match="belongs to user 12345"):
        place.prepare()
    writer.append(event(1))
    assert writer.buffered == 1
    assert "belongs to user 12345" in (writer.trouble or "")
