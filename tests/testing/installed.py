"""A folder that makes pytest find jobspan's fixtures as if the package were installed."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from tests.program import ROOT


def python_path(folder: Path) -> str:
    """Write the entry points of pyproject.toml into `folder`; return a PYTHONPATH with them and the source.

    Where jobspan is installed as well, pytest takes the first of both.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    made = folder / "jobspan-0.dist-info"
    made.mkdir(parents=True)
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: jobspan\nVersion: 0\n")
    lines = [f"{name} = {target}" for name, target in project["entry-points"]["pytest11"].items()]
    (made / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines, ""]))
    return os.pathsep.join([str(folder), str(ROOT / "src"), str(ROOT)])
