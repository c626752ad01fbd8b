"""Structured log events: one event is one line, named ``jobspan.<noun>.<past participle>``."""

from __future__ import annotations

import logging
import re

from jobspan._ending import ending

logger = logging.getLogger("jobspan")
logger.addHandler(logging.NullHandler())

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def one_line(text: str) -> str:
    """Return `text` with control, line-breaking, bidi and surrogate characters escaped."""
    return _UNSAFE.sub(
        lambda match: match.group().encode("unicode_escape", "backslashreplace").decode(), text
    )


def event(level: int, name: str, **fields: object) -> None:
    """Log one event; `fields` stand in its text as ``key=value`` and on the record as ``jobspan``."""
    if logger.isEnabledFor(level):
        text = " ".join([name, *(f"{key}={one_line(str(value))}" for key, value in fields.items())])
        with ending.writing():
            logger.log(level, "%s", text, extra={"jobspan": {"event": name, **fields}})
