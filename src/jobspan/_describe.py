"""What an exception says about itself, read without trusting it.

`str(error)` may be empty, raise, return nonsense, be megabytes long or wait for the network. It is read
here once, in bounded time, for the record of a run.
"""

from __future__ import annotations

import contextvars
import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import GetSetDescriptorType, MemberDescriptorType, WrapperDescriptorType
from typing import Any, cast
from weakref import WeakSet

from jobspan.model.text import attempt, clip, one_line

MAX_MESSAGE = 2_000
"""Characters of a message at most; Airtable shows it in one cell."""

_WAIT_SECONDS = 0.1
_MAX_STUCK = 8
_MAX_NAME = 200
_MAX_PART = 200
_FIRST_MEMBERS = 3
_NO_TEXT = frozenset({"", "none", "undefined", "null", "nil"})
_SCALARS = frozenset({str, int, float, bool, bytes, complex, type(None)})
_FIELDS = frozenset(
    ["filename", "filename2", "strerror", "errno", "msg", "reason", "object", "encoding", "lineno", "name"]
)
_DEPTH = 4
_MAX_ITEMS = 100

Redact = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Description:
    """An exception as it is recorded.

    `type` is the name of its class as people say it, `module` where that class lives. `message` is one
    line of 1 to 2,000 characters, never blank, "None", "null" or "undefined".
    """

    type: str
    message: str
    module: str = "builtins"

    def __str__(self) -> str:
        return self.message if self.message.startswith(self.type) else f"{self.type}: {self.message}"


def describe(error: BaseException, redact: Redact | None = None) -> Description:
    """Return what `error` says about itself; never raises, and waits at most 0.1 s for a strange text.

    The text of a class with a ``__str__`` of its own is read in a daemon thread; a class that kept it
    waiting is not asked again. Without a usable text the message is the class name with the types of
    its arguments, and the cause. A group names its first members and their count. `redact` sees the
    text before it is clipped; where it fails, the text is dropped.
    """
    kind = type(error)
    name = _class_name(kind)
    module = attempt(lambda: str.__str__(kind.__module__)) or "unknown"
    text = _message(error, name, redact)
    return Description(name, text, clip(one_line(module), _MAX_NAME))


def fingerprint(type: str, message: str) -> str:
    """Return 16 hex digits that are equal for errors that differ only in numbers, hex runs or UUIDs."""
    shape = _NUMBERS.sub("#", _HEX.sub("#", _UUID.sub("#", clip(message, MAX_MESSAGE).lower())))
    text = f"{type}\0{' '.join(shape.split())}"
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


_UUID = re.compile(r"\b[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\b")
_HEX = re.compile(r"\b(?:0x)?(?=[a-f]*[0-9])[0-9a-f]{6,}\b")
_NUMBERS = re.compile(r"[0-9]+")


def _class_name(kind: type[BaseException]) -> str:
    """Return the name people read: of a class made in a function, without the function."""
    name = attempt(lambda: str.__str__(kind.__qualname__).rpartition("<locals>.")[2])
    return clip(one_line(name or "Exception"), _MAX_NAME)


def _message(error: BaseException, name: str, redact: Redact | None) -> str:
    if isinstance(error, BaseExceptionGroup):
        text = attempt(lambda: _group_text(error, redact))
    else:
        text = _own_text(error, redact)
    if text is None or text.strip().lower() in _NO_TEXT:
        text = _without_text(error, name, redact)
    return clip(one_line(clip(text, MAX_MESSAGE)), MAX_MESSAGE)


def _without_text(error: BaseException, name: str, redact: Redact | None) -> str:
    """Return what can be said without the error's own text: its class, its arguments' types, its cause."""
    kinds = [clip(one_line(type(each).__name__), _MAX_NAME) for each in _arguments(error)[:_FIRST_MEMBERS]]
    text = f"{name}({', '.join(kinds)})" if kinds else name
    cause = attempt(lambda: error.__cause__ or (None if error.__suppress_context__ else error.__context__))
    if cause is None or cause is error:
        return text
    return f"{text}, caused by {_part(cause, redact)}"


