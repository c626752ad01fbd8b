"""What type checkers see of a decorated callable."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


def test_mypy_sees_the_types_of_what_is_wrapped(tmp_path):
    pytest.importorskip("mypy")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--cache-dir",
        str(tmp_path),
        *sorted(str(path) for path in (_ROOT / "tests" / "typing").glob("*_types.py")),
    ]
    done = subprocess.run(
        command, cwd=_ROOT, capture_output=True, text=True, check=False, timeout=110, env={**os.environ}
    )
    assert done.returncode == 0, done.stdout + done.stderr
