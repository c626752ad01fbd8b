"""Pickle decorated callables so that they arrive still decorated.

By name where the name leads back to the very same object, as Python does with functions; else by value,
as what was wrapped and its scope. cloudpickle (and the copies joblib and ray carry) sends functions of
``__main__``, of a notebook and local ones by value: it is taught to do the same with ours, when
and only when somebody imports it.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Collection
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import wrapt

from jobspan._guard import guarded

_CLOUDPICKLES = ("cloudpickle", "joblib.externals.cloudpickle", "ray.cloudpickle")


def find_by_name(module_name: str | None, qualified_name: str | None) -> object:
    """Return what stands under this name in an imported module, or None."""
    module = sys.modules.get(module_name or "")
    if module is None or not qualified_name:
        return None
    try:
        return operator.attrgetter(qualified_name)(module)
    except AttributeError:
        return None


def goes_by_value(wrapped: object, found: object) -> bool:
    """Tell whether a callable that is not found under its own name can be sent as its parts.

    `found` is what stands under the name. A function sent as a part must be found itself; a partial or
    a callable object has no name to be found under and is pickled by its own rules.
    """
    return found is wrapped or not isinstance(
        wrapped, (FunctionType, BuiltinFunctionType, classmethod, staticmethod)
    )


def teach_cloudpickle(kind: type, reduce_by_value: Callable[[Any], Any]) -> None:
    """Have every cloudpickle send objects of `kind` by value wherever it sends functions so."""
    for name in _CLOUDPICKLES:
        wrapt.register_post_import_hook(_teacher(kind, reduce_by_value), name)


def _teacher(kind: type, reduce_by_value: Callable[[Any], Any]) -> Callable[[ModuleType], None]:
    @guarded("api.pickling.teach")
    def teach(cloudpickle: Any) -> None:
        listed: Callable[[], Collection[str]] = getattr(cloudpickle, "list_registry_pickle_by_value", tuple)

        def reduce(obj: Any) -> Any:
            if _found_elsewhere(obj, listed()):
                return obj.__reduce_ex__(4)
            return reduce_by_value(obj)

        cloudpickle.CloudPickler.dispatch_table[kind] = reduce

    return teach


def _found_elsewhere(obj: Any, by_value: Collection[str]) -> bool:
    """Tell whether another process can import `obj`: cloudpickle's own rule for functions."""
    module_name = getattr(obj, "__module__", None)
    if not module_name or module_name == "__main__":
        return False
    if any(module_name == listed or module_name.startswith(f"{listed}.") for listed in by_value):
        return False
    return find_by_name(module_name, getattr(obj, "__qualname__", None)) is obj
