"""The road that docs/reading-the-code.md describes is the one a real run takes."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

import jobspan
from jobspan import client_run, job
from jobspan.journal import road as journal_road
from tests.conftest import Fresh
from tests.program import ROOT

SOURCE = ROOT / "src" / "jobspan"
MOST_FILES = 32
MOST_FUNCTIONS = 110


@contextmanager
def traced() -> Iterator[list[tuple[str, str]]]:
    """List the own functions that are called, each once, in the order of their first call."""
    calls: dict[tuple[str, str], None] = {}

    def note(frame: FrameType, event: str, argument: object) -> None:
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(str(SOURCE)):
            calls[(str(Path(path).relative_to(SOURCE)), frame.f_code.co_name)] = None

    listed: list[tuple[str, str]] = []
    previous = sys.getprofile()
    sys.setprofile(note)
    try:
        yield listed
    finally:
        sys.setprofile(previous)
        listed.extend(calls)


@pytest.fixture
def road(fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The road all of which is Python."""
    monkeypatch.setattr(journal_road, "native", None)
    fresh.configure()
    with job("x"):
        with client_run("first"):
            pass
        with traced() as calls:
            with client_run("Guy-Wilson") as run:
                run.add(leads=1)
            jobspan.flush()
    return calls


def test_the_five_files_are_passed_in_the_order_the_page_tells(road: list[tuple[str, str]]) -> None:
    page = (ROOT / "docs" / "reading-the-code.md").read_text()
    told = re.findall(r"^\d\. `src/jobspan/([\w/]+\.py)`", page, re.MULTILINE)
    assert len(told) == 5
    first = [next(i for i, (path, _) in enumerate(road) if path == name) for name in told]
    assert first == sorted(first)


def test_the_functions_the_page_names_are_called(road: list[tuple[str, str]]) -> None:
    for hop in (
        ("runs/opening.py", "plain_client_run"),
        ("runs/plain.py", "enter_plain"),
        ("journal/pen.py", "write"),
        ("journal/writer.py", "_append"),
        ("runs/plain.py", "leave_plain"),
        ("ledger/folder.py", "fold"),
        ("model/fold.py", "apply"),
        ("model/fold.py", "settle"),
    ):
        assert hop in road


def test_the_callers_road_stays_short(road: list[tuple[str, str]]) -> None:
    end = road.index(("_runtime.py", "flush"))
    on_the_way = road[:end]
    assert len({path for path, _ in on_the_way}) <= MOST_FILES
    assert len(on_the_way) <= MOST_FUNCTIONS
