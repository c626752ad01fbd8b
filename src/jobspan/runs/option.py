"""Checks the options people write: wrong programming use is told at once, with what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta

from jobspan.exceptions import UsageError
from jobspan.model.columns import did_you_mean

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)\s*")

Duration = float | timedelta | str
"""Seconds, a timedelta, or a text like "90s", "45m", "24h"."""


def seconds_of(value: object, option: str) -> float:
    """Return a duration in seconds.

    Raises:
        UsageError: It is not a positive duration.
    """
    seconds = -1.0
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, str) and (match := _TEXT.fullmatch(value)):
        seconds = float(match[1]) * _UNITS[match[2]]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    if not 0 < seconds < 1e9:
        raise UsageError(f'{option}={value!r}: give seconds above 0, a timedelta, or a text like "45m"')
    return seconds


def name_of(value: object, what: str) -> str:
    """Return a job type or an operation name.

    Raises:
        UsageError: It is no text with something in it.
    """
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{what} is a text with something in it, not {value!r}")
    return value


def whole_number(value: object, option: str, least: int) -> int:
    """Return an integer of at least `least`.

    Raises:
        UsageError: It is something else.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UsageError(f"{option}={value!r}: give a whole number of at least {least}")
    return value


def refuse_unknown(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """Refuse names that mean nothing.

    Raises:
        UsageError: One of `given` is not in `known`.
    """
    known = list(known)
    for name in given:
        if name not in known:
            raise UsageError(f"{what} takes no {name!r}; {did_you_mean(name, known)}")
