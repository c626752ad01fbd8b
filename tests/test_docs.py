"""The Python of the README and the docs runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.program import ROOT, run_python

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path) -> str:
    """Return all Python of a page, in order, as one program."""
    return "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    program = blocks(page)
    if not program:
        pytest.skip("no Python on this page")
    done = run_python(["-c", program], tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_readme_shows_the_commands_that_ci_runs() -> None:
    ci = (ROOT / ".ci" / "run").read_text()
    commands = re.findall(r"^\w+_command='(.*)'$", ci, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        assert f"\n{command}\n" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_of_the_project_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


GUARANTEES = (ROOT / "docs" / "guarantees.md").read_text()
NAMED = re.findall(r"`(?:(tests/[\w/]+\.py)::test_)?([a-z0-9]+(?:_[a-z0-9]+){2,})(_…)?`", GUARANTEES)


@pytest.mark.parametrize(("file", "name", "is_cut"), NAMED, ids=[name for _, name, _ in NAMED])
def test_every_test_a_guarantee_names_is_there(file: str, name: str, is_cut: str) -> None:
    files = [ROOT / file] if file else sorted((ROOT / "tests").rglob("test_*.py"))
    definition = re.compile(rf"^(?:async )?def test_{name}{'_' if is_cut else chr(92) + '('}", re.MULTILINE)
    assert any(definition.search(path.read_text()) for path in files)
