"""The compiled road writes what the road in Python writes, and leaves to it whatever is unusual."""

from __future__ import annotations

import gc
import json
import mmap
import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobspan import _clock
from jobspan._compiled import native
from jobspan.journal import JournalWriter, Place, encode
from jobspan.journal.pen import Pen
from tests.journal.observing import SOURCE, event, numbers, read_all

ROOM = 4096
pids = st.integers(1, 2**31 - 1)
texts = st.text(st.characters(exclude_categories=()), max_size=40)  # surrogates alone, too
instants = st.integers(-(2**63), 2**63 - 1)


def test_the_compiled_part_is_installed_where_it_can_be() -> None:
    if os.environ.get("JOBSPAN_PURE_PYTHON") == "1":
        pytest.skip("it was to be left aside")
    if sys.platform != "linux" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert native is None
        return
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if shutil.which(compiler) is None:
        pytest.skip("there is no compiler")
    if not header.exists():
        pytest.skip("Python's headers are not installed")
    assert native is not None


@pytest.mark.skipif(sys.platform != "linux", reason="the compiled part is for Linux")
@pytest.mark.parametrize("has_lock", [True, False])
def test_where_there_is_no_interpreter_lock_the_package_is_built_without_it(
    monkeypatch: pytest.MonkeyPatch, has_lock: bool
) -> None:
    """There setuptools refuses to build at all where the stable ABI is asked for."""
    asked: dict[str, Any] = {}
    tools = SimpleNamespace(setup=asked.update, Extension=lambda *given, **options: given)
    monkeypatch.setitem(sys.modules, "setuptools", tools)
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: not has_lock)
    runpy.run_path(str(SOURCE.parent / "setup.py"))
    assert set(asked) == ({"ext_modules", "options"} if has_lock else set())


