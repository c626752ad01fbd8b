"""Processes the fault tests start, and what they read back from a ledger."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

from jobspan.ledger.ledger import Ledger
from jobspan.ledger.reading import LedgerReader

SOURCE = Path(__file__).parents[2] / "src"

PRELUDE = """
import ctypes, json, os, signal, sys, threading, time
import jobspan
from jobspan import client_run, current_job, job, operation
from jobspan._runtime import runtime
def say(text):
    os.write(1, (str(text) + "\\n").encode())
"""


def environment(ledger: Path, **more: str) -> dict[str, str]:
    """Return the environment of a process that uses `ledger`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOBSPAN_")}
    return {**kept, "JOBSPAN_LEDGER": str(ledger), "JOBSPAN_STRICT": "1", "PYTHONPATH": str(SOURCE), **more}


def start(ledger: Path, code: str, *arguments: str, **more: str) -> subprocess.Popen[str]:
    """Run `code` in a fresh interpreter; pipes on stdin, stdout and stderr."""
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + code, *arguments],
        env=environment(ledger, **more),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(ledger: Path, code: str, *arguments: str, status: int = 0, **more: str) -> list[str]:
    """Run `code` to its end; return the lines it said."""
    with start(ledger, code, *arguments, **more) as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    return output.split("\n")[:-1]


@contextmanager
def reading(path: Path) -> Iterator[LedgerReader]:
    """Give a reader of the ledger at `path`, as a process that comes later has it."""
    ledger = Ledger(path, lambda start_ns: None, UTC)
    try:
        with ledger.reading(seconds=30.0) as reader:
            yield reader
    finally:
        ledger.close()


def jobs(path: Path) -> list[dict[str, Any]]:
    """Return all jobs as scripts see them, the oldest first."""
    with reading(path) as reader:
        return [job.to_dict() for job in reader.jobs()][::-1]


def settled(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return jobs in an order that does not depend on how they were folded."""
    return sorted(found, key=lambda job: str(job["run_id"]))
