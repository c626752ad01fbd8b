"""A lane tells threads and tasks apart, whenever asyncio comes to be loaded."""

from __future__ import annotations

import asyncio
import threading
from types import ModuleType, SimpleNamespace

import pytest

from jobspan.runs import current
from jobspan.runs.current import lane


def test_tasks_of_one_thread_have_lanes_of_their_own() -> None:
    async def one() -> int:
        return lane()

    async def three() -> list[int]:
        return await asyncio.gather(one(), one(), one())

    assert len({*asyncio.run(three()), lane()}) == 4


def test_a_module_that_is_being_loaded_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    # Its function is Python's own at first, and that of C at the end: then the first one knows no loop.
    events = ModuleType("asyncio.events")
    spec = SimpleNamespace(_initializing=True)
    monkeypatch.setattr(events, "__spec__", spec)
    monkeypatch.setattr(events, "_get_running_loop", lambda: None, raising=False)
    monkeypatch.setattr(current, "modules", {"asyncio.events": events})
    monkeypatch.setattr(current, "running_loop", current._look_for_loop)
    assert lane() == threading.get_ident()
    asked: list[bool] = []

    def found() -> None:
        asked.append(True)

    monkeypatch.setattr(events, "_get_running_loop", found)
    spec._initializing = False
    assert lane() == threading.get_ident()
    assert asked
