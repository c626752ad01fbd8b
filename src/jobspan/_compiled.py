"""The compiled part, where it is installed and may be used; without it Python does the same in more time.

It is for CPython with an interpreter lock, on Linux, and left out of an installation that has no compiler.
``JOBSPAN_PURE_PYTHON=1`` in the environment leaves it aside.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


def _loaded() -> ModuleType | None:
    has_lock = getattr(sys, "_is_gil_enabled", None)
    if os.environ.get("JOBSPAN_PURE_PYTHON") == "1" or (has_lock is not None and not has_lock()):
        return None  # a module that does not say it can do without the lock would bring it back
    try:
        return import_module("jobspan._native")
    except ImportError:
        return None


native = _loaded()
"""The module `jobspan._native`; None: it is not to be used."""
