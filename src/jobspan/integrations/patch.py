"""Wraps a method of one instance, and takes the wrapper away again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import wrapt

Wrapper = Callable[[Any, Any, tuple[Any, ...], dict[str, Any]], Any]
"""Called with (the method, its instance, args, kwargs) in the place of the method."""


if TYPE_CHECKING:

    class _FunctionWrapper:
        """What is used of wrapt's wrapper here; its own types leave most of it unknown."""

        __wrapped__: Any

        def __init__(self, function: Any, wrapper: Wrapper) -> None: ...
else:
    _FunctionWrapper = wrapt.FunctionWrapper


class _Patch(_FunctionWrapper):
    """Marks a wrapper as ours."""


def is_patched(owner: Any, name: str) -> bool:
    """Tell whether a method of this very instance is wrapped."""
    return _own(owner, name) is not None


def _own(owner: Any, name: str) -> _Patch | None:
    found: Any = cast("dict[str, Any]", owner.__dict__).get(name)
    return found if isinstance(found, _Patch) else None


def patch(owner: Any, name: str, wrapper: Wrapper) -> None:
    """Wrap a method of one instance, unless it is wrapped already."""
    if not is_patched(owner, name):
        setattr(owner, name, _Patch(getattr(owner, name), wrapper))


def unpatched(owner: Any, name: str) -> Any:
    """Return a method as it is without our wrapper."""
    patched = _own(owner, name)
    return getattr(owner, name) if patched is None else patched.__wrapped__


def unpatch(owner: Any, name: str) -> None:
    """Take our wrapper away, if it is there."""
    patched = _own(owner, name)
    if patched is not None:
        inner = patched.__wrapped__
        delattr(owner, name)
        if getattr(owner, name, None) != inner:  # the instance had a method of its own
            setattr(owner, name, inner)
