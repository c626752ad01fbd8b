"""Read counts and money out of values that other people's code wrote: a bad value is no value."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation

LARGEST_BITS = 53
LARGEST_COUNT = 2**LARGEST_BITS
"""Above it a JSON reader may round; no real call comes near."""

PICO = Decimal(10) ** 12
"""Costs of calls are summed in pico-USD: an embedding costs less than a micro-dollar."""
_LARGEST_COST = Decimal(1_000_000_000)
_SMALLEST = Decimal("1E-12")
_TEN = Decimal(10)
_EXACT = Context(prec=50, rounding=ROUND_HALF_EVEN)
"""Of our own: whoever calls may have set another precision."""


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


def whole_counts(
    prompt: int | None,
    completion: int | None,
    total: int | None,
    cached: int,
    reasoning: int,
    exclusive: bool = False,
    google: bool = False,
) -> tuple[int, int]:
    """Return (all input tokens, all generated tokens) from what an emitter reports of one call.

    Cached tokens are added where they were left out: known emitters, more cached than prompt, or
    a total that includes them (never Google's, whose totals include thoughts instead). What a
    total has beyond both parts was generated (Gemini's thoughts under OpenLLMetry).
    """
    if prompt is None:
        prompt = max(0, (total or 0) - (completion or 0))
    completion = completion or 0
    if cached and (
        exclusive
        or cached > prompt
        or (not google and total is not None and total == prompt + completion + cached)
    ):
        prompt += cached
    if total is not None and total > prompt + completion:
        completion = total - prompt
    if reasoning > completion:
        completion += reasoning
    return prompt, completion


def dollars(value: object) -> Decimal | None:
    """Return `value` in US dollars, rounded to 12 places, or None when it is no amount of money.

    A float is read by its shortest text, so 0.1 is exactly 0.1.
    """
    try:
        if isinstance(value, float):
            amount = Decimal(float.__repr__(value))
        elif isinstance(value, int | str | Decimal) and not isinstance(value, bool):
            text = value.strip() if isinstance(value, str) else value
            if isinstance(text, str | Decimal) and len(str(text)) > 40:
                return None
            amount = Decimal(text)
        else:
            return None
        if not amount.is_finite() or not 0 <= amount <= _LARGEST_COST:
            return None
        amount = _EXACT.quantize(amount, _SMALLEST)
        return _EXACT.normalize(amount) if 0 < amount < _TEN else plain(amount)  # the same there, and faster
    except (InvalidOperation, ValueError, OverflowError):
        return None


def plain(amount: Decimal) -> Decimal:
    """Return the same amount without needless zeros, so that equal amounts have one text."""
    return (
        Decimal(0)
        if not amount
        else Decimal(f"{amount:f}".rstrip("0").rstrip(".") if amount % 1 else int(amount))
    )
