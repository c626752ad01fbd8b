from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jobspan import _clock
from jobspan._compiled import native
from jobspan._guard import guard
from jobspan.journal import JournalWriter, Place, mapping, road
from tests.journal.observing import in_python


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "ledger.db")


@pytest.fixture(params=["compiled", "mapped", "written"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have journals mapped, by the compiled part or by Python, or written by system calls as elsewhere."""
    monkeypatch.setenv("JOURNAL_KIND", request.param)  # for the programs of `observing`
    if request.param == "compiled" and native is None:
        pytest.skip("the compiled part is not installed")
    if request.param == "mapped":
        in_python(monkeypatch)
    if request.param == "written":
        monkeypatch.setattr(mapping, "is_safe", lambda folder: False)
    return str(request.param)


@pytest.fixture(autouse=True)
def _lines(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Gather the compiled lines that writers make."""
    lines: list[Any] = []

    def line(*args: Any) -> Any:
        lines.append(native.Line(*args))
        return lines[-1]

    if road.native is not None:
        monkeypatch.setattr(road, "native", SimpleNamespace(Line=line))
    return lines


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch, _lines: list[Any]) -> Callable[[float], None]:
    """Let the clock that measures waits jump."""
    jumped, monotonic = [0.0], time.monotonic
    monkeypatch.setattr(_clock, "monotonic", lambda: monotonic() + jumped[0])

    def jump(seconds: float) -> None:
        jumped[0] += seconds
        for line in _lines:  # the compiled part looks at the system's clock itself
            line.check_at = 0.0
            line.hold(None, -1, 0.0, 0)

    return jump


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
