"""Tables by rich, for people; as wide as the terminal, or as the text where no terminal reads it.

Only imported when something is really shown.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from jobspan.cli.columns import Column
from jobspan.cli.words import COLOURS
from jobspan.model.status import Status
from jobspan.model.text import one_line

_UNBOUNDED = 100_000

Cell = str | Text


def status_text(status: Status) -> Text:
    """Return a status in its colour."""
    return Text(status.value, style=COLOURS[status.value][0])


def table(columns: Sequence[Column], rows: Iterable[Sequence[Cell]], *, total: Sequence[Cell] = ()) -> Table:
    """Return a table; `total` is set apart as its last line."""
    made = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, show_footer=bool(total), padding=(0, 1)
    )
    for place, column in enumerate(columns):
        made.add_column(
            Text(column.title),
            justify="right" if column.numeric else "left",
            no_wrap=not column.wraps,
            overflow="fold",
            footer=_text(total[place]) if total else "",
            header_style="bold",
            footer_style="bold",
        )
    for row in rows:
        made.add_row(*map(_text, row))
    return made


def _text(cell: Cell) -> Text:
    """Return a cell as it is: no markup in it means anything, and nothing in it moves the cursor."""
    return cell if isinstance(cell, Text) else Text("\n".join(map(one_line, cell.split("\n"))))


def pairs(facts: Iterable[tuple[str, Cell]]) -> Table:
    """Return names and values below each other; what has no value is left out."""
    made = Table.grid(padding=(0, 2))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in facts:
        if value:
            made.add_row(name, _text(value))
    return made


def heading(title: str) -> Text:
    """Return the title of a section, with an empty line before it."""
    return Text(f"\n{one_line(title)}", style="bold")


def show(*parts: RenderableType) -> None:
    """Print tables and texts; without colour, and without trailing blanks, where no terminal reads."""
    console = _console()
    with console.capture() as captured:
        for part in parts:
            console.print(part, soft_wrap=isinstance(part, Text))
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().rstrip("\n").split("\n")))
    sys.stdout.flush()


def _console() -> Console:
    width = None if sys.stdout.isatty() else _UNBOUNDED
    return Console(width=width, markup=False, highlight=False, emoji=False)
