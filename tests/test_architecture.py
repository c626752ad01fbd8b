"""Rules of the house that import-linter cannot hold."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

from tests.program import ROOT

SOURCE = ROOT / "src" / "jobspan"
MODULES = sorted(SOURCE.rglob("*.py"))


@functools.cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


@functools.cache
def imported(path: Path) -> set[str]:
    found = [node for node in nodes(path) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in found if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module for node in found if isinstance(node, ast.ImportFrom) and node.module}


def importers(name: str) -> set[str]:
    """Return the parts of the package (first folder or module) that import `name`."""
    return {
        path.relative_to(SOURCE).parts[0]
        for path in MODULES
        if any(module == name or module.startswith(name + ".") for module in imported(path))
    }


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("sqlite3", {"ledger"}),
        ("fcntl", {"journal"}),
        ("mmap", {"journal"}),
        ("opentelemetry.sdk", {"spans", "_composition.py", "_runtime.py"}),
        ("wrapt", {"_api", "integrations"}),
        ("rich", {"cli"}),
        ("click", {"cli"}),
        ("pyairtable", {"airtable"}),
        ("requests", {"airtable"}),
        ("pickle", set()),
        ("yaml", set()),
    ],
)
def test_a_library_is_used_only_where_it_belongs(name: str, allowed: set[str]) -> None:
    assert importers(name) <= allowed


def test_only_the_clock_asks_for_the_time() -> None:
    assert importers("time") <= {"_clock.py", "cli"}  # the demo sleeps


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_stays_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_nothing_evaluates_text() -> None:
    """But for one line that stands in the source as it is: only so can the interpreter be told."""
    evaluated: list[str] = []
    for path in MODULES:
        calls = [node for node in nodes(path) if isinstance(node, ast.Call)]
        named = [
            node for node in calls if isinstance(node.func, ast.Name) and node.func.id in {"eval", "exec"}
        ]
        evaluated += [f"{path.name}: {ast.unparse(node)}" for node in named]
    assert evaluated == ["_ending.py: exec('raise KeyboardInterrupt')"]
