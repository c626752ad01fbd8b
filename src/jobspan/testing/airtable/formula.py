"""Read Airtable formulas: a small parser that turns a text into a function of a record.

What pyairtable.formulas emits for comparisons, AND, OR, NOT, FIND and dates is understood, and the
usual functions on texts and numbers. Nothing is evaluated as Python.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, Protocol

from jobspan.testing.airtable import formula_function
from jobspan.testing.airtable.field import Field
from jobspan.testing.airtable.formula_function import FormulaError, RecordView

__all__ = ["Expression", "FormulaError", "MalformedError", "RecordView", "compiled", "is_true"]

Expression = Callable[[RecordView], Any]

_DEEPEST = 100
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)
    | '(?P<single>(?:[^'\\]|\\.)*)'
    | "(?P<double>(?:[^"\\]|\\.)*)"
    | \{(?P<field>(?:[^}\\]|\\.)*)\}
    | (?P<name>[^\W\d]\w*)
    | (?P<operator><=|>=|!=|<>|[=<>&+\-*/(),])
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_PRECEDENCE = {
    "=": 1,
    "!=": 1,
    "<>": 1,
    "<": 1,
    "<=": 1,
    ">": 1,
    ">=": 1,
    "&": 2,
    "+": 3,
    "-": 3,
    "*": 4,
    "/": 4,
}


class MalformedError(Exception):
    """A text that is no formula, or names fields the table does not have."""

    def __init__(self, why: str = "please check your formula text.") -> None:
        super().__init__(why)
        self.why = why


class Columns(Protocol):
    """What the parser asks of a table."""

    def find_field(self, name_or_id: str) -> Field | None:
        """Return the column with that name or id, or None."""
        ...


def is_true(value: Any) -> bool:
    """Say whether a filter keeps a record for which it gave `value`."""
    return value not in (None, "", 0, False)


def compiled(text: str, table: Columns) -> Expression:
    """Return the function that works the formula out for a record.

    Raises:
        MalformedError: It cannot be read.
    """
    return _Parser(text, table).whole()


@functools.lru_cache(maxsize=256)
def _tokens(text: str) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise MalformedError
        kind = str(match.lastgroup)
        found.append((kind, match.group(kind)))
        at = match.end()
    return tuple(found)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[1]), text)


class _Parser:
    def __init__(self, text: str, table: Columns) -> None:
        self._tokens = _tokens(text)
        self._table = table
        self._at = 0
        self._depth = 0
        self._unknown: list[str] = []

    def whole(self) -> Expression:
        if not self._tokens:
            raise MalformedError
        expression = self._expression(0)
        if self._at != len(self._tokens):
            raise MalformedError
        if self._unknown:
            raise MalformedError("Unknown field names: " + ", ".join(dict.fromkeys(self._unknown)))
        return expression

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _expect(self, operator: str) -> None:
        if self._next() != ("operator", operator):
            raise MalformedError

    def _expression(self, least: int) -> Expression:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise MalformedError
        left = self._operand()
        while True:
            kind, text = self._peek()
            precedence = _PRECEDENCE.get(text, 0) if kind == "operator" else 0
            if precedence <= least:
                self._depth -= 1
                return left
            self._at += 1
            left = _binary(text, left, self._expression(precedence))

    def _operand(self) -> Expression:
        kind, text = self._next()
        if kind == "number":
            return _constant(float(text) if not text.isdigit() else int(text))
        if kind in ("single", "double"):
            return _constant(_unescaped(text))
        if kind == "field":
            return self._reference(_unescaped(text))
        if kind == "name":
            return self._named(text)
        if (kind, text) == ("operator", "-"):
            return _negated(self._expression(4))
        if (kind, text) == ("operator", "("):
            inner = self._expression(0)
            self._expect(")")
            return inner
        raise MalformedError

    def _named(self, name: str) -> Expression:
        if self._peek() != ("operator", "("):
            return self._reference(name)
        self._at += 1
        arguments: list[Expression] = []
        if self._peek() != ("operator", ")"):
            arguments.append(self._expression(0))
            while self._peek() == ("operator", ","):
                self._at += 1
                arguments.append(self._expression(0))
        self._expect(")")
        call = formula_function.call(name.upper(), arguments)
        if call is None:
            raise MalformedError
        return call

    def _reference(self, name: str) -> Expression:
        column = self._table.find_field(name)
        if column is None:
            self._unknown.append(name.lower())
            return _constant(None)
        return lambda view: view.value(column)


def _constant(value: Any) -> Expression:
    return lambda _: value


def _negated(inner: Expression) -> Expression:
    return lambda view: -formula_function.number(inner(view))


def _binary(operator: str, left: Expression, right: Expression) -> Expression:
    apply = formula_function.OPERATORS[operator]
    return lambda view: apply(left(view), right(view))
