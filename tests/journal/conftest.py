from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobspan._guard import guard
from jobspan.journal import JournalWriter, Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "ledger.db")


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
