"""Signal handlers and other threads that come in at any point of the rare roads."""

from __future__ import annotations

import contextlib
import dis
import errno
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from jobspan.journal import JournalWriter, Place, backlog, mapping, state, writer
from jobspan.journal.segment import Segment
from tests.journal.observing import event, numbers

WATCHED = {module.__file__ for module in (backlog, state, writer)}
LETS_IN = {"CALL", "CALL_KW", "CALL_FUNCTION_EX", "RESUME", "JUMP_BACKWARD"}
"""Instructions behind which the interpreter looks for signals and for threads that wait."""


class Intruder:
    """Calls `act` once, at the `at`-th point where the watched modules can be interrupted."""

    def __init__(self, at: int, act: Callable[[], None]) -> None:
        self.points_left = at
        self._act = act

    def run(self, work: Callable[[], object]) -> None:
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            work()
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)

    def _trace(self, frame: FrameType, kind: str, value: Any) -> Any:
        if frame.f_code.co_filename not in WATCHED:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if kind == "opcode" and self._can_be_interrupted(frame):
            self.points_left -= 1
            if self.points_left == 0:
                self._act()
        return self._trace

    def _can_be_interrupted(self, frame: FrameType) -> bool:
        code, last = frame.f_code.co_code, frame.f_lasti - 2
        while last > 0 and dis.opname[code[last]] == "CACHE":
            last -= 2
        return last >= 0 and dis.opname[code[last]] in LETS_IN


def fill_up(patch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> Segment:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    patch.setattr(Segment, "create", refuse)


def may_be_asked_again(journal: JournalWriter) -> None:
    journal._state().retry_at = 0.0


@pytest.mark.parametrize("appends_first", [False, True])
@pytest.mark.usefixtures("kind")
def test_an_exception_at_any_point_loses_nothing_that_waits(
    place: Place, monkeypatch: pytest.MonkeyPatch, appends_first: bool
) -> None:
    for at in range(1, 100_000):
        journal = JournalWriter(place, lambda: '{"header": true}')
        appended = [10 * at + n for n in range(4)]
        with monkeypatch.context() as patch:
            fill_up(patch)
            for n in appended[:3]:
                journal.append(event(n))

        def interrupt(journal: JournalWriter = journal, appended: list[int] = appended) -> None:
            if appends_first:
                journal.append(event(appended[3]))
            raise KeyboardInterrupt

        may_be_asked_again(journal)
        intruder = Intruder(at, interrupt)
        intruder.run(journal.touch)
        assert journal.trouble is not None or journal.buffered == 0, at
        journal.close()
        wanted = set(appended if appends_first and intruder.points_left <= 0 else appended[:3])
        assert wanted <= {n for n in numbers(place) if n in appended}, at
        for path in place.journal.glob("*.j"):
            path.unlink()
        if intruder.points_left > 0:
            return


@pytest.mark.usefixtures("kind")
def test_a_signal_handler_may_append_at_any_point_of_the_first_append(place: Place) -> None:
    for at in range(1, 100_000):
        journal = JournalWriter(place, lambda: '{"header": true}')
        intruder = Intruder(at, lambda journal=journal: journal.append(event(2)))  # type: ignore[misc]
        intruder.run(lambda journal=journal: journal.append(event(1)))  # type: ignore[misc]
        journal.close()
        assert Counter(numbers(place)) == Counter([1] if intruder.points_left > 0 else [1, 2]), at
        for path in place.journal.glob("*.j"):
            path.unlink()
        if intruder.points_left > 0:
            return


def beside(threads: list[threading.Thread], act: Callable[[], None]) -> None:
    """Do `act` in another thread; go on where that has to wait."""
    thread = threading.Thread(target=act)
    threads.append(thread)
    thread.start()
    thread.join(0.1)


@pytest.mark.usefixtures("kind")
def test_nothing_stays_in_memory_where_trouble_ends_with_nothing_that_waits(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waited was stored elsewhere."""
    journal = JournalWriter(place, lambda: '{"header": true}')
    journal.append(event(0))
    own, aim = journal._state(), journal._aim
    threads: list[threading.Thread] = []
    journal._blame(own, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    journal.append(event(1))
    assert (journal.buffered, journal.trouble is None) == (1, False)
    journal.forget(journal.buffered_payloads())
    journal.touch()
    assert journal.trouble, "the disk was not asked"

    def watched(segment: Segment) -> None:
        beside(threads, lambda: journal.append(event(2)))
        aim(segment)

    monkeypatch.setattr(journal, "_aim", watched)
    own.retry_at = 0.0
    journal.touch()
    monkeypatch.undo()
    for thread in threads:
        thread.join()
    assert (journal.trouble, journal.buffered) == (None, 0)
    assert numbers(place) == [0, 2]
    journal.close()


@pytest.mark.parametrize("kind", ["compiled", "mapped"], indirect=True)
@pytest.mark.usefixtures("kind")
def test_what_waits_is_written_first_also_where_it_fills_more_than_one_segment(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = JournalWriter(place, lambda: '{"header": true}', segment_bytes=4096)
    with monkeypatch.context() as patch:
        fill_up(patch)
        for n in range(30):
            journal.append(event(n, 300))
    rotate, threads = journal._rotate, list[threading.Thread]()

    def rotated(*arguments: Any) -> None:
        rotate(*arguments)
        beside(threads, lambda: journal.append(event(30)))

    monkeypatch.setattr(journal, "_rotate", rotated)
    may_be_asked_again(journal)
    journal.touch()
    monkeypatch.undo()
    for thread in threads:
        thread.join()
    assert len(threads) > 1
    assert numbers(place) == [*range(30), *[30] * len(threads)]
    journal.close()


@pytest.mark.usefixtures("kind")
def test_a_segment_that_is_still_written_to_does_not_close(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler's exception passes where the next one has just been begun."""
    journal = JournalWriter(place, lambda: '{"header": true}', segment_bytes=4096)
    journal.append(event(0))
    journal.append(event(4))  # looked at the file: from here on by the compiled road
    close, appended = mapping.Room.close, [0]

    def interrupted(segment: Segment) -> None:
        raise KeyboardInterrupt

    def closed(room: mapping.Room) -> bool:
        if len(appended) == 1:
            appended.append(1)
            journal.append(event(1))
        return close(room)

    with monkeypatch.context() as patch:
        patch.setattr(journal._road, "aim", interrupted)
        patch.setattr(mapping.Room, "close", closed)
        with contextlib.suppress(KeyboardInterrupt):  # keeps no frame, as `pytest.raises` does
            journal.append(event(2, 4096))
    journal.append(event(3))
    journal.close()
    assert {*appended, 3} <= set(numbers(place))
