"""Client ids: what is accepted as one, and how it is stored.

A client id is data: it is shown, compared and summed by, and never parsed back out of a run id.
"""

from __future__ import annotations

import hashlib
import operator
import re
from dataclasses import dataclass
from enum import Enum
from typing import SupportsIndex

from jobspan.exceptions import UsageError
from jobspan.model.text import UNSAFE, attempt, clip, escape, escape_all, one_line

MAX_LENGTH = 200
"""Characters of a stored client id at most."""

_HASH_DIGITS = 16
_KEPT = MAX_LENGTH - _HASH_DIGITS - 1  # 183

_UNSAFE = re.compile(f"[{UNSAFE}]")
_LOOKS_ESCAPED = re.compile(r"\\(?=x[0-9a-f]{2}|u[0-9a-f]{4})")
_LOOKS_CUT = re.compile(f"~[0-9a-f]{{{_HASH_DIGITS}}}")


@dataclass(frozen=True, slots=True)
class CleanClientId:
    """A client id as it is stored.

    `text` has 1 to 200 characters and none that breaks a line, a log or a terminal. `note` says, for
    people, how it differs from what was given; None where it does not.
    """

    text: str
    note: str | None = None


def clean_client_id(value: object) -> CleanClientId:
    """Return how the client id `value` is stored.

    A str or int is accepted, with their subclasses (a member of an Enum counts as its value) and
    integers of other libraries (anything with ``__index__``). Control, line-breaking, bidi and
    surrogate characters are stored as ``\\x00`` or ``\\u202e``. Longer ids are cut to their first 183
    characters, ``~`` and 16 hex digits of the SHA-256 of the whole escaped text.

    Different ids never share a text: a backslash that would read as an escape is escaped itself
    (``\\x5c``), and an id that already looks cut is cut again. So the stored text of an escaped or cut
    id, given as an id, is another id; every other id is stored as it is, blanks at its ends too.

    Raises:
        UsageError: Nothing usable: None, a bool, a float, any other type, an empty or blank text, or
            an object whose ``__str__`` or ``__index__`` fails.
    """
    raw = _plain_text(value)
    if is_stored_as_it_is(raw):
        return CleanClientId(raw)
    if not raw or raw.isspace():
        raise _unusable("an empty text" if not raw else "blank text")
    escaped = escape_all(_LOOKS_ESCAPED.sub(lambda _: escape("\\"), raw), _UNSAFE)
    if len(escaped) > MAX_LENGTH or _looks_cut(escaped):
        return CleanClientId(_cut(escaped), f"client id of {len(raw):,} characters was cut to {MAX_LENGTH}")
    if escaped != raw:
        return CleanClientId(escaped, "client id holds characters that are stored escaped")
    return CleanClientId(raw)


def is_stored_as_it_is(text: str) -> bool:
    """Whether a text is a client id in which nothing has to be escaped or cut; nearly all are."""
    return (
        text.isascii()
        and text.isprintable()
        and len(text) < MAX_LENGTH
        and "\\" not in text
        and bool(text)
        and not text.isspace()
    )


def _plain_text(value: object) -> str:
    """Return the exact `str` that `value` stands for."""
    if isinstance(value, Enum):
        value = _enum_value(value)
    text: str | None
    if isinstance(value, str):
        text = attempt(lambda: str(value))
    elif isinstance(value, bool) or not isinstance(value, SupportsIndex):
        raise _unusable("None" if value is None else _a(value))
    elif isinstance(value, int):
        text = attempt(lambda: str(value))
    else:
        text = attempt(lambda: str(operator.index(value)))
    if text is None:
        raise _unusable(f"{_a(value)} that cannot be turned into text")
    return str.__str__(text)


def _enum_value(member: Enum) -> object:
    return attempt(lambda: member.value)


def _looks_cut(text: str) -> bool:
    return len(text) == MAX_LENGTH and _LOOKS_CUT.fullmatch(text, _KEPT) is not None


def _cut(escaped: str) -> str:
    digest = hashlib.sha256(escaped.encode("utf-8")).hexdigest()
    return f"{escaped[:_KEPT]}~{digest[:_HASH_DIGITS]}"


def _a(value: object) -> str:
    return f"an object of type {clip(one_line(type(value).__name__), 80)}"


def _unusable(what: str) -> UsageError:
    return UsageError(
        f"a client id must be a text of at least one visible character, or an int, not {what}: "
        "pass what names the client in your own data, e.g. client('Guy-Wilson') or client(record['id'])"
    )
