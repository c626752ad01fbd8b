"""Many processes fold and claim at the same time: each event once, each id once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.faults.process import jobs, start

WRITE = """
jobspan.configure(segment_bytes=8000)
with job("w") as j:
    say(j.run_id)
    for n in range(400):
        with j.client(f"c{n % 20}") as c:
            c.add(leads=1)
        if n % 50 == 0: jobspan.flush(0.2)
"""


@pytest.mark.parametrize("count", [2, 8])
def test_processes_that_fold_at_once_fold_each_event_once(ledger: Path, count: int) -> None:
    started = [start(ledger, WRITE) for _ in range(count)]
    for process in started:
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors
    found = jobs(ledger)
    assert len(found) == count
    for one in found:
        assert one["status"] == "Completed"
        assert [run["leads_processed"] for run in one["client_runs"]] == [20] * 20
    for path in (ledger, Path(f"{ledger}-wal"), Path(f"{ledger}-shm")):
        path.unlink(missing_ok=True)
    assert jobs(ledger) == found  # the journals set aside tell it all once more


def test_another_process_is_seen_at_once(ledger: Path) -> None:
    process = start(ledger, "j = job('live').__enter__()\nj.add(leads=2)\nsay('up')\nsys.stdin.read()")
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    (job,) = jobs(ledger)
    assert job["status"] == "Running"
    process.communicate("")


CLAIM = """
say("ready")
sys.stdin.readline()
for _ in range(125):
    with job("claimed") as j: say(j.run_id)
"""


@pytest.mark.parametrize("is_writable", [True, False])
def test_a_thousand_jobs_at_once_have_a_thousand_ids(ledger: Path, is_writable: bool) -> None:
    place = Path(f"{ledger}.d")
    if not is_writable:
        place.mkdir(mode=0o700)
        (place / "journal" / "done").mkdir(parents=True, mode=0o700)
        (place / "journal").chmod(0o700)
        (place / "claims").symlink_to("/proc/nowhere")
    started = [start(ledger, CLAIM, JOBSPAN_STRICT="0") for _ in range(8)]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    given: list[str] = []
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        output, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors
        given += output.split()
    assert len(given) == len(set(given)) == 1000
    if not is_writable:
        return
    found = {one["run_id"] for one in jobs(ledger)}
    assert len(found) == 1000


def test_jobs_with_one_id_are_told_apart(ledger: Path) -> None:
    code = "say(open(0).readline().strip())\nwith job('a') as j: say(j.run_id)"
    same = "from jobspan._clock import FrozenClock, use\nuse(FrozenClock())\n"
    for _ in range(2):
        with start(ledger, same + code, JOBSPAN_EXIT_FLUSH="0") as process:
            output, errors = process.communicate("\n", timeout=60)
            assert process.returncode == 0, errors
        assert output.split() == ["250615-150640"]
        shutil.rmtree(Path(f"{ledger}.d") / "claims")
    with start(ledger, "jobspan.flush()") as process:
        process.communicate(timeout=60)
    found = jobs(ledger)
    assert len({one["run_id"] for one in found}) == 2
    assert "250615-150640" in {one["run_id"] for one in found}
