"""`jobspan relay`: a process of its own that delivers to Airtable what all processes record."""

from __future__ import annotations

import signal

import click

from jobspan.cli.delivering import deliver, delivering, kept_alive, make_relay
from jobspan.cli.opening import ledger_option, settings_of_command

NOT_DELIVERED = 1


@click.command("relay")
@click.option("--until-empty", is_flag=True, help="Return when nothing waits any more: for cron.")
@ledger_option(hidden=True)
@click.pass_context
def command(context: click.Context, until_empty: bool) -> None:
    """Deliver to Airtable what the processes of this ledger record, until stopped.

    For processes that run with JOBSPAN_RELAY=off or without the token. Any number of relays and
    processes may run: one of them sends at a time. Ctrl-C or SIGTERM ends it.

    With --until-empty, exit code 1 when something could not be delivered.
    """
    with delivering(settings_of_command()) as place:
        if until_empty:
            if not deliver(place, wait=True):
                context.exit(NOT_DELIVERED)
            return
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        click.echo(f"Delivering to {place.airtable.destination}; Ctrl-C ends it.")
        relay = make_relay(place)
        try:
            with kept_alive(relay, place.ledger):
                relay.run(until_empty=False)
        except KeyboardInterrupt:
            click.echo(f"Stopped; {place.outbox.waiting().rows:,} rows wait.")
