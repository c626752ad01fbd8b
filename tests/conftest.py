"""What many tests share: a runtime of their own, and the records it wrote."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import jobspan
from jobspan import _runtime
from jobspan._guard import guard
from jobspan.model.record import ClientRunRecord, JobRecord
from jobspan.runs import current
from jobspan.runs.current import live_run
from jobspan.spans.roster import roster

_SRC = Path(__file__).parents[1] / "src"


class Fresh:
    """A configured, strict runtime on a ledger of its own, and readers of what it recorded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = folder / "ledger.db"
        self.configure()

    def configure(self, **settings: Any) -> None:
        """Configure again, on the same ledger."""
        jobspan.configure(**{"ledger": self.ledger, "strict": True, "exit_flush": 0, **settings})

    def jobs(self) -> list[JobRecord]:
        """Return all jobs, the oldest first."""
        with _runtime.runtime().reading(10) as reader:
            return list(reader.jobs())[::-1]

    def job(self, job_type: str | None = None) -> JobRecord:
        """Return the one job there is, or the one of this type."""
        found = [job for job in self.jobs() if job_type in (None, job.job_type)]
        assert len(found) == 1, [(job.job_type, job.status) for job in self.jobs()]
        return found[0]

    def client(self, client_id: str) -> ClientRunRecord:
        """Return the one client run of this client."""
        found = [run for job in self.jobs() for run in job.client_runs if run.client_id == client_id]
        assert len(found) == 1, [run.client_id for job in self.jobs() for run in job.client_runs]
        return found[0]

    def journal(self) -> str:
        """Return everything that stands in the journals, as it lies on the disk."""
        jobspan.flush(10)
        paths = [path for path in self.folder.rglob("*") if path.is_file()]
        return "\n".join(path.read_bytes().decode("utf-8", "replace") for path in paths)

    @property
    def env(self) -> dict[str, str]:
        """The environment of a process that uses the same ledger."""
        own = {"JOBSPAN_LEDGER": str(self.ledger), "JOBSPAN_STRICT": "1", "PYTHONPATH": str(_SRC)}
        return {**os.environ, **own}


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Fresh]:
    """A strict runtime on a ledger in a directory of the test's own; guard and runtime are put back."""
    before, strict, describe = _runtime._runtime, guard.strict, guard.describe
    _runtime._runtime = None
    guard.reset()
    roster.forget()
    made = Fresh(tmp_path)
    try:
        yield made
    finally:
        left, _ = live_run(), current._current.set(None)
        jobspan.shutdown(0)
        _runtime._runtime, guard.strict, guard.describe = before, strict, describe
        guard.reset()
    assert left is None, f"the test left {left} in the context"
