"""The background fold works in pieces: how long it keeps the interpreter lock, and what that may not change.

Stretches are told in the folding thread's own CPU time between two turns of another thread, with forced
switches of threads off: what else the machine does changes neither.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from jobspan import _clock
from jobspan._breath import breathe, in_pieces, is_in_pieces, paced
from jobspan._keeper import Keeper
from jobspan.journal.given import GivenIds
from jobspan.journal.place import Place
from jobspan.journal.writer import JournalWriter
from jobspan.ledger.connection import connect
from jobspan.ledger.folder import Folder
from jobspan.ledger.gate import fork_gate
from jobspan.ledger.ledger import Ledger
from tests.faults.process import jobs, run, start

RUNS = 600
RECORD = f"""
with job("w") as j:
    for n in range({RUNS}):
        with j.client(f"c{{n}}") as c: c.add(leads=1)
say("up")
"""
LIVE = RECORD + "sys.stdin.read(); os._exit(0)"
STRETCHES = (
    """
from contextlib import nullcontext
from jobspan._breath import in_pieces
os.environ["JOBSPAN_EXIT_FLUSH"] = "0"
runtime().keeper.stop()  # folds are begun here alone
ledger = runtime().ledger
ledger.fold(seconds=9)  # loads what it needs
"""
    + RECORD
    + """
sys.setswitchinterval(60)
clock, ready, stretches = [], threading.Event(), []
def fold(piece):
    clock.append(time.pthread_getcpuclockid(threading.get_ident()))
    ready.set()
    with in_pieces(lambda: piece) if piece else nullcontext():
        assert ledger.fold(seconds=9, events=900 if piece else None)
        clock.clear()
thread = threading.Thread(target=fold, args=(float(sys.argv[1]),))
thread.start()
ready.wait()
last = 0
while clock:
    try: now = time.clock_gettime_ns(clock[0])
    except (IndexError, OSError): break
    stretches.append((now - last) / 1000)
    last = now
    time.sleep(0)
thread.join()
stretches.sort()
say(int(max(stretches)))
say(int(stretches[int(len(stretches) * 0.9)]))
os._exit(0)
"""
)


def stretches(ledger: Path, piece: float) -> tuple[int, int]:
    """Return the longest stretch of a fold and that of the 90th percentile, in µs of its thread."""
    _, longest, usual = run(ledger, STRETCHES, str(piece))
    return int(longest), int(usual)


@pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="no clock of another thread here")
def test_a_fold_in_pieces_lets_other_threads_go_on(tmp_path: Path) -> None:
    whole, _ = stretches(tmp_path / "whole.db", 0)
    assert whole > 2_000  # the contrast
    found = [stretches(tmp_path / f"{n}.db", 100e-6) for n in range(3)]
    assert min(longest for longest, _ in found) < whole / 2  # a collection of garbage cannot be cut
    assert min(usual for _, usual in found) < 400


class Behind:
    """A ledger in which there is always more to fold; knows how it was folded, and when."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.found: list[tuple[float, bool]] = []

    def fold(self, **options: object) -> bool:
        self.found.append((time.monotonic(), is_in_pieces()))
        time.sleep(0.05)
        return time.monotonic() > self.until

    def tidy(self) -> None:
        return


def test_a_flood_is_folded_without_breaths(tmp_path: Path) -> None:
    begun = time.monotonic()
    ledger: Any = Behind(begun + 2.2)
    journal = JournalWriter(Place(tmp_path / "ledger.db"), lambda: "{}")
    journal.append("{}")
    keeper = Keeper(
        ledger,
        journal,
        also=lambda: None,
        after=lambda: None,
        cancel=lambda asked: None,
        has_runs=lambda: False,
    )
    keeper.start()
    while time.monotonic() < begun + 2.8:
        time.sleep(0.05)
    keeper.stop()
    journal.close()
    first = ledger.found[0][0]
    assert {is_patient for at, is_patient in ledger.found if at < first + 0.4} == {True}
    assert ledger.found[-1][1] is False


def test_no_breath_is_taken_while_somebody_waits_for_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    breaths: list[float] = []
    monkeypatch.setattr(_clock, "sleep", breaths.append)
    done = threading.Event()

    def wait() -> None:
        with fork_gate.held():
            done.set()

    with in_pieces(lambda: 0.0 if fork_gate.is_wanted else 1e-9):
        with fork_gate.held():
            breathe()
            assert len(breaths) == 1
            waiting = threading.Thread(target=wait)
            waiting.start()
            while not fork_gate.is_wanted:
                time.sleep(0.001)
            breathe()
            assert len(breaths) == 1
        waiting.join()
        assert done.is_set()
        breathe()
    assert len(breaths) == 2
    assert list(paced([1, 2])) == [1, 2]  # outside, nothing is paced
    assert len(breaths) == 2


def test_what_another_process_folds_meanwhile_is_folded_once(ledger: Path) -> None:
    """The other one comes in at a breath, after the journal was read and before the transaction."""
    run(ledger, RECORD, JOBSPAN_EXIT_FLUSH="0")
    place = Place(ledger)
    others = [Folder(place, GivenIds(place, lambda start_ns: None)) for _ in range(2)]
    connection = connect(place)
    folded: list[int] = []
    is_begun = threading.Event()

    def fold_elsewhere() -> None:
        if not is_begun.is_set() or connection.in_transaction or folded:
            return
        own = connect(place)
        folded.append(others[1].fold(own, events=700).events)
        own.close()

    def come_in() -> float:
        thread = threading.Thread(target=fold_elsewhere)
        thread.start()
        thread.join()
        return 1e-9

    with in_pieces(come_in):
        is_begun.set()
        first = others[0].fold(connection, events=900)
        assert folded
        assert (first.events, first.more) == (0, True)
        while others[0].fold(connection, events=900).more:
            pass
    connection.close()
    (job,) = jobs(ledger)
    assert [one["leads_processed"] for one in job["client_runs"]] == [1] * RUNS


