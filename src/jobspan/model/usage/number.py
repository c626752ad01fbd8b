"""Read counts and money out of values that other people's code wrote: a bad value is no value."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

LARGEST_COUNT = 2**53
"""Above it a JSON reader may round; no real call comes near."""

PICO = Decimal(10) ** 12
"""Costs of calls are summed in pico-USD: an embedding costs less than a micro-dollar."""
_LARGEST_COST = Decimal(1_000_000_000)
_COST_DIGITS = 12


def count(value: object) -> int | None:
    """Return `value` as a token count, or None when it is not a whole number from 0 to 2^53.

    Integral floats (Cohere's billed units) and digit strings are accepted; bool never is.
    """
    if type(value) is int:
        return value if 0 <= value <= LARGEST_COUNT else None
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if 0 <= value <= LARGEST_COUNT and value.is_integer() else None
    if isinstance(value, str):
        return _digits(value)
    if isinstance(value, int):
        return int(value) if 0 <= value <= LARGEST_COUNT else None
    return None


def _digits(text: str) -> int | None:
    if len(text) > 16 or not (text.isascii() and text.isdigit()):
        return None
    number = int(text)
    return number if number <= LARGEST_COUNT else None


def dollars(value: object) -> Decimal | None:
    """Return `value` in US dollars, rounded to 12 places, or None when it is no amount of money.

    A float is read by its shortest text, so 0.1 is exactly 0.1.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        text = value.strip() if isinstance(value, str) else value
        if isinstance(text, str | Decimal) and len(str(text)) > 40:
            return None
        amount = Decimal(repr(text)) if isinstance(text, float) else Decimal(text)
        if not amount.is_finite() or not 0 <= amount <= _LARGEST_COST:
            return None
        return plain(round(amount, _COST_DIGITS))
    except (InvalidOperation, ValueError, OverflowError):
        return None


def plain(amount: Decimal) -> Decimal:
    """Return the same amount without needless zeros, so that equal amounts have one text."""
    return (
        Decimal(0)
        if not amount
        else Decimal(f"{amount:f}".rstrip("0").rstrip(".") if amount % 1 else int(amount))
    )
