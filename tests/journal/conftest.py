from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobspan._guard import guard
from jobspan.journal import JournalWriter, Place, mapping


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "ledger.db")


@pytest.fixture(params=["mapped", "written"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have journals mapped into memory, or written by system calls as where they cannot be mapped."""
    monkeypatch.setenv("JOURNAL_KIND", request.param)  # for the programs of `observing`
    if request.param == "written":
        monkeypatch.setattr(mapping, "is_safe", lambda folder: False)
    return str(request.param)


@pytest.fixture
def writer(place: Place) -> Iterator[JournalWriter]:
    journal = JournalWriter(place, lambda: '{"header": true}')
    yield journal
    journal.close()


@pytest.fixture(autouse=True)
def _fresh_guard() -> Iterator[None]:
    guard.reset()
    yield
    guard.reset()