def _group_text(group: BaseExceptionGroup[BaseException], redact: Redact | None) -> str:
    members = group.exceptions
    said = "; ".join(_part(member, redact) for member in members[:_FIRST_MEMBERS])
    more = f"; {len(members) - _FIRST_MEMBERS} more" if len(members) > _FIRST_MEMBERS else ""
    noun = "error" if len(members) == 1 else "errors"
    head = clip(_redacted(str.__str__(group.message), redact) or "", MAX_MESSAGE // 2)
    return f"{head} ({len(members)} {noun}: {said}{more})".strip()


def _part(error: BaseException, redact: Redact | None) -> str:
    """Return `error` in few words, for a place beside others."""
    name = _class_name(type(error))
    if isinstance(error, BaseExceptionGroup):
        return f"{name} of {len(_arguments(error)[1])} errors"
    text = (_own_text(error, redact) or "").strip()
    return name if text.lower() in _NO_TEXT else f"{name}: {clip(text, _MAX_PART)}"


def _own_text(error: BaseException, redact: Redact | None) -> str | None:
    """Return `str(error)` without its secrets, or None where it fails or takes too long."""
    plain = _is_plain(error, _DEPTH)
    text = attempt(lambda: str.__str__(str(error))) if plain else _strangers.text_of(error)
    return None if text is None else _redacted(text, redact)


def _redacted(text: str, redact: Redact | None) -> str | None:
    return text if redact is None else attempt(lambda: redact(text))


def _arguments(error: BaseException) -> tuple[Any, ...]:
    """Return what `error` was made with, whatever its class makes of the name ``args``."""
    return vars(BaseException)["args"].__get__(error)  # type: ignore[no-any-return]


def _is_plain(value: object, depth: int) -> bool:
    """Tell whether turning `value` into text runs nothing but C code of Python's own."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if depth == 0:
        return False
    if isinstance(value, BaseException):
        mro = type.mro(kind)
        if not (_is_built_in(mro, "__str__") and _is_built_in(mro, "__repr__")):
            return False
        values = attempt(lambda: [*_arguments(value), *_fields(value, mro)])
        return values is not None and all(_is_plain(each, depth - 1) for each in values[:_MAX_ITEMS])
    if kind is tuple or kind is list:
        items = cast("Sequence[object]", value)
        return len(items) <= _MAX_ITEMS and all(_is_plain(each, depth - 1) for each in items)
    return False


def _is_built_in(mro: list[type], name: str) -> bool:
    return isinstance(next(vars(kind)[name] for kind in mro if name in vars(kind)), WrapperDescriptorType)


def _fields(error: BaseException, mro: list[type]) -> Iterator[object]:
    """Yield what the C code of OSError, SyntaxError and the like keeps besides the arguments."""
    for kind in mro:
        for field, descriptor in vars(kind).items():
            if field in _FIELDS and isinstance(descriptor, (MemberDescriptorType, GetSetDescriptorType)):
                yield descriptor.__get__(error, type(error))


class _Strangers:
    """Asks objects for their text whose code may do anything, in bounded time."""

    def __init__(self) -> None:
        self._slow: WeakSet[type] = WeakSet()
        self._stuck: list[threading.Thread] = []

    def text_of(self, error: BaseException) -> str | None:
        """Return `str(error)`, or None where it fails or has not come in time."""
        kind = type(error)
        self._stuck = [thread for thread in self._stuck if thread.is_alive()]
        if len(self._stuck) >= _MAX_STUCK or attempt(lambda: kind in self._slow) is not False:
            return None
        answer: list[str] = []
        context = contextvars.copy_context()
        ask = threading.Thread(
            target=context.run, args=(_ask, error, answer), name="jobspan-describe", daemon=True
        )
        attempt(ask.start)  # none starts while the interpreter ends
        if ask.ident is None:
            return None
        ask.join(_WAIT_SECONDS)
        if ask.is_alive():
            attempt(lambda: self._slow.add(kind))
            self._stuck.append(ask)
        return answer[0] if answer else None


def _ask(error: BaseException, answer: list[str]) -> None:
    with suppress(BaseException):  # a thread's end, and nobody's exit
        answer.append(str.__str__(str(error)))


_strangers = _Strangers()
