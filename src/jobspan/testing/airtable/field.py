"""A column: its type, its options, and which of them the API lets anybody create."""

from __future__ import annotations

import random
import string
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jobspan.testing.airtable import refusal, shape

TEXT = frozenset({"singleLineText", "multilineText", "richText", "email", "url", "phoneNumber"})
NUMBERS = frozenset({"number", "currency", "percent", "duration", "rating"})
SELECTS = frozenset({"singleSelect", "multipleSelects"})
COMPUTED = frozenset(
    {
        "formula", "createdTime", "lastModifiedTime", "createdBy", "lastModifiedBy", "autoNumber",
        "rollup", "count", "multipleLookupValues", "button", "externalSyncSource", "aiText",
    }
)  # fmt: skip
MERGEABLE = TEXT | NUMBERS | SELECTS | {"date", "dateTime"}
"""Types that an upsert may merge on (documented: number, text, long text, selects, date)."""
_NEVER_PRIMARY = frozenset({"checkbox", "multipleRecordLinks", "multipleSelects", "rating"})

DATE_FORMATS = {
    "local": "l", "friendly": "LL", "us": "M/D/YYYY", "european": "D/M/YYYY", "iso": "YYYY-MM-DD",
}  # fmt: skip
TIME_FORMATS = {"12hour": "h:mma", "24hour": "HH:mm"}

_ALPHABET = string.ascii_letters + string.digits
_random = random.SystemRandom()  # the global `random` belongs to the tests that use this server


def new_id(prefix: str) -> str:
    """Return a fresh identifier of Airtable's form: three letters and 14 characters."""
    return prefix + "".join(_random.choices(_ALPHABET, k=14))


@dataclass
class Field:
    """One column of a table; `options` has the shape the metadata API shows."""

    name: str
    type: str
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    description: str | None = None
    id: str = field(default_factory=lambda: new_id("fld"))

    @property
    def is_computed(self) -> bool:
        """Say whether Airtable fills this column and refuses what others write."""
        return self.type in COMPUTED

    @property
    def choices(self) -> list[str]:
        """Return the names of the select options, in their order."""
        return [choice["name"] for choice in self.options.get("choices", [])]

    def add_choice(self, name: str) -> None:
        """Add a select option."""
        self.options.setdefault("choices", []).append(_choice({"name": name}))

    def to_json(self) -> dict[str, Any]:
        """Return the column as the metadata API shows it."""
        shown: dict[str, Any] = {"type": self.type, "id": self.id, "name": self.name}
        if self.options:
            shown["options"] = self.options
        if self.description is not None:
            shown["description"] = self.description
        return shown


def _choice(given: dict[str, Any]) -> dict[str, Any]:
    return {"id": new_id("sel"), "name": given["name"], "color": given.get("color", "blueLight2")}


def _bad_options(kind: str) -> refusal.Refusal:
    return refusal.typed(
        422, "INVALID_OPTIONS_FOR_FIELD", f"Creating {kind} field: the provided options are not valid"
    )


def _precision(options: dict[str, Any], most: int) -> int:
    value = options.get("precision")
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError
    return value


def _keys(options: dict[str, Any], *allowed: str) -> None:
    if options.keys() - set(allowed):
        raise ValueError


def _number(options: dict[str, Any]) -> dict[str, Any]:
    _keys(options, "precision")
    return {"precision": _precision(options, 8)}


def _currency(options: dict[str, Any]) -> dict[str, Any]:
    _keys(options, "precision", "symbol")
    if not isinstance(options.get("symbol"), str):
        raise ValueError
    return {"precision": _precision(options, 7), "symbol": options["symbol"]}


def _named_format(options: dict[str, Any], key: str, known: dict[str, str]) -> dict[str, str]:
    given = shape.object_of(options.get(key))
    _keys(given, "name", "format")
    name = given.get("name")
    if name not in known or given.get("format", known[name]) != known[name]:
        raise ValueError
    return {"name": name, "format": known[name]}


def _date(options: dict[str, Any]) -> dict[str, Any]:
    _keys(options, "dateFormat")
    return {"dateFormat": _named_format(options, "dateFormat", DATE_FORMATS)}


