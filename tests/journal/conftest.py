from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jobspan.journal import JournalWriter, Place, done_journals, journals, read

SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "ledger.db")


@pytest.fixture
def writer(place: Place) -> JournalWriter:
    return JournalWriter(place, lambda: '{"header": true}')


def read_all(place: Place, *, limit: int = 1 << 20, owner_gone: bool = False) -> list[bytes]:
    """Return every payload of every journal, done ones too, without the headers."""
    found: list[bytes] = []
    for path in [*done_journals(place), *journals(place)]:
        found.extend(read_one(path, limit=limit, owner_gone=owner_gone))
    return [payload for payload in found if not payload.startswith(b'{"header"')]


def read_one(path: Path, *, limit: int = 1 << 20, owner_gone: bool = False) -> list[bytes]:
    offset, found = 0, []
    while True:
        chunk = read(path, offset, limit, owner_gone=owner_gone)
        found.extend(chunk.payloads)
        offset = chunk.offset_after
        if chunk.at_end:
            return found


def numbers(payloads: list[bytes]) -> list[int]:
    return [json.loads(payload)["n"] for payload in payloads]


def event(n: int, size: int = 0) -> str:
    return json.dumps({"n": n, "text": "x" * size})


def start_python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Run `code` in a fresh interpreter that can import jobspan; its stdout and stdin are pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def in_child() -> Callable[[Callable[[], None]], int]:
    """Run a function in a forked child and return its exit status: 0 when it returned."""

    def run(work: Callable[[], None]) -> int:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                work()
                status = 0
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    return run
