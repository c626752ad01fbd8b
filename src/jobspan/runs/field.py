"""Columns set by name: which are counters, which text, and what does not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from jobspan.model.columns import CLIENT_RUN_FIELDS, JOB_FIELDS, Meaning, counter_of, did_you_mean
from jobspan.model.counters import clean_count, clean_money

_MEANINGS: dict[str, Meaning] = {**CLIENT_RUN_FIELDS, **JOB_FIELDS}


def set_event(
    fields: Mapping[str, object], text: Callable[[object], str]
) -> tuple[dict[str, Any], list[str]]:
    """Return the set part of an event, and lines for the notes: what was left out, or is a note itself.

    Args:
        fields: Snake_case column names and values; None leaves a column as it is.
        text: Makes any value a text without secrets.
    """
    counters: dict[str, int] = {}
    texts: dict[str, str] = {}
    notes: list[str] = []
    for name, value in fields.items():
        if value is None:
            continue
        meaning = _MEANINGS.get(name, "count" if isinstance(value, int) else "text")
        if meaning in ("count", "money"):
            number, reason = clean_count(value) if meaning == "count" else clean_money(value)
            if number is None:
                notes.append(f"{name} was left out: {reason}")
            else:
                counters[counter_of(name)] = number
        elif meaning == "note":
            notes.append(text(value))
        elif meaning == "instant":
            _set_instant(name, value, texts, notes, text)
        elif name not in _MEANINGS:
            notes.append(f"{name} was left out: there is no such column; {did_you_mean(name, [*_MEANINGS])}")
        elif meaning == "text":
            texts[name] = text(value)
    return {"c": counters, "f": texts}, notes


def _set_instant(
    name: str, value: object, texts: dict[str, str], notes: list[str], text: Callable[[object], str]
) -> None:
    """Take an aware or naive (then UTC) datetime, or an ISO 8601 text."""
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            notes.append(f"{name} was left out: {text(value)[:60]!r} is no ISO 8601 instant")
            return
    if isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    if not isinstance(moment, datetime):
        notes.append(f"{name} was left out: it is no datetime")
        return
    texts[name] = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
