"""Runs programs of the project in processes of their own, with a ledger and a home of their own."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return an environment in which nothing of this machine's settings is left."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LC_ALL", "TMPDIR")}
    return {
        **kept,
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        "JOBSPAN_LEDGER": str(home / "ledger.db"),
        "JOBSPAN_STRICT": "1",
        **more,
    }


def run_python(
    arguments: Sequence[str], home: Path, *, timeout: float = 60, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run Python with `arguments` and return what it printed."""
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment(home, **more),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def cpu_seconds(arguments: Sequence[str], home: Path) -> float:
    """Return the CPU time of a fresh interpreter: what else the machine does hardly counts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run_python(arguments, home)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def stop(pid: int, ledger: Path) -> None:
    """Stop a process where it is not amid a write: else it keeps the ledger from all others.

    No other process can take that lock from it; see docs/guarantees.md.
    """
    until = time.monotonic() + 20
    process = psutil.Process(pid)
    while True:
        process.suspend()
        while process.status() != psutil.STATUS_STOPPED:
            assert time.monotonic() < until, "it does not stop"
            time.sleep(0.001)
        with closing(sqlite3.connect(ledger, timeout=0)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError:
                assert time.monotonic() < until, "it was always amid a write"
        process.resume()
        time.sleep(0.01)
