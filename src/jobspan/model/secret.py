"""A text that is never shown: in no repr, log line, pickle or exception."""

from __future__ import annotations

from typing import Any

MASK = "[secret]"


class Secret:
    """Holds a token; only `reveal` gives it out.

    Example:
        >>> Secret("patAbc")
        Secret('[secret]')
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself, for the one place that needs it."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(("Secret", self._text))

    def __reduce__(self) -> tuple[Any, ...]:
        return (Secret, (MASK,))
