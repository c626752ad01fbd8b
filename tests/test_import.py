"""What `import jobspan` loads, and what it must not."""

from __future__ import annotations

from pathlib import Path

import jobspan
from tests.program import run_python

HEAVY = ("pyairtable", "requests", "pydantic", "rich", "click", "psycopg", "genai_prices")


def test_import_loads_nothing_heavy(tmp_path: Path) -> None:
    done = run_python(["-X", "importtime", "-c", "import jobspan"], tmp_path)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "jobspan" in loaded
    assert not loaded & set(HEAVY)


def test_import_touches_no_file_and_starts_no_thread(tmp_path: Path) -> None:
    code = "import jobspan, threading, sys; print(threading.active_count())"
    done = run_python(["-B", "-c", code], tmp_path)
    assert done.stdout.strip() == "1"
    assert list(tmp_path.iterdir()) == []


def test_all_is_sorted_and_each_name_is_there() -> None:
    names = jobspan.__all__
    assert sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name)) == names
    assert all(hasattr(jobspan, name) for name in names)
