"""`jobspan reap`: close what nobody else will: runs of dead processes, and runs past their deadline."""

from __future__ import annotations

import click

from jobspan.cli.json_text import write_array
from jobspan.cli.opening import ledger_option, open_ledger, settings_of_command
from jobspan.model.record import instant_text

_SECONDS = 600.0


@click.command("reap")
@click.option("--json", "as_json", is_flag=True, help="A JSON array of what was closed.")
@ledger_option(hidden=True)
def command(as_json: bool) -> None:
    """Close runs whose process is gone, or whose deadline has passed.

    A process that records anything does the same every few seconds; this is for machines where none is
    running. Prints what was closed.
    """
    ledger = open_ledger(settings_of_command())
    try:
        found = ledger.reap(_SECONDS)
    finally:
        ledger.close()
    if as_json:
        keys = ("run_id", "status", "end_time", "why")
        write_array(
            dict(zip(keys, (r.run_id, r.status, instant_text(r.end_time), r.why), strict=True)) for r in found
        )
        return
    for one in found:
        click.echo(f"{one.run_id}  {one.status}  {instant_text(one.end_time) or ''}  {one.why}")
    if not found:
        click.echo("Nothing to close.")
