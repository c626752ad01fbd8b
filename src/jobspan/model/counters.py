"""Numbers that came from elsewhere: what is accepted as a count or an amount of money, and what is not.

A refused value never spoils a total: the caller gets the reason, in words that follow the name of the
field ("posts" + " " + "is negative"), and notes it.
"""

from __future__ import annotations

import math
import operator
import re
from decimal import ROUND_HALF_EVEN, Context, Decimal
from numbers import Real
from typing import SupportsIndex

from jobspan.model.text import attempt, clip, one_line

MAX_COUNT = 2**53
"""The greatest integer an Airtable number, JSON in a browser and a float all keep exactly."""

MAX_USD = 10**9

_MICRO = 1_000_000
_MICRO_STEP = Decimal("0.000001")
_EXACT = Context(prec=50, traps=[])  # own traps: a user's decimal context must not make us raise
_MONEY = re.compile(r"(?:[+-]?\$? ?|\$ ?[+-])(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_MAX_MONEY_TEXT = 64

Count = tuple[int, None] | tuple[None, str]
"""An accepted number and None, or None and the reason it was refused."""


def clean_count(value: object) -> Count:
    """Return ``(count, None)``, or ``(None, reason)`` where `value` cannot be added to a total.

    Accepted: whole numbers from 0 to 2^53 as int, float, Decimal, Fraction, or any type with
    ``__index__`` (numpy's integers). Refused: bool, text, fractions of one, NaN, infinite, negative
    and greater numbers, and what is no number.
    """
    if type(value) is int and 0 <= value <= MAX_COUNT:  # nearly always
        return value, None
    number = _number(value)
    if isinstance(number, str):
        return None, number
    reason = _out_of_range(number, MAX_COUNT, "2^53")
    if reason is not None:
        return None, reason
    whole = int(number)
    return (whole, None) if whole == number else (None, "is not a whole number")


def clean_money(value: object) -> Count:
    """Return ``(micro-USD, None)``, or ``(None, reason)`` where `value` is no usable amount of US dollars.

    Accepted: 0 to 10^9 USD as int, Decimal, float (read as it prints) or text like ``0.1834`` or
    ``$0.1834``. What lies between two micro-dollars goes to the nearer, a tie to the even one; nothing
    is rounded before that.
    """
    if isinstance(value, str):
        return _money_of_text(value)
    number = _number(value)
    if isinstance(number, str):
        return None, number
    reason = _out_of_range(number, MAX_USD, "1,000,000,000 USD")
    if reason is not None:
        return None, reason
    if isinstance(number, int):
        return number * _MICRO, None
    return _micro(Decimal(repr(number)) if isinstance(number, float) else number), None


def money_text(micro_usd: int) -> str:
    """Return micro-USD as US dollars in plain decimal digits, none of them needless: 183400 is ``0.1834``."""
    sign = "-" if micro_usd < 0 else ""
    dollars, rest = divmod(abs(micro_usd), _MICRO)
    return f"{sign}{dollars}.{rest:06d}".rstrip("0").rstrip(".")


def _number(value: object) -> int | float | Decimal | str:
    """Return `value` as an exact int, float or Decimal; a str is the reason why it is none."""
    kind = f"is not a number but {clip(one_line(type(value).__name__), 80)}"
    if isinstance(value, (bool, str)):
        return kind
    if isinstance(value, int):
        return int.__index__(value)
    if isinstance(value, Decimal):
        return Decimal(value)
    if isinstance(value, SupportsIndex):
        index = attempt(lambda: int.__index__(operator.index(value)))
        return kind if index is None else index
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, Real):
        real = attempt(lambda: float.__float__(float(value)))
        return kind if real is None else real
    return kind


def _out_of_range(number: int | float | Decimal, most: int, most_text: str) -> str | None:
    if isinstance(number, Decimal):
        nan, infinite = number.is_nan(), number.is_infinite()
    else:
        nan, infinite = number != number, isinstance(number, float) and math.isinf(number)
    if nan:
        return "is NaN"
    if infinite:
        return "is infinite"
    if number < 0:
        return "is negative"
    return f"is more than {most_text}" if number > most else None


def _money_of_text(text: str) -> Count:
    stripped = text.strip() if len(text) <= _MAX_MONEY_TEXT else ""
    if "," in stripped:
        return None, "has a comma; write it like 1234.50"
    if _MONEY.fullmatch(stripped) is None:
        return None, "is not an amount like 0.1834"
    return clean_money(Decimal(stripped.replace("$", "").replace(" ", "")))


def _micro(usd: Decimal) -> int:
    return int(usd.quantize(_MICRO_STEP, ROUND_HALF_EVEN, _EXACT).scaleb(6, _EXACT))
