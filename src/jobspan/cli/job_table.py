"""The table of jobs: one line each where there is room, two where there is not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from rich.table import Table
from rich.text import Text

from jobspan.cli import words
from jobspan.cli.table import Cell, Column, fitting, status_text, table
from jobspan.ledger.reading import JobLine
from jobspan.model.text import one_line


def job_table(lines: Sequence[JobLine], zone: tzinfo) -> Table:
    """Return the table of `lines` that fits the terminal."""
    return fitting(_wide(lines, zone), _narrow(lines, zone))


def _wide(lines: Sequence[JobLine], zone: tzinfo) -> Table:
    columns = [
        Column("Run ID"),
        Column("Type"),
        Column("Status"),
        Column(f"Started ({zone})"),
        Column("Took", numeric=True),
        Column("Clients"),
        Column("Items", numeric=True),
        Column("Errors", numeric=True),
        Column("Tokens", numeric=True),
        Column("Cost", numeric=True),
    ]
    rows: list[list[Cell]] = [
        [
            line.run_id,
            line.job_type,
            status_text(line.status),
            words.moment(line.start_time, zone),
            words.took(line.start_time, line.end_time),
            words.tally(line.clients),
            words.number(line.items_processed),
            words.number(line.errors),
            words.number(line.total_tokens),
            words.money(line.cost_usd, line.unpriced_calls),
        ]
        for line in lines
    ]
    return table(columns, rows)


def _narrow(lines: Sequence[JobLine], zone: tzinfo) -> Table:
    columns = [
        Column("Run ID\nType", wraps=True),
        Column("Status\nClients", wraps=True),
        Column(f"Started ({zone})\nTook"),
        Column("Items\nErrors", numeric=True),
        Column("Tokens\nCost", numeric=True),
    ]
    rows: list[list[Cell]] = [
        [
            _two(line.run_id, line.job_type),
            _two(status_text(line.status), words.tally(line.clients)),
            _two(words.moment(line.start_time, zone), words.took(line.start_time, line.end_time)),
            _two(words.number(line.items_processed), words.number(line.errors)),
            _two(words.number(line.total_tokens), words.money(line.cost_usd, line.unpriced_calls)),
        ]
        for line in lines
    ]
    return table(columns, rows)


def _two(first: Cell, second: str) -> Text:
    return Text.assemble(first, "\n", (one_line(second), "dim"))
