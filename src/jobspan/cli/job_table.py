"""The table of jobs: one line each where there is room, two where there is not."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from datetime import tzinfo

from jobspan.cli import words
from jobspan.cli.columns import Column, Lines, write
from jobspan.ledger.reading import JobLine
from jobspan.model.text import one_line


def show_jobs(jobs: Sequence[JobLine], zone: tzinfo) -> None:
    """Print the table of `jobs` that fits the terminal; where none reads it, one line a job."""
    wide = _wide(jobs, zone)
    if not sys.stdout.isatty() or wide.width <= shutil.get_terminal_size().columns:
        write(wide, _colour)
        return
    from jobspan.cli.narrow_table import show_narrow

    show_narrow(jobs, zone)


def _colour(text: str) -> str:
    return words.COLOURS.get(text, ("", ""))[1]


def _wide(jobs: Sequence[JobLine], zone: tzinfo) -> Lines:
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
    rows = [
        [
            one_line(job.run_id),
            one_line(job.job_type),
            job.status.value,
            words.moment(job.start_time, zone),
            words.took(job.start_time, job.end_time),
            words.tally(job.clients),
            words.number(job.items_processed),
            words.number(job.errors),
            words.number(job.total_tokens),
            words.money(job.cost_usd, job.unpriced_calls),
        ]
        for job in jobs
    ]
    return Lines(columns, rows)
