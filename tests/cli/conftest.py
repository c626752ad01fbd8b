from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobspan.testing.airtable import AirtableServer

SOURCE = Path(__file__).parents[2] / "src"
ENTRY = "import sys; from jobspan.cli import main; sys.exit(main())"

BATCH = """
import jobspan
with jobspan.job("nightly") as job:
    for number in range(3):
        with job.client(f"client-{number}") as run:
            run.add(posts=number)
assert jobspan.flush(0.01) is not None
"""


class Shell:
    """Runs `jobspan` and other Python as a person with an empty home does."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("JOBSPAN_", "XDG_", "COLUMNS", "NO_COLOR", "FORCE_COLOR", "OTEL_"))
        }
        self.environment |= {"HOME": str(home), "PYTHONPATH": str(SOURCE), "JOBSPAN_STRICT": "1"}

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self._call([sys.executable, "-c", ENTRY, *arguments], environment)

    def python(self, code: str, **environment: str) -> None:
        """Run a user's program."""
        result = self._call([sys.executable, "-c", code], environment)
        assert result.returncode == 0, result.stderr

    def _call(self, words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words,
            env=self.environment | environment,
            cwd=self.home,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    home = tmp_path / "home"
    home.mkdir()
    return Shell(home)


@pytest.fixture
def server() -> Iterator[AirtableServer]:
    with AirtableServer(lockout_seconds=1.5) as started:
        yield started


@pytest.fixture
def online(shell: Shell, server: AirtableServer) -> Shell:
    pointed_at(shell, server)
    return shell


def pointed_at(shell: Shell, server: AirtableServer) -> None:
    """Set what names a base and the token."""
    shell.environment |= {
        "AIRTABLE_API_KEY": server.token,
        "AIRTABLE_BASE_ID": server.base_id,
        "AIRTABLE_ENDPOINT_URL": server.url,
        "JOBSPAN_LEDGER": str(shell.home / "ledger.db"),
    }
