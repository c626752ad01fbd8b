"""`jobspan demo`: a small real batch, printed as it runs and as the records it became."""

from __future__ import annotations

import click

import jobspan
from jobspan.cli.json_text import write_object
from jobspan.cli.opening import ledger_option, open_ledger, settings_of_command
from jobspan.exceptions import LedgerError
from jobspan.model.status import Status

_COLOURS = {
    Status.COMPLETED: "green",
    Status.COMPLETED_WITH_ERRORS: "yellow",
    Status.FAILED: "red",
}


@click.command("demo")
@click.option("--json", "as_json", is_flag=True, help="Only the job's record, as JSON.")
@ledger_option(hidden=True)
def command(as_json: bool) -> None:
    """Run a small batch: three clients, one of which fails.

    Nothing leaves this machine. The records go to the ledger like those of any other job.
    """
    from jobspan.cli.batch import run_batch

    settings = settings_of_command()
    open_ledger(settings)
    jobspan.configure(ledger=settings.ledger, mode="offline")
    say = _silent if as_json else _say
    if not as_json:
        click.echo(f"A small batch of three clients, offline, recorded in\n{settings.ledger}\n")
    run_id = run_batch(say)
    if not jobspan.flush():
        raise LedgerError(f"the demo ran, but nothing was recorded: {jobspan.health().last_error}")
    _show_record(run_id, as_json)


def _say(who: str, what: str) -> None:
    colour = _COLOURS.get(what) if isinstance(what, Status) else None
    click.echo(f"  {who:<14}{click.style(what, fg=colour) if colour else what}")


def _silent(who: str, what: str) -> None:
    """Say nothing."""


def _show_record(run_id: str, as_json: bool) -> None:
    from jobspan._runtime import runtime

    with runtime().reading() as reader:
        record = reader.job(run_id)
        usage = reader.usage("client", job=run_id)
    if record is None:
        raise LedgerError("the demo ran, but its job is not in the ledger")
    if as_json:
        write_object(record.to_dict())
        return
    from jobspan.cli.record_view import show_job

    _say("job", record.status)
    click.echo("\nIts records:\n")
    show_job(record, usage, runtime().settings.timezone)
    click.echo(f"\nTry next: jobspan runs, or jobspan show {record.client_runs[0].run_id}")
