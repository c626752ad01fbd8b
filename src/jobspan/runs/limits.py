"""What a run may spend: the options ``max_tokens=``, ``max_cost_usd=`` and ``max_errors=``, checked."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from jobspan.exceptions import UsageError
from jobspan.model.usage.number import PICO, dollars
from jobspan.runs.option import whole_number

Money = float | Decimal | str
"""US dollars; a text like "2.50" and a Decimal are exact."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may spend at most; None: as much as it likes."""

    tokens: int | None
    pico_usd: int | None
    errors: int | None


def limits_of(max_tokens: int | None, max_cost_usd: Money | None, max_errors: int | None) -> Limits | None:
    """Check the options; None where nothing was asked for.

    Raises:
        UsageError: One is wrong.
    """
    if max_tokens is None and max_cost_usd is None and max_errors is None:
        return None
    return Limits(
        None if max_tokens is None else whole_number(max_tokens, "max_tokens", 0),
        None if max_cost_usd is None else _pico(max_cost_usd),
        None if max_errors is None else whole_number(max_errors, "max_errors", 0),
    )


def _pico(value: object) -> int:
    amount = dollars(value)
    if amount is None:
        raise UsageError(f"max_cost_usd={value!r}: give an amount of US dollars, 0 or more")
    return int(amount * PICO)
