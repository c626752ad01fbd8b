"""Wrap a callable so that each call of it is a run, and it stays what it was in every other way.

The wrapper is a `wrapt.FunctionWrapper`: signature, name, documentation, attributes, kind (coroutine,
generator …), binding as method, class method or static method are those of what it wraps. It adds one
Python frame to a traceback. The price: it is no plain function, so `inspect.isfunction` is False.

What a call is, is decided by what the function *is*, at decoration: a plain function that returns an
awaitable or a generator object is a plain function, its run ends when it returns.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from copy import deepcopy
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

import wrapt

from jobspan._api import pickling
from jobspan._api.call import call_of
from jobspan._api.scope import Scope
from jobspan.exceptions import UsageError

P = ParamSpec("P")
R = TypeVar("R")

if TYPE_CHECKING:

    class _Proxy:
        """What is used of wrapt's wrappers here; its own types leave most of it unknown."""

        __name__: str
        __wrapped__: Any
        _self_binding: str
        _self_instance: Any
        _self_owner: Any
        _self_parent: Any

        def __init__(self, function: Any, call: Any) -> None: ...
        def __set_name__(self, owner: type, name: str) -> None: ...

    _BoundFunctionWrapper = _Proxy
    _FunctionWrapper = _Proxy
else:
    _BoundFunctionWrapper, _FunctionWrapper = wrapt.BoundFunctionWrapper, wrapt.FunctionWrapper

_DESCRIPTORS = (classmethod, staticmethod, functools.partialmethod, functools.singledispatchmethod)


def instrument(function: Callable[P, R], scope: Scope) -> Callable[P, R]:
    """Return `function` wrapped so that each call of it is a run of `scope`.

    A coroutine's run is open while it is awaited, a generator's while it is iterated; what is never
    awaited or iterated has none. Exceptions pass unchanged. Also takes what makes a method:
    classmethod, staticmethod, partialmethod.

    Raises:
        UsageError: `function` is a class, or nothing that can be called.
    """
    given: Any = function
    if isinstance(given, type):
        raise UsageError(
            f"cannot decorate the class {given.__qualname__}: a run is a call, not an object's life; "
            "decorate its methods, or a function that makes and uses it"
        )
    if not (callable(given) or isinstance(given, _DESCRIPTORS)):
        raise UsageError(f"cannot decorate {given!r}: it cannot be called")
    return cast("Callable[P, R]", InstrumentedFunction(function, scope))


def _told_class(wrapped: Any, own: type) -> type:
    """Return what `isinstance` may see: a partial, method or object stays one.

    Not so a function, class method or static method: who finds one of these takes it apart and goes
    on without us, cloudpickle first of all.
    """
    told: type = wrapped.__class__
    return own if told in (FunctionType, classmethod, staticmethod) else told


class InstrumentedMethod(_BoundFunctionWrapper):
    """An `InstrumentedFunction` reached through a class or an instance."""

    @property
    def __class__(self) -> type:
        return _told_class(self.__wrapped__, InstrumentedMethod)

    @__class__.setter
    def __class__(self, value: type) -> None:
        raise TypeError("__class__ of a decorated method cannot be set")

    @property
    def __func__(self) -> Any:
        """The function that is bound, decorated as well."""
        if self.__wrapped__.__class__ is not MethodType:
            raise AttributeError("__func__")
        if self._self_binding == "classmethod":
            return InstrumentedFunction(self.__wrapped__.__func__, self._self_parent._self_scope)
        return self._self_parent

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Reduce to an attribute of the instance or class, as Python does with methods."""
        return getattr, (self._self_holder(), self._self_parent._self_name or self.__name__)

    def __reduce__(self) -> Any:
        return self.__reduce_ex__(2)

    def __copy__(self) -> InstrumentedMethod:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> InstrumentedMethod:
        if self._self_instance is None or self._self_holder() is not self._self_instance:
            return self  # of a class: classes are not copied
        instance = deepcopy(self._self_instance, memo)
        return cast("InstrumentedMethod", self._self_parent.__get__(instance, self._self_owner))

    def __repr__(self) -> str:
        return f"<instrumented {self.__wrapped__!r}>"

    def _self_holder(self) -> Any:
        if self._self_binding == "staticmethod":
            return self._self_owner
        if self._self_binding == "classmethod":
            return self.__wrapped__.__self__
        return self._self_owner if self._self_instance is None else self._self_instance


class InstrumentedFunction(_FunctionWrapper):
    """A callable whose calls are runs of one scope.

    It pickles by its name, or by value where its name leads elsewhere; copying gives itself, as
    with functions.
    """

    __bound_function_wrapper__ = InstrumentedMethod

    def __init__(self, function: Any, scope: Scope, name: str | None = None) -> None:
        _FunctionWrapper.__init__(self, function, call_of(function, scope))
        self._self_scope = scope
        self._self_name = name

    @property
    def __class__(self) -> type:
        return _told_class(self.__wrapped__, InstrumentedFunction)

    @__class__.setter
    def __class__(self, value: type) -> None:
        raise TypeError("__class__ of a decorated callable cannot be set")

    def __set_name__(self, owner: type, name: str) -> None:
        self._self_name = name
        _FunctionWrapper.__set_name__(self, owner, name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Reduce to the name this stands under, else to its parts; a local function has neither."""
        name = getattr(self, "__qualname__", None)
        found = pickling.find_by_name(getattr(self, "__module__", None), name)
        if found is self:
            return name
        if isinstance(found, InstrumentedMethod) and found._self_parent is self:
            return inspect.getattr_static, (found._self_owner, self._self_name or self.__name__)
        if name is None or pickling.goes_by_value(self.__wrapped__, found):
            return self._self_by_value()
        return name  # pickle says that it cannot be found, as of any local function

    def __reduce__(self) -> Any:
        return self.__reduce_ex__(2)

    def _self_by_value(self) -> Any:
        return rebuild, (self.__wrapped__, self._self_scope, self._self_name)

    def __copy__(self) -> InstrumentedFunction:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> InstrumentedFunction:
        return self

    def __repr__(self) -> str:
        return f"<instrumented {self.__wrapped__!r}>"


def rebuild(function: Any, scope: Scope, name: str | None) -> InstrumentedFunction:
    """Make again what was pickled by value; `name` is the attribute it was in its class."""
    return InstrumentedFunction(function, scope, name)


pickling.teach_cloudpickle(InstrumentedFunction, InstrumentedFunction._self_by_value)  # pyright: ignore[reportPrivateUsage]
