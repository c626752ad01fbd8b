"""The benchmarks run, measure what they say, and print a table."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tests.program import ROOT, run_python


def test_the_block_benchmark_prints_ratios_to_a_raw_span(tmp_path: Path) -> None:
    done = run_python([str(ROOT / "benchmarks" / "block.py"), "3"], tmp_path, JOBSPAN_STRICT="")
    assert done.returncode == 0, done.stderr
    ratios = dict(re.findall(r"^(.{48}) .* ([\d.]+)$", done.stdout, re.MULTILINE))
    assert float(ratios["raw OpenTelemetry span + BatchSpanProcessor     "]) == 1.0
    assert 0 < float(ratios["with client_run(): run.add()".ljust(48)]) < 50


def test_the_relay_benchmark_prints_requests_beside_the_floor_and_the_plain_way(tmp_path: Path) -> None:
    program = str(ROOT / "benchmarks" / "relay.py")
    done = run_python([program, "--spacing", "0.02", "20"], tmp_path)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^ +20 ([a-z, ]+?) +([\d,]+)([ *])", done.stdout, re.MULTILINE)
    requests = {way: int(count) for way, count, _ in found}
    assert requests["floor"] == 3
    assert 3 < requests["jobspan"] <= 8
    assert requests["look up, create, update"] == 3 * 21
    assert {star for _, _, star in found} == {" "}


def test_the_relay_benchmark_marks_what_it_only_computed(tmp_path: Path) -> None:
    code = "import relay; print(relay.line(relay.by_plain_pyairtable(1000, 0.25), relay.floor(1000, 0.25)))"
    places = os.pathsep.join([str(ROOT / "src"), str(ROOT / "benchmarks")])
    done = run_python(["-c", code], tmp_path, PYTHONPATH=places)
    assert done.returncode == 0, done.stderr
    assert re.search(r"1,000 look up, create, update +3,003\* +750\.5\*", done.stdout)
