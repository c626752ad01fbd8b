"""What the journal tests use to look at journals from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobspan.journal import Place, done_journals, journals, mapping, read, road

by_system_calls = pytest.mark.parametrize("kind", ["written"], indirect=True)
"""For tests about single system calls that a mapped journal does not make."""

SOURCE = Path(__file__).parents[2] / "src"


def in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the compiled part aside, here and in programs started from here."""
    monkeypatch.setenv("JOBSPAN_PURE_PYTHON", "1")
    monkeypatch.setattr(mapping, "native", None)
    monkeypatch.setattr(road, "native", None)


def read_one(path: Path, *, limit: int = 1 << 20, owner_gone: bool = False) -> list[bytes]:
    """Return every payload of one journal, its header included."""
    offset = 0
    found: list[bytes] = []
    while True:
        chunk = read(path, offset, limit, owner_gone=owner_gone)
        found.extend(chunk.payloads)
        offset = chunk.offset_after
        if chunk.at_end:
            return found


def read_all(place: Place, *, limit: int = 1 << 20, owner_gone: bool = False) -> list[bytes]:
    """Return every payload of every journal, those set aside too, without the headers."""
    found: list[bytes] = []
    for path in [*done_journals(place), *journals(place)]:
        found.extend(read_one(path, limit=limit, owner_gone=owner_gone))
    return [payload for payload in found if not payload.startswith(b'{"header"')]


def numbers(place: Place) -> list[int]:
    """Return the numbers of all events that `event` made."""
    return [json.loads(payload)["n"] for payload in read_all(place)]


def event(n: int, size: int = 0) -> str:
    return json.dumps({"n": n, "text": "x" * size})


PRELUDE = """
import ctypes, errno, json, os, resource, signal, sys, threading, time
from pathlib import Path
from jobspan.journal import *
from jobspan.journal import mapping
if os.environ.get("JOURNAL_KIND") == "written": mapping.is_safe = lambda folder: False
place = Place(Path(sys.argv[1]))
writer = JournalWriter(place, lambda: '{"header": true}', segment_bytes=int(sys.argv[2]))
def event(n, size=0):
    return json.dumps({"n": n, "text": "x" * size})
def say(text):
    os.write(1, (str(text) + "\\n").encode())
"""


def start_writer(place: Place, code: str, *, segment_bytes: int = 1 << 26) -> subprocess.Popen[str]:
    """Run `code` in a fresh interpreter that has a `writer` below `place`; pipes on stdin and stdout."""
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + code, str(place.ledger), str(segment_bytes)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def run_writer(place: Place, code: str, *, segment_bytes: int = 1 << 26) -> list[str]:
    """Run `code` as `start_writer` does, to its end; return the lines it said."""
    with start_writer(place, code, segment_bytes=segment_bytes) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return output.split("\n")[:-1]
