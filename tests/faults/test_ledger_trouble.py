"""A broken, locked, full or foreign ledger: the work goes on, health() tells, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import jobspan
from jobspan import client_run, job
from jobspan._runtime import runtime
from jobspan.model.event import Event
from jobspan.model.fold import Fold
from tests.faults.process import jobs, run, settled

CLIENTS = 40


def record(job_type: str = "before", clients: int = CLIENTS) -> None:
    with job(job_type) as j:
        for n in range(clients):
            with j.client(f"c{n}") as client:
                client.add(leads=n)


def zero_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(100))


def spoil_a_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096 * 2)
        file.write(random.Random(1).randbytes(4096))


def truncate(path: Path) -> None:
    path.write_bytes(b"")


def write_text(path: Path) -> None:
    path.write_text("not a database, but somebody's notes\n" * 200)


@pytest.mark.parametrize("damage", [zero_header, spoil_a_page, truncate, write_text])
@pytest.mark.parametrize("live", [False, True])
def test_a_damaged_ledger_is_set_aside_and_rebuilt(
    ledger: Path, damage: Callable[[Path], None], live: bool
) -> None:
    record()
    assert jobspan.flush()
    before = jobs(ledger)
    runtime().ledger.close()  # its writes are in the file now
    if live:
        with runtime().reading():
            pass
    damage(ledger)
    record("after", 3)
    if live:
        runtime().ledger.close()  # an open connection may live on what it holds in memory
    assert jobspan.flush()
    after = settled(jobs(ledger))
    assert [one for one in after if one["job_type"] == "before"] == before
    assert len(after) == 2
    aside = list(ledger.parent.glob("ledger.db.corrupt-*"))
    assert len([path for path in aside if not path.name.endswith(("-wal", "-shm"))]) == 1
    health = jobspan.health()
    assert not health.ok
    assert "corrupt-" in (health.last_error or "")


def test_a_deleted_ledger_is_rebuilt_and_told(ledger: Path) -> None:
    record()
    assert jobspan.flush()
    before = jobs(ledger)
    ledger.unlink()
    assert jobspan.flush()
    assert jobs(ledger) == before
    assert "deleted" in (jobspan.health().last_error or "")


@pytest.mark.parametrize("seed", range(6))
def test_garbage_in_the_wal_loses_nothing(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "ledger.db"
    code = """
for n in range(12):
    with job(f"t{n}") as j:
        for c in range(30):
            with j.client(f"c{c}") as r: r.add(leads=c)
    assert jobspan.flush()
