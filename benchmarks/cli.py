"""How long the commands that look take, and how much memory, on a ledger of many jobs.

CPU time of the whole process, beside the import of the OpenTelemetry SDK and wrapt, medians of alternating
rounds. ``python benchmarks/cli.py [--jobs N] [--rounds N]``
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import interleaved

FLOOR = "import opentelemetry.sdk.trace, wrapt"
COMMAND = "import sys, jobspan.cli as c; sys.exit(c.main(sys.argv[1:]))"
RECORD = """
import sys, jobspan
jobspan.configure(mode="offline")
for number in range(int(sys.argv[1])):
    with jobspan.job("nightly") as job:
        with job.client(f"client-{number}") as run: run.add(leads=1)
assert jobspan.flush(600)
"""


def spent(code: str, arguments: list[str], home: str) -> tuple[float, float]:
    """Return the CPU milliseconds and the peak MiB of a fresh interpreter that finds its modules compiled."""
    environment = {**os.environ, "JOBSPAN_LEDGER": str(Path(home) / "ledger.db")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    return 1000 * (used.ru_utime + used.ru_stime), used.ru_maxrss / 1024


def main(jobs: int, rounds: int) -> None:
    """Print the table."""
    commands = [
        ["runs"],
        ["runs", "--limit", str(jobs)],
        ["runs", "--json", "--limit", "50"],
        ["runs", "--json"],
        ["usage"],
        ["export", "--format", "jsonl"],
    ]
    peaks: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as home:
        spent(RECORD, [str(jobs)], home)

        def measured(name: str, code: str, arguments: list[str]) -> float:
            milliseconds, peaks[name] = spent(code, arguments, home)
            return milliseconds

        cases = {"floor": lambda: measured("floor", FLOOR, [])}
        for command in commands:
            name = " ".join(["jobspan", *command])
            cases[name] = lambda name=name, command=command: measured(name, COMMAND, command)
        found = interleaved(cases, rounds, warm_up=1)
    print(f"{jobs:,} jobs; {rounds} rounds; CPU of the whole process")
    print(f"{'command':40}{'ms':>8}{'× floor':>9}{'µs a job':>10}{'peak MiB':>10}")
    floor = found["floor"].median
    for name, timing in found.items():
        each = f"{1000 * timing.median / jobs:>10.1f}"
        print(f"{name:40}{timing.median:>8.0f}{timing.median / floor:>9.2f}{each}{peaks[name]:>10.0f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="how long the commands that look take")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    main(given.jobs, given.rounds)
