"""Read one argument, known by its name, from the calls of a function.

The signature is read once, at decoration; a call then costs an index or a look into its keywords.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

import wrapt

from jobspan.exceptions import UsageError

Reader = Callable[[tuple[Any, ...], Mapping[str, Any]], Any]
"""Takes the arguments of a call, as `Scope.bind` gets them; returns the value or None if it was left out."""

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def signature_binder(function: Callable[..., Any], name: str) -> Reader:
    """Return a cheap way to read the argument called `name` from a call of `function`.

    The reader takes ``(args, kwargs)`` as `Scope.bind` gets them: for a method with ``self`` or ``cls``
    in front. It finds the argument by place, by keyword, in ``**kwargs``, in what a partial has fixed,
    or as the default; it returns None where the call leaves out what it must not (that call fails by
    itself). It never raises.

    Raises:
        UsageError: No parameter has this name and there is no ``**kwargs``, or the signature cannot
            be read (some builtins).
    """
    while isinstance(function, wrapt.FunctionWrapper):
        function = cast("Any", function).__wrapped__
    if isinstance(function, functools.partial):
        return _behind_partial(signature_binder(function.func, name), function.args, function.keywords)
    if isinstance(function, functools.partialmethod):
        inner = signature_binder(function.func, name)
        behind = _behind_partial if isinstance(function.func, staticmethod) else _behind_partialmethod
        return behind(inner, function.args, function.keywords)
    if isinstance(function, functools.singledispatchmethod):
        return signature_binder(cast("Any", function).func, name)
    if isinstance(function, (classmethod, staticmethod)):
        return signature_binder(cast("Any", function).__func__, name)
    return _reader(_parameters(function, name), function, name)


def _parameters(function: Callable[..., Any], name: str) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"cannot read the parameters of {function!r} to find {name!r}; "
            "give a function of the call's arguments instead"
        ) from error


def _reader(parameters: list[inspect.Parameter], function: Callable[..., Any], name: str) -> Reader:
    for index, parameter in enumerate(parameters):
        if parameter.name != name:
            continue
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            return lambda args, kwargs: args[index:]
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            return _extra_keywords(parameters)
        default = None if parameter.default is inspect.Parameter.empty else parameter.default
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            return lambda args, kwargs: args[index] if len(args) > index else default
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            return lambda args, kwargs: kwargs.get(name, default)
        return lambda args, kwargs: args[index] if len(args) > index else kwargs.get(name, default)
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return lambda args, kwargs: kwargs.get(name)
    raise UsageError(_no_such_parameter([parameter.name for parameter in parameters], function, name))


def _no_such_parameter(names: list[str], function: Callable[..., Any], name: str) -> str:
    called = getattr(function, "__qualname__", None) or repr(function)
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"{called} has no parameter {name!r}; did you mean {near[0]!r}?"
    has = f"it has {', '.join(map(repr, names))}" if names else "it has none"
    return f"{called} has no parameter {name!r}; {has}"


def _extra_keywords(parameters: list[inspect.Parameter]) -> Reader:
    named = {
        parameter.name
        for parameter in parameters
        if parameter.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    }
    return lambda args, kwargs: {key: value for key, value in kwargs.items() if key not in named}


def _behind_partial(inner: Reader, fixed: tuple[Any, ...], keywords: Mapping[str, Any]) -> Reader:
    return lambda args, kwargs: inner((*fixed, *args), {**keywords, **kwargs})


def _behind_partialmethod(inner: Reader, fixed: tuple[Any, ...], keywords: Mapping[str, Any]) -> Reader:
    return lambda args, kwargs: inner((*args[:1], *fixed, *args[1:]), {**keywords, **kwargs})
