"""`jobspan runs`: the jobs, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from jobspan._settings import Settings
from jobspan.cli.json_text import write_array
from jobspan.cli.opening import ledger_option, reading, settings_of_command

if TYPE_CHECKING:
    from jobspan.ledger.reading import LedgerReader

_SHOWN = 50


@click.command("runs")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="Only the newest N jobs.")
@click.option(
    "--json", "as_json", is_flag=True, help="A JSON array of whole jobs, newest first; all of them."
)
@ledger_option(hidden=True)
def command(limit: int | None, as_json: bool) -> None:
    """List jobs, newest first.

    The table shows the newest 50 unless --limit says otherwise.
    """
    settings = settings_of_command()
    with reading(settings) as reader:
        if as_json:
            write_array(job.to_dict() for job in reader.jobs(limit))
        else:
            _show(reader, _SHOWN if limit is None else limit, settings)


def _show(reader: LedgerReader, limit: int, settings: Settings) -> None:
    from jobspan.cli.job_table import show_jobs

    lines, count = list(reader.job_lines(limit)), reader.job_count()
    if not count:
        click.echo(f"No jobs yet in {settings.ledger}. Try: jobspan demo")
        return
    if lines:
        show_jobs(lines, settings.timezone)
    if count > len(lines):
        click.echo(f"\n{count - len(lines):,} more: jobspan runs --limit {count}")
