from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
ENTRY = "import sys; from jobspan.cli import main; sys.exit(main())"


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