os._exit(0)
"""
    run(path, code)
    copy = tmp_path / "copy"
    copy.mkdir()
    subprocess.run(["cp", "-a", str(path), f"{path}-wal", f"{path}.d", str(copy)], check=True)
    before = jobs(path)
    wal = copy / "ledger.db-wal"
    pick = random.Random(seed)
    with wal.open("r+b") as file:
        file.seek(pick.randrange(wal.stat().st_size - 2048))
        file.write(pick.randbytes(2048))
    assert jobs(copy / "ledger.db") == before
    assert len(before) == 12


def test_another_programs_database_is_never_touched(ledger: Path) -> None:
    other = sqlite3.connect(ledger)
    other.execute("CREATE TABLE customers (name TEXT)")
    other.execute("INSERT INTO customers VALUES ('Ann')")
    other.commit()
    other.close()
    before = ledger.read_bytes()
    record()
    assert not jobspan.flush(1)
    assert ledger.read_bytes() == before
    assert list(ledger.parent.glob("*corrupt*")) == []
    health = jobspan.health()
    assert "another program's database; choose another file with JOBSPAN_LEDGER" in (health.last_error or "")
    ledger.unlink()
    assert jobspan.flush()
    assert len(jobs(ledger)[0]["client_runs"]) == CLIENTS


def test_a_newer_ledger_is_refused_also_by_an_open_connection(ledger: Path) -> None:
    record()
    assert jobspan.flush()
    newer = sqlite3.connect(ledger)
    newer.execute("PRAGMA user_version = 1000")
    newer.close()
    record("later")
    assert not jobspan.flush(1)
    assert "written by a newer jobspan; update this one" in (jobspan.health().last_error or "")
    older = sqlite3.connect(ledger)
    older.execute("PRAGMA user_version = 1")
    assert older.execute("SELECT count(*) FROM runs WHERE kind = 'j'").fetchone() == (1,)
    older.close()
    assert jobspan.flush()
    assert len(jobs(ledger)) == 2


def test_a_locked_ledger_is_told_read_around_and_filled_later(ledger: Path) -> None:
    record()
    assert jobspan.flush()
    other = sqlite3.connect(ledger, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    record("locked")
    assert not jobspan.flush(0.5)
    assert "locked by another program; close it" in (jobspan.health().last_error or "")
    with runtime().reading(0.2) as reader:
        assert {one.job_type for one in reader.jobs()} == {"before", "locked"}
    other.execute("ROLLBACK")
    other.close()
    assert jobspan.flush()
    assert len(jobs(ledger)) == 2


def test_the_background_says_that_a_ledger_stays_locked(ledger: Path) -> None:
    record()
    assert jobspan.flush()
    other = sqlite3.connect(ledger, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    record("locked", 1)
    until = time.monotonic() + 30
    while jobspan.health().ok and time.monotonic() < until:
        time.sleep(0.1)
    assert "ledger.busy" in jobspan.health().reasons
    other.close()
    while len(jobs(ledger)) < 2 and time.monotonic() < until:
        time.sleep(0.1)
    assert len(jobs(ledger)) == 2


def test_events_no_file_takes_reach_the_ledger_and_leave_the_memory(ledger: Path) -> None:
    in_the_way = Path(f"{ledger}.d")
    in_the_way.write_text("")
    record()
    assert jobspan.flush() is True
    health = jobspan.health()
    assert health.pending == 0
    assert not health.ok
    assert len(jobs(ledger)[0]["client_runs"]) == CLIENTS
    in_the_way.unlink()
    time.sleep(1.1)
    record("after")
    assert jobspan.flush()
    assert [one["status"] for one in jobs(ledger)] == ["Completed", "Completed"]


def fill_disk(ledger: Path) -> Callable[[], None]:
    disk = ledger.parent / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting needs root")
    jobspan.configure(ledger=disk / "ledger.db", strict=False, mode="offline")
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return filler.unlink


def test_what_a_full_disk_refused_is_recorded_when_there_is_space(ledger: Path) -> None:
    make_room = fill_disk(ledger)
    disk = ledger.parent / "disk"
    try:
        record("full", 20)
        assert not jobspan.flush(0.5)
        health = jobspan.health()
        assert health.pending > 0
        assert any("No space left" in reason for reason in health.reasons)
        make_room()
        time.sleep(1.1)
        assert jobspan.flush()
        assert len(jobs(disk / "ledger.db")[0]["client_runs"]) == 20
    finally:
        jobspan.configure(ledger=ledger, strict=False, mode="offline")
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_ledger_on_a_read_only_disk_is_read(ledger: Path) -> None:
    disk = ledger.parent / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "none", str(disk)], capture_output=True, check=False
    ).returncode:
        pytest.skip("mounting needs root")
    try:
        jobspan.configure(ledger=disk / "ledger.db", strict=False, mode="offline")
        record()
        before = jobs(disk / "ledger.db")
        jobspan.shutdown()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert jobs(disk / "ledger.db") == before
        record("read-only", 3)
        with runtime().reading(0.2) as reader:
            assert {one.job_type for one in reader.jobs()} == {"before", "read-only"}
        assert not jobspan.flush(0.3)
        assert any("Read-only" in reason for reason in jobspan.health().reasons)
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        time.sleep(1.1)
        assert jobspan.flush()
        assert len(jobs(disk / "ledger.db")) == 2
    finally:
        jobspan.configure(ledger=ledger, strict=False, mode="offline")
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_signal_handler_may_flush_while_its_thread_folds(ledger: Path) -> None:
    record()
    assert jobspan.flush()
    record("after", 1)
    folder = runtime().ledger._folder
    assert folder is not None
    fold, answers = folder.fold, []

    def interrupted(connection: sqlite3.Connection, **options: object) -> object:
        connection.execute("BEGIN IMMEDIATE")
        with runtime().reading(0.1) as reader:
            answers.append(sorted(one.job_type for one in reader.jobs()))
        connection.execute("ROLLBACK")
        folder.fold = fold  # type: ignore[method-assign]
        return fold(connection, **options)  # type: ignore[arg-type]

    folder.fold = interrupted  # type: ignore[method-assign, assignment]
    assert jobspan.flush()
    assert answers == [["after", "before"]]


def test_a_record_that_is_no_event_is_told_and_costs_only_itself(ledger: Path) -> None:
    record()
    runtime().emit({"e": "open", "w": "strange", "q": 0, "t": 1, "kind": "j"})
    runtime().emit({"e": "open", "w": "strange2", "q": 0, "t": 1, "kind": "j", "job": ["x"], "name": 1})
    record("after", 2)
    assert jobspan.flush()
    assert [len(one["client_runs"]) for one in jobs(ledger)] == [CLIENTS, 2]
    assert "journal.damaged" in jobspan.health().reasons


def test_an_event_the_fold_fails_on_costs_only_itself(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apply = Fold.apply

    def failing(fold: Fold, event: Event, process: str | None) -> None:
        if event.get("w") == "poison":
            raise ValueError("poison")
        apply(fold, event, process)

    monkeypatch.setattr(Fold, "apply", failing)
    record()
    runtime().emit({"e": "note", "w": "poison", "q": 0, "t": 1, "text": "x"})
    record("after", 2)
    assert jobspan.flush()
    assert [len(one["client_runs"]) for one in jobs(ledger)] == [CLIENTS, 2]
    assert any(reason.startswith("fold.events") for reason in jobspan.health().reasons)


def test_a_thread_busy_with_the_ledger_does_not_hold_up_a_flush(ledger: Path) -> None:
    record()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with runtime().reading():
            held.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    started = time.monotonic()
    assert not jobspan.flush(0.3)
    jobspan.shutdown(0.3)
    assert time.monotonic() - started < 2
    done.set()
    thread.join()
    with client_run("later"):
        pass
    assert os.path.exists(ledger)
