"""Another process cuts the journal of a live one short: what "write" spares it, and "mapped" risks."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from subprocess import Popen

import pytest

from jobspan.journal import Place, journals, mapping
from tests.faults.process import jobs, run, start

WORK = """
def work(first, count):
    for n in range(first, first + count):
        with j.client(f"c{n}") as c:
            c.add(leads=1)
            c.note("x" * 200)
j = job("cut").__enter__()
work(0, 100)
assert jobspan.flush(20)
say("folded")
sys.stdin.readline()
work(100, 50)
time.sleep(1.2)  # it is looked at each second
work(150, 150)
j.__exit__(None, None, None)
jobspan.flush(20)
say(runtime().journal.lost_files)
"""
IS_MAPPED = """
for kind in ("mapped", "write"):
    jobspan.configure(journal=kind)
    with job("one"): pass
    say(str(runtime().journal.path) in open("/proc/self/maps").read())
"""


def cut(process: Popen[str], ledger: Path, size: int) -> None:
    """Cut the journal of `process` short once its first runs are folded; then have it go on."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "folded\n"
    (path,) = journals(Place(ledger))
    os.truncate(path, size)
    process.stdin.write("go\n")
    process.stdin.flush()


@pytest.mark.parametrize("size", [0, 5_000])
def test_a_written_journal_cut_short_harms_nobody(ledger: Path, size: int) -> None:
    with start(ledger, WORK, JOBSPAN_JOURNAL="write", JOBSPAN_STRICT="0") as process:
        cut(process, ledger, size)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert output == "1\n"
    (job,) = jobs(ledger)
    assert job["status"] == "Completed"
    found = {run["client_id"]: run["leads_processed"] for run in job["client_runs"]}
    assert found == {f"c{n}": 1 for n in range(300)}


def test_a_mapped_journal_cut_short_kills_its_process_and_keeps_what_was_folded(ledger: Path) -> None:
    if not mapping.is_safe(ledger.parent):
        pytest.skip("files are not mapped here")
    with start(ledger, WORK, JOBSPAN_JOURNAL="mapped") as process:
        cut(process, ledger, 0)
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGBUS
    (job,) = jobs(ledger)
    assert job["status"] == "Failed"
    assert [run["leads_processed"] for run in job["client_runs"]] == [1] * 100


def test_the_setting_alone_decides_where_files_can_be_mapped(ledger: Path) -> None:
    can = mapping.is_safe(ledger.parent)
    assert run(ledger, IS_MAPPED) == [str(can), "False"]
