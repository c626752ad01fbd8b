"""Texts that come from elsewhere, made fit for a record: asked for without trust, and without secrets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quote
from typing import TYPE_CHECKING

from jobspan._guard import guarded
from jobspan.model.client_id import MAX_LENGTH, CleanClientId, clean_client_id, is_stored_as_it_is
from jobspan.model.text import attempt, clip, multi_line, one_line
from jobspan.spans.roster import Names

if TYPE_CHECKING:
    from jobspan._composition import Runtime

Redact = Callable[[str], str]

_CLIENT = guarded("client_run.open")

TEXT_LIMIT = 4_000
_READ = 65_536
"""So much of a text is read; secrets are taken out before it is cut to what is shown."""
_DIGITS = 16


def said(value: object) -> str:
    """Return `str(value)`; where that fails, what kind of object it is."""
    if type(value) is str:
        return value
    text = attempt(lambda: str.__str__(str(value)))
    return f"<{type(value).__name__} without a text>" if text is None else text


def text_of(runtime: Runtime, value: object) -> str:
    """Return any object as text of a few lines, without secrets."""
    if isinstance(value, BaseException):
        kind, message = runtime.describe(value)
        return message if message.startswith(kind) else f"{kind}: {message}"
    return clip(multi_line(runtime.redact(clip(said(value), _READ))), TEXT_LIMIT)


def line_of(runtime: Runtime, value: object, limit: int = 200) -> str:
    """Return any object as one line, without secrets."""
    return clip(one_line(runtime.redact(clip(said(value), _READ))), limit)


def key_of(runtime: Runtime, value: object) -> str:
    """Return any object as a key: different ones stay different, though secrets are taken out."""
    text = said(value)
    shown = one_line(runtime.without_secrets(clip(text, _READ)))
    if shown == text and len(text) <= 500:
        return text
    return f"{clip(shown, 500 - _DIGITS - 1)}~{_digest(text)}"


def name_text(runtime: Runtime, name: str) -> str:
    """Return the name of a job type, operation, model or source, without secrets."""
    return clip(_known_name(runtime.without_secrets, name), 200)


def names_text(runtime: Runtime, names: Names) -> Names:
    """Return several such names; what is none stays None."""
    return _known_names(runtime.without_secrets, names)


def client_of(runtime: Runtime, value: object) -> CleanClientId:
    """Return how the client id `value` is stored; a secret in it is replaced, other ids stay other ids.

    Raises:
        UsageError: It is none.
    """
    if type(value) is str and len(value) <= MAX_LENGTH:
        return _known_client(runtime.without_secrets, value)
    return _stored_client(runtime.without_secrets, value)


def plain_client(runtime: Runtime, value: str) -> tuple[str, str] | None:
    """Return a client id as it is stored, and how an open event names it; None where there is more to it."""
    return _plain_client(runtime.without_secrets, value) if len(value) <= MAX_LENGTH else None


def check_client(value: object) -> None:
    """Refuse what is no client id.

    Raises:
        UsageError: It is none.
    """
    if type(value) is not str or not is_stored_as_it_is(value):
        clean_client_id(value)


def _stored_client(without_secrets: Redact, value: object) -> CleanClientId:
    clean = clean_client_id(value)
    shown = one_line(without_secrets(clean.text))
    if shown == clean.text:
        return clean
    text = f"{shown[: MAX_LENGTH - _DIGITS - 1]}~{_digest(clean.text)}"
    return CleanClientId(text, "client id held a secret, which was replaced")


@lru_cache(maxsize=4096)
def _plain_client(without_secrets: Redact, value: str) -> tuple[str, str] | None:
    with _CLIENT:
        if is_stored_as_it_is(value) and without_secrets(value) == value:
            name = quote(value)
            return value, f'"name":{name},"client":{name}'
    return None


_known_client = lru_cache(maxsize=4096)(_stored_client)


@lru_cache(maxsize=4096)
def _known_name(without_secrets: Redact, text: str) -> str:
    return one_line(without_secrets(text))


@lru_cache(maxsize=4096)
def _known_names(without_secrets: Redact, names: Names) -> Names:
    return tuple(name and clip(_known_name(without_secrets, name), 200) for name in names)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:_DIGITS]
