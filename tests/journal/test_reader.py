from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

import pytest

from jobspan import _clock
from jobspan.journal import (
    JournalWriter,
    Place,
    done_journals,
    encode,
    header,
    is_owned,
    is_writer_dead,
    journals,
    prune_done,
    read,
    retire,
    writer_key,
)
from tests.journal.observing import by_system_calls, event, numbers, read_one

pytestmark = pytest.mark.usefixtures("kind")


@pytest.fixture
def dead(place: Place) -> Path:
    """A journal of a dead owner: a header and nine events."""
    return _dead_journal(place, "1-1700000000000000000-abcdef01-000001.j")


def _dead_journal(place: Place, name: str, tail: bytes = b"") -> Path:
    place.prepare()
    path = place.journal / name
    path.write_bytes(encode('{"header": true}') + b"".join(encode(event(n)) for n in range(9)) + tail)
    return path


def test_no_place_means_no_journals(place: Place) -> None:
    assert journals(place) == done_journals(place) == []
    assert prune_done(place) == []
    assert not retire(place.journal / "gone.j", place)
    assert header(place.journal / "gone.j") is None
    assert not is_owned(place.journal / "gone.j")


def test_journals_are_listed_oldest_first_and_hidden_ones_never(place: Place) -> None:
    place.prepare()
    names = [
        "9-100-b-000001.j",
        "8-99-a-000002.j",
        "8-99-a-000010.j",
        "odd.j",
        ".7-1-a-000001.j.new",
        "x.txt",
    ]
    for name in names:
        (place.journal / name).touch()
    assert [path.name for path in journals(place)] == ["odd.j", names[1], names[2], names[0]]


@pytest.mark.parametrize("limit", [1, 7, 50, 100, 1 << 20])
def test_a_journal_is_read_in_chunks_of_any_size(dead: Path, limit: int) -> None:
    assert read_one(dead, limit=limit) == [b'{"header": true}', *(event(n).encode() for n in range(9))]


def test_an_event_larger_than_the_limit_is_read(place: Place, writer: JournalWriter) -> None:
    writer.append(event(1, 300_000))
    writer.append(event(2))
    for path in journals(place):
        assert len(read_one(path, limit=1000)) == 3
    assert numbers(place) == [1, 2]


def test_reading_goes_on_where_it_stopped(place: Place, writer: JournalWriter) -> None:
    offset, found = 0, []
    for n in range(50):
        writer.append(event(n))
        chunk = read(journals(place)[0], offset, 1 << 20)
        offset = chunk.offset_after
        found.extend(chunk.payloads)
        assert chunk.at_end
    assert found[1:] == [event(n).encode() for n in range(50)]
    assert read(journals(place)[0], offset, 1 << 20).payloads == []


@by_system_calls
def test_a_torn_tail_is_waited_for_while_the_owner_lives(place: Place, writer: JournalWriter) -> None:
    writer.append(event(0))
    path = journals(place)[0]
    with path.open("ab") as file:
        file.write(encode(event(1))[:20])
        file.flush()
        alive = read(path, 0, 1 << 20)
        assert (len(alive.payloads), alive.skipped, alive.owned, alive.at_end) == (2, 0, True, True)
        file.write(encode(event(2)))
    blocked = read(path, alive.offset_after, 64)
    assert (blocked.payloads, blocked.offset_after, blocked.at_end) == ([], alive.offset_after, True)
    writer.close()
    sealed = read(path, alive.offset_after, 64)
    assert (sealed.payloads, sealed.skipped, sealed.owned) == ([event(2).encode()], 1, False)
    assert sealed.at_end
    assert sealed.offset_after == path.stat().st_size


def test_the_torn_tail_of_a_dead_owner_is_counted_once(place: Place) -> None:
    path = _dead_journal(place, "1-1-a-000001.j", tail=encode(event(9))[:20])
    for limit in (64, 1 << 20):
        offset = skipped = 0
        while not (chunk := read(path, offset, limit)).at_end:
            offset, skipped = chunk.offset_after, skipped + chunk.skipped
        assert skipped + chunk.skipped == 1
        assert chunk.offset_after == path.stat().st_size


def test_room_not_used_is_no_event_and_no_skip(place: Place) -> None:
    path = _dead_journal(place, "1-1-a-000001.j", tail=b"\0" * 100_000)
    assert len(read_one(path, limit=1000)) == 10
    assert read(path, 0, 1 << 20).skipped == 0


