"""Whatever moment a process is killed at: what was acknowledged is in the ledger, once."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from tests.faults import killable
from tests.faults.process import jobs

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["tests.faults.killable"])


class Trial:
    """Two processes that write and one that reads, each killed at a moment of its own."""

    def __init__(self, ledger: Path, seed: int) -> None:
        self.pick = random.Random(seed)
        self.ledger = ledger
        self.records: list[Any] = []
        self.killed_at = 0.0

    def run(self) -> None:
        processes: list[Any] = [_server.Process(target=killable.read, args=(str(self.ledger),))]
        drains: list[threading.Thread] = []
        ours: list[Connection] = []
        for _ in range(2):
            mine, theirs = _server.Pipe(duplex=False)
            arguments = (str(self.ledger), self.pick.randrange(10**9), theirs)
            processes.append(_server.Process(target=killable.write, args=arguments))
            processes[-1].start()
            theirs.close()
            ours.append(mine)
            drains.append(threading.Thread(target=self._drain, args=(mine.fileno(),)))
            drains[-1].start()
        processes[0].start()
        self._wait_for_jobs()
        self.pick.shuffle(processes)
        for process in processes:
            time.sleep(self.pick.random() * 0.1)
            os.kill(process.pid, signal.SIGKILL)
        for worker in [*processes, *drains]:
            worker.join()
        self.killed_at = time.time()

    def _wait_for_jobs(self) -> None:
        until = time.monotonic() + 30
        while len({record[0] for record in list(self.records)}) < 2 and time.monotonic() < until:
            time.sleep(0.005)

    def _drain(self, fd: int) -> None:
        rest = b""
        while data := os.read(fd, 1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            self.records.extend(json.loads(line) for line in lines)

    def acknowledged(self) -> dict[tuple[str, str], Counter[str]]:
        """Return per client run what was acknowledged."""
        told: dict[tuple[str, str], Counter[str]] = {}
        for record in self.records:
            if len(record) > 1:
                job_id, client, posts, leads, is_error = record
                counts = told.setdefault((job_id, client), Counter())
                counts.update(posts=posts, leads=leads, errors=int(is_error), entries=1)
        return told


def check(trial: Trial) -> None:
    found = jobs(trial.ledger)
    assert {record[0] for record in trial.records} == {job["run_id"] for job in found}
    told = trial.acknowledged()
    runs: dict[tuple[str, str], Any] = {}
    for job in found:
        check_vanished(job, trial.killed_at)
        runs.update({(job["run_id"], run["client_id"]): run for run in job["client_runs"]})
    assert len(runs) == sum(len(job["client_runs"]) for job in found)
    assert told.keys() <= runs.keys()
    assert sum(check_client_run(run, told.get(key, Counter())) for key, run in runs.items()) <= 8
    assert jobs(trial.ledger) == found  # folding again changes nothing


def check_client_run(run: dict[str, Any], told: Counter[str]) -> int:
    """Compare a client run with what was acknowledged; return how many entries were not (at most one)."""
    values = {
        "posts": run["posts_processed"] or 0,
        "leads": run["leads_processed"] or 0,
        "errors": run["errors"] or 0,
    }
    closed = sum(one["status"] == "Completed" for one in run["operations"])
    assert closed >= told["entries"]
    assert run["status"] != "Running"
    surplus = {name: value - told[name] for name, value in values.items()}
    is_open = any(surplus.values()) or closed > told["entries"] or len(run["operations"]) > closed
    assert 0 <= surplus["posts"] < 50
    assert 0 <= surplus["leads"] < 50
    assert 0 <= surplus["errors"] <= 1
    assert len(run["operations"]) <= told["entries"] + 1
    return int(is_open)


def check_vanished(job: dict[str, Any], killed_at: float) -> None:
    assert job["status"] == "Failed"
    assert "process ended without finishing (last seen" in job["system_notes"]
    end = datetime.fromisoformat(job["end_time"]).timestamp()
    starts = [job["start_time"], *(run["start_time"] for run in job["client_runs"])]
    assert max(datetime.fromisoformat(text).timestamp() for text in starts) <= end <= killed_at + 0.05


def kill_and_check(folder: Path, seed: int) -> None:
    folder.mkdir()
    trial = Trial(folder / "ledger.db", seed)
    trial.run()
    check(trial)


@pytest.mark.parametrize("seed", range(20))
def test_what_was_acknowledged_before_a_kill_is_recorded_once(tmp_path: Path, seed: int) -> None:
    kill_and_check(tmp_path / "trial", seed)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    for seed in range(1000, 1200):
        kill_and_check(tmp_path / str(seed), seed)
