"""Read a request's JSON strictly: what has not the documented shape is refused."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NoReturn, cast

from jobspan.testing.airtable import refusal


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def parsed(body: bytes) -> Any:
    """Return what the JSON text `body` says; refuse NaN, Infinity and anything that is no JSON."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise refusal.unreadable_body() from None


def is_object(value: Any) -> bool:
    """Say whether `value` is a JSON object."""
    return isinstance(value, dict)


def object_of(value: Any, otherwise: refusal.Refusal | None = None) -> dict[str, Any]:
    """Return `value` as an object, or refuse the request."""
    if not isinstance(value, dict):
        raise otherwise or refusal.invalid_request()
    return cast("dict[str, Any]", value)


def items_of(value: Any) -> list[Any] | None:
    """Return `value` as an array; None if it is none."""
    return cast("list[Any]", value) if isinstance(value, list) else None  # type: ignore[redundant-cast]


def array_of(value: Any, otherwise: refusal.Refusal | None = None) -> list[Any]:
    """Return `value` as an array, or refuse the request."""
    items = items_of(value)
    if items is None:
        raise otherwise or refusal.invalid_request()
    return items


def text_of(value: Any, otherwise: refusal.Refusal | None = None) -> str:
    """Return `value` as a text, or refuse the request."""
    if not isinstance(value, str):
        raise otherwise or refusal.invalid_request()
    return value


def flag_of(value: Any) -> bool:
    """Return `value` as a truth value; None is False."""
    if value is None:
        return False
    if not isinstance(value, bool):
        raise refusal.invalid_request()
    return value


def only_keys(value: dict[str, Any], allowed: Collection[str]) -> None:
    """Refuse the request if `value` has a key that is not in `allowed`."""
    if not value.keys() <= set(allowed):
        raise refusal.invalid_request()
