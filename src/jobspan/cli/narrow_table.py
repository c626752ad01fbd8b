"""The table of jobs for a narrow terminal: two lines each, broken where they are too long."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from rich.text import Text

from jobspan.cli import words
from jobspan.cli.columns import Column
from jobspan.cli.table import Cell, show, status_text, table
from jobspan.ledger.reading import JobLine
from jobspan.model.text import one_line


def show_narrow(jobs: Sequence[JobLine], zone: tzinfo) -> None:
    """Print the table."""
    columns = [
        Column("Run ID\nType", wraps=True),
        Column("Status\nClients", wraps=True),
        Column(f"Started ({zone})\nTook"),
        Column("Items\nErrors", numeric=True),
        Column("Tokens\nCost", numeric=True),
    ]
    rows: list[list[Cell]] = [
        [
            _two(job.run_id, job.job_type),
            _two(status_text(job.status), words.tally(job.clients)),
            _two(words.moment(job.start_time, zone), words.took(job.start_time, job.end_time)),
            _two(words.number(job.items_processed), words.number(job.errors)),
            _two(words.number(job.total_tokens), words.money(job.cost_usd, job.unpriced_calls)),
        ]
        for job in jobs
    ]
    show(table(columns, rows))


def _two(first: Cell, second: str) -> Text:
    return Text.assemble(first, "\n", (one_line(second), "dim"))