class Unwritten:
    """Events of a process whose disk refuses: in memory only."""

    def __init__(self, events: list[tuple[str, str]]) -> None:
        self.kept = events

    def events(self) -> list[tuple[str, str]]:
        return list(self.kept)

    def forget(self, events: list[tuple[str, str]]) -> None:
        self.kept = [event for event in self.kept if event not in events]


OPENED = '{"w":"J","q":0,"t":1,"e":"open","lane":1,"kind":"j","job":"J","name":"kept","id":"260101-000000"}'


def test_events_in_memory_are_kept_where_a_reading_is_thrown_away(ledger: Path) -> None:
    run(ledger, RECORD, JOBSPAN_EXIT_FLUSH="0")
    unwritten: Any = Unwritten([("P", OPENED)])
    own = Ledger(ledger, lambda start_ns: None, UTC, unwritten)
    place = Place(ledger)
    stale: list[int] = []

    def fold_elsewhere() -> None:
        other = connect(place)
        with contextlib.suppress(sqlite3.OperationalError):  # the fold is in its transaction
            stale.append(Folder(place, GivenIds(place, lambda start_ns: None)).fold(other, events=600).events)
        other.close()

    breaths: list[bool] = []

    def come_in() -> float:
        breaths.append(True)
        if len(breaths) > 1 and not stale:  # the first one is before it reads
            thread = threading.Thread(target=fold_elsewhere)
            thread.start()
            thread.join()
        return 1e-9

    with in_pieces(come_in):
        assert own.fold(seconds=9, events=900)
    own.close()
    assert len(stale) == 1
    assert unwritten.kept == []
    assert "kept" in [job["job_type"] for job in jobs(ledger)]


def test_what_was_written_since_a_reading_was_kept_is_asked_for(ledger: Path) -> None:
    run(ledger, RECORD, JOBSPAN_EXIT_FLUSH="0")
    place = Place(ledger)
    folder, connection, other = (
        Folder(place, GivenIds(place, lambda at: None)),
        connect(place),
        connect(place),
    )
    connection.execute("PRAGMA busy_timeout = 0")
    breaths: list[bool] = []

    def lock() -> float:
        breaths.append(connection.in_transaction)
        if breaths.count(False) == 2:  # the first one is before it reads
            other.execute("BEGIN IMMEDIATE")
        return 1e-9

    with in_pieces(lock), pytest.raises(sqlite3.OperationalError, match="locked"):
        folder.fold(connection, events=10_000)
    assert other.in_transaction
    other.execute("ROLLBACK")
    with in_pieces(lambda: 1e-9):
        kept = folder.fold(connection, events=10_000)
        assert kept.events
        assert kept.more  # something may have been written since
        assert not folder.fold(connection, events=10_000).more
    connection.close()
    other.close()


def test_live_journals_of_others_can_be_left_to_them(ledger: Path) -> None:
    own = Ledger(ledger, lambda start_ns: None, UTC)
    with start(ledger, f"runtime().keeper.pid = os.getpid()  # has none\n{LIVE}") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        assert own.fold(seconds=9, only="another-writer")
        assert _count(ledger) == 0
        process.communicate("")
    assert own.fold(seconds=9, only="another-writer")  # it has died
    assert _count(ledger) == RUNS
    own.close()


def _count(ledger: Path) -> int:
    connection = sqlite3.connect(ledger)
    (count,) = connection.execute("SELECT count(*) FROM runs WHERE kind = 'c'").fetchone()
    connection.close()
    return int(count)


FLOOD = """
rate, seconds = map(float, sys.argv[1:])
n, begun = 0, time.perf_counter()
with job("w") as j:
    while (now := time.perf_counter()) < begun + seconds:
        if not rate or now > begun + n / rate:
            n += 1
            with j.client(f"c{n}") as c: c.add(leads=1)
os._exit(0)
"""


def lags(ledger: Path, rate: float, seconds: float) -> list[float]:
    """Return by how many seconds the newest client run in the ledger was late, each quarter of a second."""
    found: list[float] = []
    with start(ledger, FLOOD, str(rate), str(seconds)) as process:
        while process.poll() is None:
            time.sleep(0.25)
            try:
                connection = sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)
                (end_ns,) = connection.execute("SELECT max(end_ns) FROM runs WHERE kind = 'c'").fetchone()
                connection.close()
            except sqlite3.Error:
                continue
            if end_ns is not None:
                found.append(time.time() - end_ns / 1e9)
        process.communicate()
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "late"), [(100, 2), (2000, 5)])
def test_rows_of_a_computing_thread_are_late_by_a_bounded_time(tmp_path: Path, rate: int, late: int) -> None:
    found = [sorted(lags(tmp_path / f"{trial}.db", rate, 10)) for trial in range(3)]
    assert min(times[-4] for times in found if len(times) > 20) <= late  # the first wait for modules, too
