"""How an exception is written on a span."""

from __future__ import annotations

import traceback
from typing import Any

from jobspan.spans import names


def exception_attributes(error: BaseException, text: str, escaped: bool) -> dict[str, Any]:
    """Return the attributes of an exception event; `text` is its message, already redacted."""
    return {
        names.EXCEPTION_TYPE: exception_type(error),
        names.EXCEPTION_MESSAGE: text,
        names.EXCEPTION_ESCAPED: str(escaped),
    }


def stack_of(error: BaseException) -> str:
    """Return the formatted stack, which holds the message and source lines: not redacted yet."""
    return "".join(traceback.format_exception(error))


def exception_type(error: BaseException) -> str:
    """Return the type's name as OpenTelemetry writes it: with its module unless that is builtins."""
    kind = type(error)
    module = getattr(kind, "__module__", None)
    return f"{module}.{kind.__qualname__}" if module and module != "builtins" else kind.__qualname__


def described(error: BaseException, text: str) -> str:
    """Return ``Type: text``, as the SDK describes the status of a failed span."""
    name = type(error).__name__
    return f"{name}: {text}" if text and text != name else name
