"""`jobspan cancel RUN_ID`: have a job or client run end as Canceled."""

from __future__ import annotations

import click

from jobspan.cli.opening import NotFound, ledger_option, open_ledger, settings_of_command
from jobspan.model.status import Status

_FLUSH_SECONDS = 10.0


@click.command("cancel")
@click.argument("run_id")
@ledger_option(hidden=True)
def command(run_id: str) -> None:
    """Cancel a job or client run.

    The process that works on it stops at its next checkpoint, within about a second. What was left open
    for others to end is Canceled at once.
    """
    import jobspan
    from jobspan._runtime import runtime
    from jobspan.runs.canceling import cancel_run

    settings = settings_of_command()
    open_ledger(settings).close()  # plainly no ledger: refused
    jobspan.configure(ledger=settings.ledger)
    status = cancel_run(runtime(), run_id, "canceled by jobspan cancel")
    jobspan.flush(_FLUSH_SECONDS)
    if status is None:
        raise NotFound(f"there is no run {run_id}; jobspan runs lists them")
    asked = status is Status.RUNNING
    click.echo(f"{run_id} is asked to stop." if asked else f"{run_id} has ended before: {status.value}.")
