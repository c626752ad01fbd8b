"""`jobspan export`: every record, flat, for other programs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click

from jobspan.cli.json_text import json_line
from jobspan.cli.opening import ledger_option, reading, settings_of_command
from jobspan.ledger.reading import LedgerReader
from jobspan.model.record import CLIENT_RUN_COLUMNS, JOB_COLUMNS, ClientRunRecord, JobRecord
from jobspan.model.text import neutralise_cell

_COLUMNS = {"jobs": JOB_COLUMNS, "client_runs": CLIENT_RUN_COLUMNS}
_KINDS = {"jobs": "job", "client_runs": "client_run"}


@click.command("export")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="Default: csv.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format jsonl.")
@click.option(
    "--records",
    type=click.Choice(list(_COLUMNS)),
    help="Which records; default: client_runs as csv, both as jsonl.",
)
@click.option(
    "--output", type=click.Path(dir_okay=False, allow_dash=True), metavar="FILE", help="Default: stdout."
)
@ledger_option(hidden=True)
def command(form: str | None, as_json: bool, records: str | None, output: str | None) -> None:
    """Write all jobs or client runs, newest job first.

    jsonl: one object a line; "record" says whether it is a job or a client_run.

    csv: a text that a spreadsheet would run as a formula gets a ' in front; money is a decimal number;
    empty means never measured.
    """
    if as_json and form == "csv":
        raise click.UsageError("--json and --format csv exclude each other")
    as_jsonl = as_json or form == "jsonl"
    with reading(settings_of_command()) as reader, _opened(output) as file:
        if as_jsonl:
            _write_jsonl(_flat(reader, records), file)
        else:
            _write_csv(_flat(reader, records or "client_runs"), _COLUMNS[records or "client_runs"], file)


def _flat(reader: LedgerReader, records: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (kind, record without nested lists), each job before its client runs."""
    for job in reader.jobs(client_runs=records != "jobs"):
        if records != "client_runs":
            yield "job", _columns(job, JOB_COLUMNS)
        for run in job.client_runs:
            yield "client_run", _columns(run, CLIENT_RUN_COLUMNS)


def _columns(record: JobRecord | ClientRunRecord, columns: tuple[str, ...]) -> dict[str, Any]:
    values = record.to_dict()
    return {name: values[name] for name in columns}


def _write_jsonl(records: Iterable[tuple[str, dict[str, Any]]], file: TextIO) -> None:
    for kind, values in records:
        file.write(json_line({"record": kind, **values}) + "\n")


def _write_csv(records: Iterable[tuple[str, dict[str, Any]]], columns: tuple[str, ...], file: TextIO) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for _, values in records:
        writer.writerow([_cell(values[name]) for name in columns])


def _cell(value: Any) -> str:
    return neutralise_cell(json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value)


@contextmanager
def _opened(output: str | None) -> Generator[TextIO]:
    if output is None or output == "-":
        yield sys.stdout
        return
    try:
        with Path(output).open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file
    except OSError as error:
        if error.filename != output:
            raise
        raise click.UsageError(f"{output} cannot be written: {error.strerror}") from error
