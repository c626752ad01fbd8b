"""What the operators and functions of formulas do to values.

A value is None (blank), a text, a number, a truth value, or an aware datetime. The rules follow
Airtable's formula reference: blank equals the empty text and 0, texts compare case-sensitively, values
of different kinds are never equal.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from jobspan import _clock
from jobspan.testing.airtable.field import Field
from jobspan.testing.airtable.value import instant, instant_text, plain_text


class FormulaError(Exception):
    """A formula that cannot be worked out for this record (``#ERROR!``); a filter leaves it out."""


class RecordView(Protocol):
    """What a formula may ask of a record."""

    @property
    def record_id(self) -> str:
        """Return the record's id."""
        ...

    @property
    def created(self) -> str:
        """Return when the record was made."""
        ...

    @property
    def modified(self) -> str:
        """Return when the record was last changed."""
        ...

    def value(self, column: Field) -> Any:
        """Return the value of a cell."""
        ...


Expression = Callable[[RecordView], Any]


def text(value: Any) -> str:
    """Return a value as text, as ``&`` does."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    return instant_text(value) if isinstance(value, datetime) else plain_text(value)


def number(value: Any) -> float | int:
    """Return a value as a number; blank is 0."""
    if value is None or value == "":
        return 0
    if isinstance(value, bool | int | float):
        return value
    raise FormulaError("no number")


def _moment(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value
    return instant(value) if isinstance(value, str) else None


def _equal(left: Any, right: Any) -> bool:
    if left is None or right is None:
        return left in (None, "", 0) and right in (None, "", 0)
    if isinstance(left, str) != isinstance(right, str) or isinstance(left, datetime) != isinstance(
        right, datetime
    ):
        return False
    return bool(left == right)


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def apply(left: Any, right: Any) -> bool:
        if isinstance(left, datetime) or isinstance(right, datetime):
            if left is None or right is None:
                return False
            left, right = _moment(left), _moment(right)
        elif isinstance(left, str) or isinstance(right, str):
            left, right = left or "", right or ""
        else:
            left, right = number(left), number(right)
        try:
            return compare(left, right)
        except TypeError:
            raise FormulaError("values of different kinds") from None

    return apply


def _divide(left: Any, right: Any) -> float:
    try:
        return number(left) / number(right)
    except ZeroDivisionError:
        raise FormulaError("division by zero") from None


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<>": lambda left, right: not _equal(left, right),
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "&": lambda left, right: text(left) + text(right),
    "+": lambda left, right: number(left) + number(right),
    "-": lambda left, right: number(left) - number(right),
    "*": lambda left, right: number(left) * number(right),
    "/": _divide,
}


def _true(value: Any) -> bool:
    return value not in (None, "", 0, False)


def _find(needle: Any, hay: Any, start: Any = 1) -> int:
    return text(hay).find(text(needle), max(0, int(number(start)) - 1)) + 1


def _search(needle: Any, hay: Any, start: Any = 1) -> int | None:
    return _find(text(needle).lower(), text(hay).lower(), start) or None


def _datetime_parse(value: Any, *_: Any) -> datetime:
    moment = _moment(value)
    if moment is None:
        raise FormulaError("no date")
    return moment


_UNITS = {
    "second": "%Y-%m-%d %H:%M:%S", "minute": "%Y-%m-%d %H:%M", "hour": "%Y-%m-%d %H",
    "day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y",
}  # fmt: skip


def _is_same(left: Any, right: Any, unit: Any = "") -> bool:
    first, second = _moment(left), _moment(right)
    if first is None or second is None:
        return False
    form = _UNITS.get(text(unit).lower().removesuffix("s"))
    return first == second if form is None else first.strftime(form) == second.strftime(form)


def _is_after(left: Any, right: Any) -> bool:
    first, second = _moment(left), _moment(right)
    return first is not None and second is not None and first > second


def _substitute(value: Any, old: Any, new: Any) -> str:
    return text(value).replace(text(old), text(new)) if text(old) else text(value)


def _value(value: Any) -> float:
    try:
        return float(text(value))
    except ValueError:
        raise FormulaError("no number") from None


def _now() -> datetime:
    return datetime.fromtimestamp(_clock.now_ns() / 1e9, UTC)


def _dateadd(moment: Any, count: Any, unit: Any) -> datetime:
    name = text(unit).lower().removesuffix("s") + "s"
    if name not in ("seconds", "minutes", "hours", "days", "weeks"):
        raise FormulaError("unknown unit")
    try:
        return _datetime_parse(moment) + timedelta(**{name: float(number(count))})
    except OverflowError:
        raise FormulaError("out of range") from None


_Function = tuple[int, int, Callable[..., Any]]
"""Fewest and most arguments, and what it does."""


def _one(function: Callable[[Any], Any]) -> _Function:
    return 1, 1, function


def _two(function: Callable[[Any, Any], Any]) -> _Function:
    return 2, 2, function


def _many(function: Callable[[list[Any]], Any]) -> _Function:
    return 1, 10_000, lambda *values: function(list(values))


def _if(test: Any, yes: Any, no: Any = None) -> Any:
    return yes if _true(test) else no


def _right(value: Any, count: Any) -> str:
    whole = text(value)
    return whole[len(whole) - min(len(whole), _count(count)) :]


def _mid(value: Any, start: Any, count: Any) -> str:
    first = max(0, _count(start) - 1)
    return text(value)[first : first + _count(count)]


def _count(value: Any) -> int:
    return max(0, int(number(value)))


def _round(value: Any, digits: Any = 0) -> float | int:
    return round(number(value), int(number(digits)))


_FUNCTIONS: dict[str, _Function] = {
    "AND": _many(lambda values: all(map(_true, values))),
    "OR": _many(lambda values: any(map(_true, values))),
    "XOR": _many(lambda values: sum(map(_true, values)) % 2 == 1),
    "NOT": _one(lambda value: not _true(value)),
    "IF": (2, 3, _if),
    "TRUE": (0, 0, lambda: True),
    "FALSE": (0, 0, lambda: False),
    "BLANK": (0, 0, lambda: None),
    "FIND": (2, 3, _find),
    "SEARCH": (2, 3, _search),
    "EXACT": _two(lambda left, right: text(left) == text(right)),
    "LOWER": _one(lambda value: text(value).lower()),
    "UPPER": _one(lambda value: text(value).upper()),
    "TRIM": _one(lambda value: text(value).strip()),
    "LEN": _one(lambda value: len(text(value))),
    "LEFT": _two(lambda value, count: text(value)[: _count(count)]),
    "RIGHT": _two(_right),
    "MID": (3, 3, _mid),
    "SUBSTITUTE": (3, 3, _substitute),
    "CONCATENATE": _many(lambda values: "".join(map(text, values))),
    "VALUE": _one(_value),
    "ABS": _one(lambda value: abs(number(value))),
    "ROUND": (1, 2, _round),
    "SUM": _many(lambda values: sum(map(number, values))),
    "MIN": _many(lambda values: min(map(number, values))),
    "MAX": _many(lambda values: max(map(number, values))),
    "DATETIME_PARSE": (1, 3, _datetime_parse),
    "DATESTR": _one(lambda value: _datetime_parse(value).strftime("%Y-%m-%d")),
    "DATEADD": (3, 3, _dateadd),
    "IS_SAME": (2, 3, _is_same),
    "IS_AFTER": _two(_is_after),
    "IS_BEFORE": _two(lambda left, right: _is_after(right, left)),
    "NOW": (0, 0, _now),
    "TODAY": (0, 0, lambda: _now().replace(hour=0, minute=0, second=0, microsecond=0)),
}
_OF_RECORD: dict[str, Expression] = {
    "RECORD_ID": lambda view: view.record_id,
    "CREATED_TIME": lambda view: instant(view.created),
    "LAST_MODIFIED_TIME": lambda view: instant(view.modified),
}


def call(name: str, arguments: list[Expression]) -> Expression | None:
    """Return the expression that applies a function; None if there is no such function or arity."""
    if name in _OF_RECORD:
        return _OF_RECORD[name] if not arguments else None
    least, most, function = _FUNCTIONS.get(name, (1, 0, _true))
    if not least <= len(arguments) <= most:
        return None
    return lambda view: function(*[argument(view) for argument in arguments])
