from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobspan.testing.airtable import AirtableServer
from tests.cli.preloaded import Preloaded

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
    """Runs `jobspan` and other Python as a person with an empty home does.

    Args:
        home: The empty folder.
        preloaded: Where programs are forked from; None to start a new interpreter for each.
    """

    def __init__(self, home: Path, preloaded: Preloaded | None = None) -> None:
        self.home = home
        self.environment = environment_in(home)
        self._preloaded = preloaded

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self._call(ENTRY, arguments, environment)

    def python(self, code: str, **environment: str) -> None:
        """Run a user's program."""
        result = self._call(code, (), environment)
        assert result.returncode == 0, result.stderr

    def _call(
        self, code: str, arguments: tuple[str, ...], more: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        environment = self.environment | more
        if self._preloaded is not None and not any(name.startswith("PYTHON") for name in more):
            return self._preloaded.run(code, arguments, environment, self.home, 60)
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=environment,
            cwd=self.home,
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )


def environment_in(home: Path) -> dict[str, str]:
    """Return an environment in which nothing of this machine's settings is left."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JOBSPAN_", "XDG_", "COLUMNS", "NO_COLOR", "FORCE_COLOR", "OTEL_"))
    }
    return kept | {"HOME": str(home), "PYTHONPATH": str(SOURCE), "JOBSPAN_STRICT": "1"}


@pytest.fixture(scope="session")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Preloaded]:
    folder = tmp_path_factory.mktemp("preloaded")
    made = Preloaded(environment_in(folder), folder)
    yield made
    made.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir()
    return made


@pytest.fixture
def shell(home: Path, preloaded: Preloaded) -> Shell:
    return Shell(home, preloaded)


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
