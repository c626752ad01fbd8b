"""Text that came from elsewhere, made safe to show: escaped, clipped, kept from acting as a formula.

Every function here is total: whatever the `str`, it answers and never raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

UNSAFE = "\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
"""Body of a character class: control, line-breaking, bidi and surrogate characters."""

_UNSAFE = re.compile(f"[{UNSAFE}]")
_UNSAFE_BUT_NEWLINE = re.compile(f"(?!\n)[{UNSAFE}]")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_FORMULA_STARTS = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")  # the last four: their full-width forms
_BREAKING_STARTS = ("\t", "\r", "\n")


def escape(character: str) -> str:
    """Return `character` as a visible escape: ``\\x00`` up to U+00FF, ``\\u202e`` above."""
    point = ord(character)
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}"


def escape_all(text: str, pattern: re.Pattern[str], *, short: bool = False) -> str:
    """Escape every character `pattern` finds; with `short`, line breaks and tabs as ``\\n \\r \\t``."""
    found = set(pattern.findall(text))
    if not found:
        return text
    shorts = _SHORT if short else {}
    return text.translate({ord(each): shorts.get(each) or escape(each) for each in found})


def one_line(text: str) -> str:
    """Return `text` on one line: control, line-breaking, bidi and surrogate characters are escaped."""
    return escape_all(text, _UNSAFE, short=True)


def multi_line(text: str) -> str:
    """Return `text` escaped like `one_line`, but with its line breaks kept (CR LF becomes LF)."""
    return escape_all(text.replace("\r\n", "\n"), _UNSAFE_BUT_NEWLINE, short=True)


def cut_mark(count: int) -> str:
    """Return the mark that stands where `count` characters were cut."""
    return f" … [{count:,} characters cut] … "


def clip(text: str, limit: int) -> str:
    """Return at most `limit` characters of `text`: head and tail, and a mark saying how many were cut.

    Where not even the mark has room, the first `limit` characters.
    """
    limit = max(limit, 0)
    if len(text) <= limit:
        return text
    mark = cut_mark(len(text))  # the longest it can be; the true count may need fewer digits
    room = limit - len(mark)
    if room < 2:
        return text[:limit]
    mark = cut_mark(len(text) - room)
    head = room - room // 2
    return text[:head] + mark + text[len(text) - room // 2 :]


def neutralise_cell(value: object) -> str:
    """Return the text of a CSV or spreadsheet cell that no program takes for a formula.

    A *text* that starts with ``= + - @`` (after blanks too; full-width forms too), TAB, CR or LF gets
    a ``'`` in front. A value that is a number stays one, negative or not. None is an empty cell.
    Source of the rule: OWASP, CSV injection.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        text = attempt(lambda: str(value)) or ""
        if attempt(lambda: float(text)) is not None:
            return text
    else:
        text = value
    if text.startswith(_BREAKING_STARTS) or text.lstrip()[:1] in _FORMULA_STARTS:
        return "'" + text
    return text


def attempt(call: Callable[[], T]) -> T | None:
    """Return what `call` answers, or None where it raises an `Exception`.

    For exactly one purpose: asking a stranger's object for its text or number. Errors of our own
    never go through here (they belong to the guard).
    """
    with suppress(Exception):
        return call()
    return None
