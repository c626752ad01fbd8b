"""The words and numbers of the tables: the same everywhere, `–` where nothing was measured."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from decimal import Decimal

from jobspan.model.status import Status

NONE = "–"
_TALLY = {
    Status.COMPLETED.value: "ok",
    Status.COMPLETED_WITH_ERRORS.value: "with errors",
    Status.FAILED.value: "failed",
    Status.TIMED_OUT.value: "timed out",
    Status.CANCELED.value: "canceled",
    Status.RUNNING.value: "running",
    "skipped": "skipped",
}


COLOURS = {
    Status.COMPLETED.value: ("green", "\x1b[32m"),
    Status.COMPLETED_WITH_ERRORS.value: ("yellow", "\x1b[33m"),
    Status.FAILED.value: ("red", "\x1b[31m"),
    Status.TIMED_OUT.value: ("red", "\x1b[31m"),
    Status.CANCELED.value: ("magenta", "\x1b[35m"),
    Status.RUNNING.value: ("cyan", "\x1b[36m"),
}
"""The colour of a status: its name, and the code that a terminal reads."""


def number(value: int | None) -> str:
    """Return a whole number with its thousands apart."""
    return NONE if value is None else f"{value:,}"


def money(usd: Decimal | None, unpriced_calls: int = 0) -> str:
    """Return a cost: to the cent from $100, else exact; with ``≥`` where calls have no price."""
    if usd is None:
        return NONE
    text = f"{usd:,.2f}" if usd >= 100 or usd.as_tuple().exponent in (-1, 0, -2) else f"{usd:f}"
    return f"≥ ${text}" if unpriced_calls else f"${text}"


def moment(at: datetime | None, zone: tzinfo, *, seconds: bool = True) -> str:
    """Return an instant in `zone`; the zone itself is named once, in a heading."""
    if at is None:
        return NONE
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def took(start: datetime | None, end: datetime | None) -> str:
    """Return how long something took, in at most two units."""
    if start is None or end is None:
        return NONE
    seconds = max(0.0, (end - start).total_seconds())
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def tally(statuses: Mapping[str, int]) -> str:
    """Return how many ended how: ``3: 2 ok, 1 failed``."""
    parts = [f"{statuses[status]:,} {word}" for status, word in _TALLY.items() if statuses.get(status)]
    return f"{sum(statuses.values()):,}: {', '.join(parts)}" if parts else "0"


def counts(named: Mapping[str, int]) -> str:
    """Return counters in one line: ``43 posts, 120 leads``."""
    return ", ".join(f"{value:,} {name}" for name, value in named.items()) or NONE