def test_it_compiles_without_a_warning() -> None:
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    include = sysconfig.get_path("include")
    if native is None or shutil.which(compiler) is None or not (Path(include) / "Python.h").exists():
        pytest.skip("it cannot be compiled here")
    strict = ["-Wall", "-Wextra", "-Wno-unused-parameter", "-Wno-missing-field-initializers", "-Werror"]
    command = [
        compiler,
        "-std=c11",
        "-fsyntax-only",
        *strict,
        f"-I{include}",
        str(SOURCE / "jobspan" / "_native.c"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


class Compiled:
    """A line of its own, aimed at a fresh mapping."""

    def __init__(self, room: int = ROOM, check_in: float = 60.0) -> None:
        if native is None:
            pytest.skip("the compiled part is not installed")
        self.mapped = mmap.mmap(-1, room)
        self.area = native.Area(self.mapped)
        self.late: list[str] = []
        self.told = memoryview(bytearray(4)).cast("i")
        self.told[0] = 7
        self.line = native.Line(self.told, self.late.append)
        self.line.aim(self.area, 7)
        self.line.check_at = time.monotonic() + check_in

    @property
    def content(self) -> bytes:
        return self.mapped[: self.area.used]


@given(texts)
@example("\n")
@example("")
@example("é\u2028")
@example("a\x00b")
def test_a_payload_is_written_as_python_writes_it_or_given_to_it(payload: str) -> None:
    compiled = Compiled()
    compiled.line.append(payload)
    if payload.isascii() and "\n" not in payload:
        assert (compiled.content, compiled.late) == (encode(payload), [])
    else:
        assert (compiled.content, compiled.late) == (b"", [payload])


@given(pids, texts, texts, st.lists(st.tuples(instants, texts), max_size=5))
@example(1, "W", "", [(0, '"e":"add"'), (-1, '"e":"é"'), (2**63 - 1, "x")])
@example(1, "W", "P", [(-(2**63), "x")])
def test_a_pen_writes_as_the_pen_of_python_does(
    pid: int, writer: str, part: str, bodies: list[tuple[int, str]]
) -> None:
    compiled = Compiled()
    wanted: list[str] = []
    pens: list[Any] = [compiled.line.pen(pid, writer, part), Pen(wanted.append, pid, writer, part)]
    for at_ns, body in bodies:
        for pen in pens:
            pen.write(at_ns, body)
    plain = [text for text in wanted if text.isascii() and "\n" not in text]
    assert compiled.content == b"".join(map(encode, plain))
    assert compiled.late == [text for text in wanted if text not in plain]
    assert [(pen.pid, pen.uid) for pen in pens] == [(pid, writer)] * 2


@given(st.integers(0, 2**64 - 1), st.text(max_size=16))
def test_a_new_part_has_the_uid_that_python_gives_it(number: int, prefix: str) -> None:
    compiled = Compiled().line.new_pen(7, prefix, number)
    assert (compiled.uid, compiled.pid) == (Pen.new(print, 7, prefix, number).uid, 7)


@pytest.mark.parametrize("kept_back", range(60))
def test_what_may_not_fit_is_left_to_python(kept_back: int) -> None:
    """The record that just fits by its own length, and those a little longer."""
    compiled = Compiled()
    compiled.area.write(b"\n" * (ROOM - 60))
    compiled.line.append("x" * kept_back)
    is_in = kept_back + 11 <= 60
    assert (compiled.area.used > ROOM - 60, compiled.late) == (is_in, [] if is_in else ["x" * kept_back])
    assert compiled.mapped[: ROOM - 60] == b"\n" * (ROOM - 60)


def test_an_area_refuses_what_does_not_fit() -> None:
    compiled = Compiled()
    compiled.area.write(bytes(ROOM - 1))
    with pytest.raises(ValueError, match="does not fit"):
        compiled.area.write(b"ab")
    compiled.area.write(b"a")
    assert compiled.area.used == ROOM
    compiled.area.release()
    with pytest.raises(ValueError, match="given up"):
        compiled.area.write(b"")
    compiled.mapped.close()  # a BufferError while the area holds it


def unaimed(compiled: Compiled) -> None:
    compiled.line.aim(None, 7)


def released(compiled: Compiled) -> None:
    compiled.area.release()


def forked(compiled: Compiled) -> None:
    compiled.told[0] = 0


def another(compiled: Compiled) -> None:
    compiled.told[0] = 8


def due(compiled: Compiled) -> None:
    compiled.line.check_at = time.monotonic()


@pytest.mark.parametrize("change", [unaimed, released, forked, another, due])
def test_whatever_is_unusual_is_left_to_python(change: Callable[[Compiled], None]) -> None:
    compiled = Compiled()
    pen = compiled.line.pen(7, "W", "")
    change(compiled)
    compiled.line.append("{}")
    pen.write(1, "x")
    assert compiled.late == ["{}", '{"w":"W","q":0,"t":1,x}']
    assert compiled.area.used == 0


def test_where_the_disk_refuses_events_wait_up_to_a_bound_and_a_time() -> None:
    compiled = Compiled()
    kept: list[str] = []
    compiled.line.aim(None, 7)
    compiled.line.hold(kept.append, 7, time.monotonic() + 60, 2 * (10 + 64))
    for n in range(3):
        compiled.line.append(str(n) * 10)
    assert (kept, compiled.late) == (["0" * 10, "1" * 10], ["2" * 10])
    compiled.line.hold(kept.append, 7, time.monotonic(), 1_000_000)
    compiled.line.append("3")
    compiled.line.hold(kept.append, 7, time.monotonic() + 60, 1_000_000)
    compiled.told[0] = 0
    compiled.line.append("4")
    compiled.told[0] = 7
    compiled.line.append("5")
    compiled.line.hold(None, -1, 0.0, 0)
    compiled.line.append("6")
    assert (kept[2:], compiled.late[1:]) == (["5"], ["3", "4", "6"])
    compiled.line.hold(kept.append, 7, time.monotonic() + 60, 1_000_000)
    compiled.line.aim(compiled.area, 7)
    compiled.line.aim(None, 7)
    compiled.line.append("7")
    assert compiled.late[-1] == "7"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda line: line.append(b"{}"),
        lambda line: line.append(None),
        lambda line: line.aim("area", 7),
        lambda line: line.pen(7),
        lambda line: line.pen("7", "W", ""),
        lambda line: line.pen(7, b"W", ""),
        lambda line: line.new_pen(7, "W", "1"),
        lambda line: line.pen(7, "W", "").write(1),
        lambda line: line.pen(7, "W", "").write("1", "x"),
        lambda line: line.pen(7, "W", "").write(1, b"x"),
        lambda line: type(line.pen(7, "W", ""))(),
        lambda line: native.Line(memoryview(bytearray(4)), 1, 2),
        lambda line: native.Area(b"not to be written"),
        lambda line: native.Area(1),
    ],
)
def test_wrong_arguments_are_a_type_error(wrong: Callable[[Any], object]) -> None:
    compiled = Compiled()
    with pytest.raises((TypeError, BufferError)):
        wrong(compiled.line)
    compiled.line.append("{}")
    assert compiled.content == encode("{}")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda line: line.new_pen(7, "W", 2**64),
        lambda line: line.new_pen(7, "W", -1),
        lambda line: line.new_pen(2**70, "W", 1),
        lambda line: line.pen(7, "W", "").write(2**63, "x"),
        lambda line: line.new_pen(7, "W" * 65, 1),
        lambda line: native.Line(memoryview(bytearray(3)), print),
    ],
)
def test_numbers_out_of_range_are_an_error(wrong: Callable[[Any], object]) -> None:
    compiled = Compiled()
    with pytest.raises((OverflowError, ValueError)):
        wrong(compiled.line)
    assert (compiled.content, compiled.late) == (b"", [])


