"""The benchmarks run, measure what they say, and print a table."""

from __future__ import annotations

import re
from pathlib import Path

from tests.program import ROOT, run_python


def test_the_block_benchmark_prints_ratios_to_a_raw_span(tmp_path: Path) -> None:
    done = run_python([str(ROOT / "benchmarks" / "block.py"), "3"], tmp_path, JOBSPAN_STRICT="")
    assert done.returncode == 0, done.stderr
    ratios = dict(re.findall(r"^(.{48}) .* ([\d.]+)$", done.stdout, re.MULTILINE))
    assert float(ratios["raw OpenTelemetry span + BatchSpanProcessor     "]) == 1.0
    assert 0 < float(ratios["with client_run(): run.add()".ljust(48)]) < 50
