"""`jobspan runs`: the jobs, newest first."""

from __future__ import annotations

from datetime import tzinfo

import click

from jobspan.cli.json_text import write_array
from jobspan.cli.opening import ledger_option, reading, settings_of_command
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
            _show(reader, _SHOWN if limit is None else limit, settings.timezone)


def _show(reader: LedgerReader, limit: int, zone: tzinfo) -> None:
    from jobspan.cli.job_table import job_table
    from jobspan.cli.table import show

    lines, count = list(reader.job_lines(limit)), reader.job_count()
    if not count:
        click.echo("No jobs yet. Try: jobspan demo")
        return
    if lines:
        show(job_table(lines, zone))
    if count > len(lines):
        click.echo(f"\n{count - len(lines):,} more: jobspan runs --limit {count}")
