"""Names of a package that are loaded when they are first used (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any


def attributes(
    package: str, names: Mapping[str, tuple[str, ...]], watching: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and the ``__dir__`` of a package.

    Args:
        package: Its name.
        names: What each module gives it. A name is looked up once and then is the package's own.
        watching: Libraries, and the module that has to be there before each is used: loaded with the first
            name, where the library is installed. The library itself is not loaded.
    """
    home = {name: module for module, given in names.items() for name in given}
    unwatched = dict(watching)

    def load(name: str) -> Any:
        module = home.get(name)
        if module is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(module), name)
        setattr(sys.modules[package], name, value)
        for library in list(unwatched):
            watcher = unwatched.pop(library, None)
            if watcher is not None and _is_installed(library):
                import_module(watcher)
        return value

    def listed() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home})

    return load, listed


def _is_installed(library: str) -> bool:
    return library in sys.modules or find_spec(library) is not None