def test_an_error_of_the_python_road_passes_through() -> None:
    compiled = Compiled()

    def refuse(payload: str) -> None:
        raise KeyboardInterrupt(payload)

    line = native.Line(compiled.told, refuse)
    with pytest.raises(KeyboardInterrupt, match="now"):
        line.append("now")
    with pytest.raises(KeyboardInterrupt, match='"q":0'):
        line.pen(7, "W", "").write(1, "x")


def test_nothing_is_kept_alive_and_nothing_leaks() -> None:
    class Owner:
        def __init__(self, told: memoryview) -> None:
            self.line = native.Line(told, self.take)  # a circle, as a journal writer makes it
            self.pen = self.line.pen(7, "W", "P")

        def take(self, payload: str) -> None:
            pass

    compiled = Compiled()
    known = weakref.ref(Owner(compiled.told))
    gc.collect()
    assert known() is None

    writer, body = "writer " + str(os.getpid()), "body " + str(os.getpid())
    before = [sys.getrefcount(each) for each in (writer, body, compiled.line, compiled.area)]
    for _ in range(20):
        pen = compiled.line.pen(7, writer, writer)
        pen.write(1, body)
        compiled.line.aim(None, 7)
        pen.write(1, body)
        compiled.line.append(body)
        compiled.line.aim(compiled.area, 7)
    compiled.late.clear()
    del pen
    assert [sys.getrefcount(each) for each in (writer, body, compiled.line, compiled.area)] == before


def test_threads_write_whole_records_and_number_them_once() -> None:
    compiled = Compiled(room=1 << 20)
    pen = compiled.line.pen(7, "W", "")
    started = threading.Barrier(8)

    def work(name: int) -> None:
        started.wait()
        for n in range(500):
            pen.write(n, f'"n":{name}')

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    records = [line for line in compiled.content.split(b"\n") if line]
    events = [json.loads(line[9:]) for line in records]
    assert [encode(line[9:].decode()) for line in records] == [b"\n" + line + b"\n" for line in records]
    assert sorted(each["q"] for each in events) == list(range(4000))


def test_the_clock_is_the_one_of_python() -> None:
    clock = _clock.Clock()
    for moved_ns in (0, 5_000_000_000, -5_000_000_000):
        clock._offset_ns += moved_ns
        if clock._compiled is not None:
            clock._compiled.offset_ns += moved_ns
        before, now, after = clock.now_ns(), clock.reader(), clock.now_ns()
        assert before <= now <= after
    assert _clock.FrozenClock(5).reader() == 5


def test_a_journal_goes_the_compiled_road_from_its_second_event(place: Place) -> None:
    Compiled()  # skips where there is none
    taken: list[str] = []

    class Watched(JournalWriter):
        def _append(self, payload: str) -> None:
            taken.append(payload)
            super()._append(payload)

    journal = Watched(place, lambda: '{"header": true}')
    for n in range(100):
        journal.append(event(n))
    assert numbers(place) == list(range(100))
    assert journal.position == os.path.getsize(journal.path or "") or taken[:1] == [event(0)]
    assert len(taken) <= 3, "the first, and what falls on the second"
    journal.close()


def test_python_alone_does_the_same(place: Place) -> None:
    code = """
import sys
from pathlib import Path
import jobspan
from jobspan import client_run, job
from jobspan._compiled import native
assert native is None
jobspan.configure(ledger=Path(sys.argv[1]))
with job("nightly"):
    with client_run("A") as run:
        run.add(leads=2)
jobspan.flush()
"""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "JOBSPAN_PURE_PYTHON": "1"}
    subprocess.run([sys.executable, "-c", code, str(place.ledger)], env=environment, check=True, timeout=60)
    kinds = [json.loads(payload)["e"] for payload in read_all(place)]
    assert kinds == ["process", "open", "open", "add", "close", "close"]
