from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import jobspan
from jobspan import _runtime
from jobspan._guard import guard


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Path]:
    """Give the path of a ledger this process is set up with; not strict, for faults are what is tested."""
    before, strict = _runtime._runtime, guard.strict
    path = tmp_path / "ledger.db"
    guard.reset()
    _runtime._runtime = None
    jobspan.configure(ledger=path, strict=False, mode="offline")
    yield path
    jobspan.shutdown(0.5)
    _runtime._runtime = before
    guard.strict = strict
    guard.reset()
