"""`jobspan show RUN_ID`: one job or client run with everything recorded about it."""

from __future__ import annotations

import click

from jobspan.cli.finding import find
from jobspan.cli.json_text import write_object
from jobspan.cli.opening import ledger_option, reading, settings_of_command
from jobspan.model.record import JobRecord


@click.command("show")
@click.argument("run_id")
@click.option("--json", "as_json", is_flag=True, help="The job or client run as one JSON object.")
@ledger_option(hidden=True)
def command(run_id: str, as_json: bool) -> None:
    """Show one job or client run.

    RUN_ID is a job's id, say 260512-140322, or a client run's: the job's id, a hyphen and the client's id.
    """
    settings = settings_of_command()
    with reading(settings) as reader:
        record = find(reader, run_id)
        if as_json:
            write_object(record.to_dict())
            return
        from jobspan.cli.record_view import show_client_run, show_job

        if isinstance(record, JobRecord):
            show_job(record, reader.usage("client", job=record.run_id), settings.timezone)
        else:
            show_client_run(record, reader.usage("client", job=record.job_run_id), settings.timezone)
