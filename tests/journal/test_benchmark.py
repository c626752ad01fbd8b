from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.journal.observing import SOURCE

BENCHMARK = SOURCE.parent / "benchmarks" / "journal.py"


def test_the_journal_benchmark_measures_both_kinds_in_every_setting(tmp_path: Path) -> None:
    code = f"""
import runpy, sys
sys.argv = [{str(BENCHMARK)!r}]
benchmark = runpy.run_path(sys.argv[0])
found = benchmark["main"](1, 300)
assert len(found) == 8, found
assert all(0 < p50 <= p99 <= p999 for p50, p99, p999 in found.values()), found
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{SOURCE}{os.pathsep}{BENCHMARK.parent}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert [line.split(",")[0] for line in done.stdout.splitlines()[1::2]] == [
        "alone",
        "alone",
        "beside a busy thread",
        "in eight processes",
    ]
    assert list(tmp_path.iterdir()) == []