def _date_time(options: dict[str, Any]) -> dict[str, Any]:
    _keys(options, "dateFormat", "timeFormat", "timeZone")
    zone = options.get("timeZone")
    if not isinstance(zone, str) or not is_zone(zone):
        raise ValueError
    return {
        "dateFormat": _named_format(options, "dateFormat", DATE_FORMATS),
        "timeFormat": _named_format(options, "timeFormat", TIME_FORMATS),
        "timeZone": zone,
    }


def is_zone(zone: str) -> bool:
    """Say whether `zone` is ``utc``, ``client`` or an IANA name with a slash; "UTC" is none."""
    if zone in ("utc", "client"):
        return True
    try:
        return "/" in zone and bool(zoneinfo.ZoneInfo(zone))
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return False


def _select(options: dict[str, Any]) -> dict[str, Any]:
    _keys(options, "choices")
    choices = [shape.object_of(choice) for choice in shape.array_of(options.get("choices"))]
    names = [choice.get("name") for choice in choices]
    if len(set(names)) != len(names) or not all(isinstance(name, str) and name for name in names):
        raise ValueError
    for choice in choices:
        _keys(choice, "name", "color")
    return {"choices": [_choice(choice) for choice in choices]}


def _checkbox(options: dict[str, Any]) -> dict[str, Any]:
    _keys(options, "icon", "color")
    return {"icon": shape.text_of(options.get("icon")), "color": shape.text_of(options.get("color"))}


def _rating(options: dict[str, Any]) -> dict[str, Any]:
    most = options.get("max")
    if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= 10:
        raise ValueError
    return {**_checkbox({key: options[key] for key in options if key != "max"}), "max": most}


def _duration(options: dict[str, Any]) -> dict[str, Any]:
    _keys(options, "durationFormat")
    return {"durationFormat": shape.text_of(options.get("durationFormat"))}


def _links(options: dict[str, Any]) -> dict[str, Any]:
    _keys(options, "linkedTableId", "viewIdForRecordSelection")
    linked = shape.text_of(options.get("linkedTableId"))
    return {"linkedTableId": linked, "isReversed": False, "prefersSingleRecordLink": False}


_OPTIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "number": _number,
    "percent": _number,
    "currency": _currency,
    "date": _date,
    "dateTime": _date_time,
    "singleSelect": _select,
    "multipleSelects": _select,
    "checkbox": _checkbox,
    "rating": _rating,
    "duration": _duration,
    "multipleRecordLinks": _links,
}


def checked_options(kind: str, options: Any) -> dict[str, Any]:
    """Return the options a new field of type `kind` gets; refuse those the API refuses."""
    if kind in TEXT:
        if options:
            raise _bad_options(kind)
        return {}
    try:
        return _OPTIONS[kind](shape.object_of(options))
    except (ValueError, KeyError, refusal.Refusal):
        raise _bad_options(kind) from None


def created(given: Any, *, primary: bool = False) -> Field:
    """Return the field that a request's field object asks for.

    Raises:
        Refusal: The type cannot be created by the API, or its options are missing or wrong.
    """
    config = shape.object_of(given)
    shape.only_keys(config, ("name", "type", "description", "options"))
    name, kind = shape.text_of(config.get("name")).strip(), shape.text_of(config.get("type"))
    if not name:
        raise refusal.typed(422, "DUPLICATE_OR_EMPTY_FIELD_NAME", "The field name is empty")
    if kind in COMPUTED:
        message = f"Creating {kind} fields is not supported at this time"
        raise refusal.typed(422, "UNSUPPORTED_FIELD_TYPE_FOR_CREATE", message)
    if kind not in TEXT and kind not in _OPTIONS:
        raise refusal.invalid_request()
    if primary and kind in _NEVER_PRIMARY:
        message = f"The field type {kind} cannot be the primary field"
        raise refusal.typed(422, "INVALID_FIELD_TYPE_FOR_PRIMARY_FIELD", message)
    options = checked_options(kind, config.get("options"))
    return Field(name, kind, options, config.get("description"))
