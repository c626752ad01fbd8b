"""Which events can be applied whole: the check that stands between a journal and the fold.

A journal may hold what another version, a damaged disk or a stranger wrote. An event passes only if all
its values have the types and bounds the fold relies on, so that none is ever applied by half.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from jobspan.model.status import Left

MAX_COUNT = 2**53
MAX_INSTANT = 2**63 - 1
"""What an SQLite integer holds."""

_SURROGATE = re.compile("[\ud800-\udfff]")

Check = Callable[[Any], bool]


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Tell whether a JSON value is an object."""
    return isinstance(value, dict)


def _is_array(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_whole(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_INSTANT


def _is_int(value: Any) -> bool:
    return type(value) is int and -MAX_INSTANT <= value <= MAX_INSTANT


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_COUNT


def _is_counts(value: Any) -> bool:
    return is_object(value) and all(map(_is_count, value.values()))


def _is_fields(value: Any) -> bool:
    plain = (str, int, float, bool, type(None))
    return is_object(value) and all(isinstance(one, plain) for one in value.values())


def _is_names(value: Any) -> bool:
    return _is_array(value) and all(map(_is_name, value))


def _is_key(value: Any) -> bool:
    return isinstance(value, str) or _is_int(value)


def _is_span(value: Any) -> bool:
    return is_object(value) and _is_name(value.get("t")) and _is_name(value.get("s"))


def _is_path(value: Any) -> bool:
    return is_object(value) and all(map(_is_name, value)) and all(map(_is_name, value.values()))


def _is_flag(value: Any) -> bool:
    return value in (0, 1)


def _is_left(value: Any) -> bool:
    return isinstance(value, str) and value in _LEFT


_LEFT = frozenset(left.value for left in Left if left is not Left.VANISHED)

_STAMP: Mapping[str, Check] = {"w": _is_name, "q": _is_whole, "t": _is_whole}
_OPTIONAL: Mapping[str, Mapping[str, Check]] = {
    "open": {
        "client": _is_text,
        "parent": _is_text,
        "top": _is_text,
        "id": _is_text,
        "part": _is_text,
        "attempt": _is_int,
        "lane": _is_int,
        "deadline": _is_whole,
        "of": _is_name,
        "delivery": _is_name,
        "retry": _is_name,
        "scope": _is_text,
        "expect": _is_whole,
        "to": _is_names,
        "free": _is_flag,
        "passive": _is_flag,
    },
    "add": {"x": _is_whole},
    "detach": {},
    "link": {"key": _is_key},
    "item": {"key": _is_key, "source": _is_text, "x": _is_whole},
    "set": {"c": _is_counts, "f": _is_fields, "x": _is_whole},
    "note": {"text": _is_text},
    "skip": {"reason": _is_text},
    "error": {"type": _is_text, "message": _is_text, "item": _is_text, "place": _is_text},
    "usage": {"key": _is_key, "by": ("only", "job").__contains__},
    "span": {"by": ("only", "job").__contains__, "void": _is_flag},
    "path": {},
    "cost": {"key": _is_key, "source": _is_text},
    "close": {"type": _is_text, "message": _is_text, "lane": _is_int},
    "process": {},
}
_REQUIRED: Mapping[str, Mapping[str, Check]] = {
    "open": {"kind": ("j", "c", "o").__contains__, "job": _is_name, "name": _is_text},
    "add": {"c": _is_counts},
    "item": {"c": _is_counts},
    "usage": {"u": is_object},
    "span": {"u": _is_span},
    "path": {"tr": _is_name, "up": _is_path},
    "cost": {"micro_usd": _is_count},
    "close": {"how": _is_left},
    "detach": {"deadline": _is_whole},
    "process": {"process": _is_name},
}


def is_applicable(event: Mapping[str, Any]) -> bool:
    """Tell whether the fold can apply an event whole."""
    kind = event.get("e")
    if not isinstance(kind, str) or kind not in _OPTIONAL:
        return False
    if kind != "process" and not (_all(_STAMP, event) and _is_absent_or(_is_name, event.get("p"))):
        return False
    if not _all(_REQUIRED.get(kind, {}), event):
        return False
    for name, check in _OPTIONAL[kind].items():
        value = event.get(name)
        if value is not None and not check(value):
            return False
    return kind != "open" or _is_place(event)


def without_surrogates(value: Any) -> Any:
    """Return a JSON value with unpaired surrogates escaped: no database takes them."""
    if isinstance(value, str):
        return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", value)
    if _is_array(value):
        return [without_surrogates(one) for one in value]
    if is_object(value):
        return {without_surrogates(name): without_surrogates(one) for name, one in value.items()}
    return value


def _all(checks: Mapping[str, Check], event: Mapping[str, Any]) -> bool:
    return all(check(event.get(name)) for name, check in checks.items())


def _is_absent_or(check: Check, value: Any) -> bool:
    return value is None or check(value)


def _is_place(event: Mapping[str, Any]) -> bool:
    """Whether an open event says which job, client run or top its part belongs to."""
    client = event.get("client")
    if event["kind"] == "j":
        return client is None
    if event["kind"] == "c":
        return bool(client)
    return bool(event.get("top"))