def test_the_header_is_the_first_record(dead: Path, place: Place, writer: JournalWriter) -> None:
    assert header(dead) == b'{"header": true}'
    writer.append(event(1))
    assert header(writer.path or dead) == b'{"header": true}'
    (place.journal / "torn.j").write_bytes(b"\n1234")
    (place.journal / "false.j").write_bytes(b"\n12345678 {}\n")
    assert header(place.journal / "torn.j") is header(place.journal / "false.j") is None


def test_what_is_no_file_is_not_read(place: Place) -> None:
    place.prepare()
    os.mkfifo(place.journal / "1-1-a-000001.j")
    (place.journal / "1-1-a-000002.j").symlink_to("/etc/passwd")
    for path in journals(place):
        with pytest.raises(OSError):
            read(path, 0, 100)
        assert header(path) is None
        assert not retire(path, place)


def test_a_writer_is_dead_only_when_no_segment_of_it_is_locked(place: Place) -> None:
    journal = JournalWriter(place, lambda: "{}", segment_bytes=100)
    for n in range(3):
        journal.append(event(n, 100))
    first = journals(place)[0]
    assert not is_owned(first)
    assert not is_writer_dead(first, place)
    journal.close()
    assert is_writer_dead(first, place)


def test_a_rotating_writer_never_looks_dead(place: Place) -> None:
    journal = JournalWriter(place, lambda: "{}", segment_bytes=100)
    journal.append(event(0))
    path, stop = journals(place)[0], threading.Event()

    def rotate() -> None:
        for n in range(300):
            if not stop.is_set():
                journal.append(event(n, 100))
                time.sleep(0.0005)

    thread = threading.Thread(target=rotate)
    thread.start()
    verdicts = [is_writer_dead(path, place) for _ in range(50)]
    stop.set()
    thread.join()
    assert not any(verdicts)
    assert {writer_key(other) for other in journals(place)} == {writer_key(path)}
    journal.close()


def test_a_journal_with_an_owner_is_not_set_aside(place: Place, writer: JournalWriter) -> None:
    writer.append(event(1))
    path = journals(place)[0]
    assert not retire(path, place)
    writer.close()
    assert retire(path, place)
    assert retire(path, place)  # by whomever
    assert journals(place) == []
    assert [done.name for done in done_journals(place)] == [path.name]
    assert numbers(place) == [1]
    with pytest.raises(FileNotFoundError):
        read(path, 0, 100)


def test_racing_readers_neither_make_an_owner_nor_lose_a_journal(place: Place) -> None:
    paths = [_dead_journal(place, f"1-{n}-a-000001.j") for n in range(40)]
    owned: list[bool] = []
    retired: list[Path] = []

    def fold() -> None:
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                owned.extend(read(path, 0, 1 << 20).owned for _ in range(20))
            if retire(path, place):
                retired.append(path)

    threads = [threading.Thread(target=fold) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert owned
    assert not any(owned)
    assert len(retired) == 4 * 40
    assert journals(place) == []
    assert len(done_journals(place)) == 40


def test_old_journals_are_cleared_away(place: Place, dead: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert retire(dead, place)
    os.utime(done_journals(place)[0], (1, 1))  # its last event is old, but it was set aside just now
    assert prune_done(place) == []
    leftover = place.journal / ".1-1-a-000001.j.new"
    leftover.touch()
    now = time.time_ns() + 8 * 24 * 3600 * 10**9
    monkeypatch.setattr(_clock, "now_ns", lambda: now)
    assert [path.name for path in prune_done(place)] == [dead.name]
    assert done_journals(place) == []
    assert not leftover.exists()


def test_the_oldest_journals_go_when_they_take_too_much_room(place: Place) -> None:
    names = [f"1-{n}-a-000001.j" for n in range(5)]
    for name in names:
        assert retire(_dead_journal(place, name), place)
        time.sleep(0.02)  # the file system tells times apart by some milliseconds
    size = done_journals(place)[0].stat().st_size
    assert {path.name for path in prune_done(place, keep_bytes=2 * size)} == set(names[:3])
    assert [path.name for path in done_journals(place)] == names[3:]
    assert len(prune_done(place, keep_bytes=0)) == 2
