"""What a cell takes and what it gives back.

A stored value is what JSON can say, in one form per type: text as it came, numbers as numbers,
instants as UTC text with milliseconds, links as lists of record ids. Empty cells are not stored.
"""

from __future__ import annotations

import math
import re
import zoneinfo
from collections.abc import Callable
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Protocol, cast

from jobspan.testing.airtable import refusal
from jobspan.testing.airtable.field import NUMBERS, TEXT, Field
from jobspan.testing.airtable.shape import items_of

LONGEST_TEXT = 100_000
"""Characters a text cell holds at most."""
_EXACT = 2**53
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?")
_MONEY = re.compile(r"[^0-9eE.+-]")


class LinkTarget(Protocol):
    """What a link cell may ask of the base."""

    def has_row(self, table_id: str, record_id: str) -> bool:
        """Say whether the table holds the record."""
        ...

    def row_named(self, table_id: str, name: str) -> str:
        """Return the id of the record with that primary value, creating it if there is none."""
        ...


def accepted(field: Field, value: Any, links: LinkTarget, *, typecast: bool = False) -> Any:
    """Return what a cell of `field` stores for `value`; None empties it.

    Raises:
        Refusal: As Airtable refuses: a computed field, a wrong type, an unknown option. Without
            `typecast` nothing is coerced; with it texts are read and options and rows invented.
    """
    if field.is_computed:
        raise refusal.computed_field(field.name)
    if value is None:
        return None
    if typecast:
        value = _cast(field, value, links)
        if value is None or value == "":
            return None
    reader = _reader(field.type)
    if reader is None:
        raise refusal.wrong_value(field.name)
    stored = reader(field, value)
    if field.type == "multipleRecordLinks":
        _check_links(field, cast("list[str]", stored), links)
    return None if stored in ("", False, []) and not _is_number(stored) else stored


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _reader(kind: str) -> Callable[[Field, Any], Any] | None:
    if kind in TEXT:
        return _text
    if kind in NUMBERS:
        return _number
    return _READERS.get(kind)


def _text(field: Field, value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise refusal.wrong_value(field.name)
    return value


def _number(field: Field, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refusal.wrong_value(field.name)
    if isinstance(value, int) and abs(value) <= _EXACT:
        number: int | float = value
    else:
        number = _as_double(field, value)
    if field.type == "rating" and not (number == int(number) and 0 <= number <= field.options["max"]):
        raise refusal.wrong_value(field.name)
    return number


def _as_double(field: Field, value: int | float) -> int | float:
    """Return the number as a 64-bit double holds it; whole ones read back without a point."""
    try:
        double = float(value)
    except OverflowError:
        raise refusal.wrong_value(field.name) from None
    if not math.isfinite(double):
        raise refusal.wrong_value(field.name)
    return int(double) if double == int(double) and abs(double) < 1e21 else double


def _option(field: Field, value: Any) -> str:
    if not isinstance(value, str):
        raise refusal.wrong_value(field.name)
    if value not in field.choices:
        raise refusal.unknown_option(value)
    return value


def _options(field: Field, value: Any) -> list[str]:
    return list(dict.fromkeys(_option(field, item) for item in _list(field, value)))


def _list(field: Field, value: Any) -> list[Any]:
    items = items_of(value)
    if items is None:
        raise refusal.wrong_value(field.name)
    return items


def _flag(field: Field, value: Any) -> bool:
    if not isinstance(value, bool):
        raise refusal.wrong_value(field.name)
    return value


def zone_of(field: Field) -> tzinfo:
    """Return the zone in which an instant without offset is read."""
    name = str(field.options.get("timeZone", "utc"))
    return UTC if name in ("utc", "client") else zoneinfo.ZoneInfo(name)


def instant(text: str, zone: tzinfo = UTC) -> datetime | None:
    """Return the instant that an ISO 8601 text names, or None."""
    if not _INSTANT.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def instant_text(moment: datetime) -> str:
    """Return the instant as Airtable shows it: UTC, milliseconds, Z."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}".zfill(19) + f".{utc.microsecond // 1000:03d}Z"


def _instant(field: Field, value: Any) -> str:
    moment = instant(value, zone_of(field)) if isinstance(value, str) else None
    if moment is None:
        raise refusal.wrong_value(field.name)
    return instant_text(moment)


def _day(field: Field, value: Any) -> str:
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            raise refusal.wrong_value(field.name) from None
    return _instant(field, value)[:10]


def _links(field: Field, value: Any) -> list[str]:
    items = items_of(value)
    if items is None or not all(isinstance(item, str) for item in items):
        raise refusal.typed(422, "INVALID_RECORD_ID", "Value is not an array of record IDs.")
    return list(dict.fromkeys(items))


def _check_links(field: Field, record_ids: list[str], links: LinkTarget) -> None:
    for record_id in record_ids:
        if not record_id.startswith("rec"):
            message = f'Value "{record_id}" is not a valid record ID.'
            raise refusal.typed(422, "INVALID_RECORD_ID", message)
        if not links.has_row(field.options["linkedTableId"], record_id):
            raise refusal.no_such_row(record_id)


_READERS: dict[str, Callable[[Field, Any], Any]] = {
    "singleSelect": _option,
    "multipleSelects": _options,
    "checkbox": _flag,
    "dateTime": _instant,
    "date": _day,
    "multipleRecordLinks": _links,
}


def plain_text(value: Any) -> str:
    """Return a JSON value as the text that typecast makes of it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if (items := items_of(value)) is not None:
        return ", ".join(plain_text(item) for item in items)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return str(value)


def _cast(field: Field, value: Any, links: LinkTarget) -> Any:
    """Return `value` as typecast turns it for `field`; what cannot be read becomes empty."""
    if field.type in TEXT:
        return plain_text(value)
    if field.type in NUMBERS:
        return _cast_number(value)
    if field.type == "checkbox":
        return (
            value if isinstance(value, bool) else plain_text(value).lower() in ("true", "1", "yes", "checked")
        )
    if field.type in ("date", "dateTime"):
        return value if isinstance(value, str) and instant(value) else None
    if field.type == "singleSelect":
        return _invented(field, plain_text(value).strip())
    items = items_of(value) or plain_text(value).split(",")
    texts = [text for item in items if (text := plain_text(item).strip())]
    if field.type == "multipleSelects":
        return [_invented(field, text) for text in texts]
    if field.type == "multipleRecordLinks":
        table_id = field.options["linkedTableId"]
        return [text if links.has_row(table_id, text) else links.row_named(table_id, text) for text in texts]
    return value


def _cast_number(value: Any) -> int | float | None:
    if isinstance(value, int | float):
        return int(value) if isinstance(value, bool) else value
    text = _MONEY.sub("", plain_text(value))
    try:
        number = float(text)
    except ValueError:
        return None
    return number / 100 if plain_text(value).strip().endswith("%") else number


def _invented(field: Field, name: str) -> str:
    if name and name not in field.choices:
        field.add_choice(name)
    return name
