"""`jobspan airtable rebuild`: shows everything anew, from the ledger."""

from __future__ import annotations

import click

from jobspan.cli.delivering import deliver, delivering
from jobspan.cli.opening import ledger_option, settings_of_command

NOT_DELIVERED = 1


@click.command("rebuild")
@ledger_option(hidden=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Show all runs of the base anew, as the ledger says.

    Rows that are there are found by their Run ID and corrected, those that are gone are made again,
    pruned ones too. Waits for an outage; exit code 1 when something could not be delivered.
    """
    with delivering(settings_of_command()) as place:
        place.outbox.start_over()
        rows = place.outbox.waiting().rows
        if not deliver(place, wait=True):
            context.exit(NOT_DELIVERED)
        click.echo(f"Shown anew: {rows:,} rows.")
