"""The matrix of life and death: every way a process or a block ends, in whatever stands open there.

Every cell is a process of its own (`tests/life/cell.py`). What has to stand in the ledger afterwards is the
table below, read from the design's rules: how a block was left, who vanished, what was let go of.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.faults.process import jobs
from tests.life.cell import DEATHS, SUBJECTS, WAYS
from tests.program import environment

R, C, F, E, X = "Running", "Completed", "Failed", "Completed_with_errors", "Canceled"


class Expected(NamedTuple):
    """What stands in the ledger after one death; statuses from the outside in: job, client run, operation."""

    exit_code: int
    """Of the process."""
    status: str
    """Of all that was open, where nothing was detached."""
    leads: int = 3
    """Recorded before the end, by this process and by those it started."""
    errors: int = 0
    cause: str | None = None
    """What the job's Error begins with."""
    detached: tuple[str, str] = (R, R)
    """Job and client run whose client run was detached before."""
    delivered: tuple[str, str] = (C, C)
    """The same once the webhook has come."""


VANISHED = "process ended without finishing (last seen "
BAD = "ValueError: bad profile"
TERM = "RunCanceled: the process was ended by SIGTERM"
GONE = (F, C)
"""A job whose process vanished, with a client run that was let go of in time and delivered."""

MATRIX: dict[str, Expected] = {
    "normal": Expected(0, C),
    "raise": Expected(1, F, errors=1, cause=BAD, detached=(F, F), delivered=(F, E)),
    "sys.exit(0)": Expected(0, C),
    "sys.exit(1)": Expected(1, F, cause="SystemExit: 1", detached=(F, F), delivered=(F, E)),
    "sys.exit(text)": Expected(1, F, cause="SystemExit: text", detached=(F, F), delivered=(F, E)),
    "os._exit(7)": Expected(7, F, cause=VANISHED, delivered=GONE),
    "SIGINT": Expected(-2, X, cause="KeyboardInterrupt", detached=(X, X), delivered=(X, E)),
    "SIGTERM": Expected(-15, F, cause=VANISHED, delivered=GONE),
    "SIGTERM, handle_signals": Expected(-15, X, cause=TERM, delivered=(X, C)),
    "SIGTERM, a handler exits 0": Expected(0, C),
    "SIGTERM, a handler exits 143": Expected(
        143, F, cause="SystemExit: 143", detached=(F, F), delivered=(F, E)
    ),
    "SIGTERM, handle_signals and a handler exits 0": Expected(0, X, cause=TERM, delivered=(X, C)),
    "SIGKILL": Expected(-9, F, cause=VANISHED, delivered=GONE),
    "fork, the child raises": Expected(0, E, 5, errors=1, cause=BAD, delivered=(E, E)),
    "fork, the child exits": Expected(0, C, 5),
    "fork, the child is killed": Expected(0, C, 5),
    "spawn": Expected(0, C, 5),
    "thread pool": Expected(0, C, 5),
    "asyncio cancel": Expected(0, X, cause="CancelledError", detached=(X, X), delivered=(X, E)),
    "generator dropped": Expected(0, C),
    "generator never finished": Expected(0, F, cause=VANISHED, delivered=GONE),
}
DEPTH = {"job": 1, "client run": 2, "operation": 3, "detached": 2}


def seconds(instant: str) -> float:
    """Return an instant as a script reads it, in seconds since 1970."""
    return datetime.fromisoformat(instant).timestamp()


def statuses(job: dict[str, Any]) -> tuple[str, ...]:
    """Return the statuses of a job, of its client run and of the operation in that, as far as there are."""
    client = next(iter(job["client_runs"]), None)
    operation = next(iter(client["operations"]), None) if client else None
    return tuple(each["status"] for each in (job, client, operation) if each)


def told(job: dict[str, Any]) -> tuple[Any, ...]:
    """Return what is compared: statuses, leads, errors, and whether the cause is the right one."""
    cause = None if job["status"] == R else MATRIX[job["job_type"].partition("/")[0]].cause
    starts = job["error"] is None if cause is None else str(job["error"]).startswith(cause)
    return statuses(job), job["items_processed"], job["errors"], starts


def wanted(death: str, subject: str) -> tuple[Any, ...]:
    """Return the same as the table has it."""
    row = MATRIX[death]
    status = row.detached if subject == "detached" else (row.status,) * DEPTH[subject]
    return status, row.leads, row.errors, True


def ends_in_time(job: dict[str, Any], at: float) -> bool:
    """Whether every end lies between the start and the end of the process; what is Running has none."""
    records = [job, *job["client_runs"], *(op for each in job["client_runs"] for op in each["operations"])]
    for each in records:
        if each["status"] == R:
            if each["end_time"] is not None:
                return False
        elif not seconds(each["start_time"]) <= seconds(each["end_time"]) <= at + 0.001:
            return False
    return True


def by_cell(ledger: Path) -> dict[str, dict[str, Any]]:
    """Return the jobs by cell; there is one for each."""
    found = jobs(ledger)
    assert len({job["job_type"] for job in found}) == len(found)
    return {job["job_type"]: job for job in found}


def assert_matrix(home: Path, deaths: list[str], **settings: str) -> None:
    """Run the cells of some deaths and compare them with the table, before and after the webhook."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.life.cell", *deaths],
        env=environment(home, **settings),
        cwd=home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        how = json.loads(process.stdout.readline())
        before = by_cell(home / "ledger.db")
        _, errors = process.communicate("go on\n", timeout=60)
    assert process.returncode == 0, errors
    cells = {f"{death}/{subject}": (death, subject) for death in deaths for subject in SUBJECTS}
    assert {cell: code for cell, (code, _) in how.items()} == {
        cell: MATRIX[death].exit_code for cell, (death, _) in cells.items()
    }
    assert {cell: told(before[cell]) for cell in cells} == {
        cell: wanted(*pair) for cell, pair in cells.items()
    }
    assert [cell for cell in cells if not ends_in_time(before[cell], how[cell][1])] == []
    after = by_cell(home / "ledger.db")
    delivered = {cell: MATRIX[death] for cell, (death, subject) in cells.items() if subject == "detached"}
    assert {cell: (statuses(after[cell]), after[cell]["items_processed"]) for cell in delivered} == {
        cell: (row.delivered, row.leads + 4) for cell, row in delivered.items()
    }
    assert [cell for cell in cells if R in statuses(after[cell])] == []


def test_the_table_names_every_death() -> None:
    assert list(MATRIX) == [*DEATHS, *WAYS]


@pytest.mark.parametrize(
    "deaths",
    [list(MATRIX)[first : first + 7] for first in range(0, len(MATRIX), 7)],
    ids=["blocks and exits", "signals", "children and generators"],
)
def test_every_death_leaves_the_records_it_should(tmp_path: Path, deaths: list[str]) -> None:
    assert_matrix(tmp_path, deaths, JOBSPAN_EXIT_FLUSH="0")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("death", MATRIX)
def test_every_death_leaves_them_when_each_process_folds_at_its_end(tmp_path: Path, death: str) -> None:
    for turn in range(5):
        home = tmp_path / str(turn)
        home.mkdir()
        assert_matrix(home, [death])
