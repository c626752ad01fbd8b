"""The commands that look start quickly, however much was recorded."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from tests.program import cpu_seconds, run_python

FLOOR = ["-c", "import opentelemetry.sdk.trace, wrapt"]
RECORD = """
import sys, jobspan
jobspan.configure(mode="offline")
for number in range(int(sys.argv[1])):
    with jobspan.job("nightly") as job:
        with job.client(f"client-{number}") as run: run.add(leads=1)
assert jobspan.flush(60)
"""
MOST = 4.0
"""Times the floor, which takes 0.1 s on a quiet machine: 0.4 s."""
MOST_OF_A_LISTING = 400e-6
"""Seconds of CPU for each line of a listing, and for each job in JSON three times that."""


@pytest.mark.parametrize("jobs", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_runs_takes_less_than_four_imports_of_the_sdk(tmp_path: Path, jobs: int) -> None:
    """Measured 2026-11 with 10,000 jobs: 1.2 (2.2 with a table by rich); one of three must do."""
    made = run_python(["-c", RECORD, str(jobs)], tmp_path, timeout=110)
    assert made.returncode == 0, made.stderr
    commands = {"floor": FLOOR, "runs": ["-c", "import jobspan.cli as c; c.main(['runs'])"]}
    ratio = 0.0
    for _ in range(3):
        cpu: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(3):
            for name, arguments in commands.items():
                cpu[name].append(cpu_seconds(arguments, tmp_path))
        ratio = statistics.median(cpu["runs"]) / statistics.median(cpu["floor"])
        if ratio <= MOST:
            return
    pytest.fail(f"{ratio:.1f} times the floor")


@pytest.mark.parametrize("jobs", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_long_listing_takes_little_more_for_each_line(tmp_path: Path, jobs: int) -> None:
    """Measured 2026-11: 90 µs a line (1,800 with a table by rich), 550 µs a job in JSON."""
    made = run_python(["-c", RECORD, str(jobs)], tmp_path, timeout=110)
    assert made.returncode == 0, made.stderr
    found: list[tuple[float, float]] = []
    for _ in range(3):
        start, table, whole = (
            cpu_seconds(["-c", "import sys, jobspan.cli as c; c.main(sys.argv[1:])", "runs", *more], tmp_path)
            for more in (["--limit", "1"], ["--limit", str(jobs)], ["--json"])
        )
        found.append(((table - start) / jobs, (whole - start) / jobs))
        if found[-1][0] <= MOST_OF_A_LISTING and found[-1][1] <= 3 * MOST_OF_A_LISTING:
            return
    pytest.fail(f"seconds a line, and a job in JSON: {found}")
