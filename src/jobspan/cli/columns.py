"""Tables as aligned lines of text, for listings of any length; quick, and without rich."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_BETWEEN = "   "
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"

Paint = Callable[[str], str]
"""Gives the escape code of the colour for a cell's text; "" for none."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, and whether it holds numbers."""

    title: str
    numeric: bool = False
    wraps: bool = False
    """Whether a narrow terminal may break its texts into lines."""


class Lines:
    """A table laid out: one line a row, below its titles and a rule.

    Args:
        columns: What stands over the rows.
        rows: One-line texts, one for each column.
    """

    def __init__(self, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
        self._columns = columns
        self._rows = rows
        titles = [column.title for column in columns]
        self._titles = titles
        self._widths = [max(map(cell_width, texts)) for texts in zip(titles, *rows, strict=True)]

    @property
    def width(self) -> int:
        """Return how wide a terminal has to be."""
        return sum(self._widths) + len(_BETWEEN) * (len(self._widths) - 1)

    def texts(self, paint: Paint | None = None) -> Iterator[str]:
        """Yield the lines; with `paint` in colour, for a terminal."""
        titles = self._line(self._titles)
        yield titles if paint is None else f"{_BOLD}{titles}{_PLAIN}"
        yield "─" * self.width
        for row in self._rows:
            yield self._line(row, paint)

    def _line(self, row: Sequence[str], paint: Paint | None = None) -> str:
        cells: list[str] = []
        for column, width, text in zip(self._columns, self._widths, row, strict=True):
            blanks = " " * (width - cell_width(text))
            code = paint(text) if paint is not None else ""
            shown = f"{code}{text}{_PLAIN}" if code else text
            cells.append(blanks + shown if column.numeric else shown + blanks)
        return _BETWEEN.join(cells).rstrip()


def cell_width(text: str) -> int:
    """Return how many places of a terminal a text takes: wide characters two, accents of their own none."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1 for each in text)


def has_colour() -> bool:
    """Whether stdout is a terminal that is to be written to in colour."""
    bare = os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") in ("dumb", "unknown")
    return sys.stdout.isatty() and not bare


def write(lines: Lines, paint: Paint) -> None:
    """Print a table at once."""
    sys.stdout.writelines(f"{line}\n" for line in lines.texts(paint if has_colour() else None))
    sys.stdout.flush()
