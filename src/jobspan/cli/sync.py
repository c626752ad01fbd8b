"""`jobspan sync`: deliver to Airtable, now, what waits."""

from __future__ import annotations

import click

from jobspan.cli.delivering import deliver, delivering
from jobspan.cli.opening import ledger_option, settings_of_command
from jobspan.ledger.assigning import assign

NOT_DELIVERED = 1


@click.command("sync")
@click.option("--wait", is_flag=True, help="Wait for an outage or a lock-out to end.")
@click.option("--assign", "assigns", is_flag=True, help="Also deliver the jobs that were made offline.")
@ledger_option(hidden=True)
@click.pass_context
def command(context: click.Context, wait: bool, assigns: bool) -> None:
    """Deliver to Airtable, now, what waits.

    Exit code 1 when something could not be delivered; it is kept, and goes with the next process.
    """
    with delivering(settings_of_command()) as place:
        if assigns:
            count = assign(place.ledger, place.airtable.destination)
            click.echo(f"{count:,} jobs that had no base go to {place.airtable.base_id}.")
        rows = place.outbox.waiting().rows
        if not deliver(place, wait=wait):
            context.exit(NOT_DELIVERED)
        click.echo(f"Delivered: {rows:,} rows." if rows else "Nothing waits: all is delivered.")
