"""`jobspan airtable prune --keep N`: keeps the base under a cap of records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from jobspan.cli.delivering import Delivering, delivering
from jobspan.cli.opening import ledger_option, settings_of_command
from jobspan.exceptions import DeliveryError
from jobspan.ledger.standing import ShownRow, forget_rows, shown_rows, unsettled_jobs

if TYPE_CHECKING:
    from jobspan.cli.paced import PacedBase

FAILED = 1


@click.command("prune")
@click.option("--keep", type=click.IntRange(min=0), required=True, metavar="N", help="So many rows may stay.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@ledger_option(hidden=True)
@click.pass_context
def command(context: click.Context, keep: int, yes: bool) -> None:
    """Delete the oldest rows from Airtable until the two tables together have at most N.

    Whole jobs go, with their client runs, the oldest first; they stay in the ledger. Never deleted: what
    runs, what is not delivered yet, and rows that are not of this ledger. Exit code 1 when more than N stay.
    """
    with delivering(settings_of_command()) as place:
        try:
            is_under = _prune(place, keep, yes)
        except DeliveryError as error:
            from jobspan.cli.inspect_base import refusal

            found = refusal(error, place.airtable)
            click.echo(f"jobspan: {found.text}; {found.fix}", err=True)
            is_under = False
    if not is_under:
        context.exit(FAILED)


def _prune(place: Delivering, keep: int, yes: bool) -> bool:
    from jobspan.cli.paced import paced_base

    with paced_base(place) as base:
        tables = _tables(base, place)
        there = {str(row["id"]) for table in tables.values() for row in base.rows(table, ())}
        doomed = _oldest(place, there, len(there) - keep)
        left = len(there) - len(doomed)
        if doomed and not yes:
            _ask(len(doomed), len(there))
        for kind in ("c", "j"):  # a job's row goes last: without it nobody would know its client runs
            if kind in tables:
                _delete(base, place, tables[kind], [row for row in doomed if row.kind == kind])
    click.echo(f"{len(doomed):,} rows deleted, {left:,} stay.")
    return left <= keep


def _tables(base: PacedBase, place: Delivering) -> dict[str, str]:
    """Return the ids of the tables by kind; their names where the schema cannot be read."""
    from jobspan.airtable.schema import find_table
    from jobspan.cli import wanted

    names = {kind: name for kind, name, _ in wanted.tables(place.airtable)}
    try:
        found = base.ask(lambda client: client.tables())
    except DeliveryError as error:
        if error.status != 403:
            raise
        return names
    ids = place.outbox.ids.read()
    known = {kind: find_table(found, name, ids) for kind, name in names.items()}
    return {kind: str(table["id"]) for kind, table in known.items() if table is not None}


def _oldest(place: Delivering, there: set[str], count: int) -> list[ShownRow]:
    """Return the rows of the oldest jobs that may go, at least `count` where there are so many."""
    destination = place.outbox.destination
    kept = unsettled_jobs(place.ledger, destination)
    jobs: dict[str, list[ShownRow]] = {}
    for row in shown_rows(place.ledger, destination):
        if row.remote_id in there and row.job not in kept:
            jobs.setdefault(row.job, []).append(row)
    doomed: list[ShownRow] = []
    for rows in jobs.values():
        if len(doomed) >= count:
            break
        doomed += rows
    return doomed


def _ask(count: int, total: int) -> None:
    try:
        click.confirm(f"Delete the oldest {count:,} of {total:,} rows?", default=False, abort=True)
    except click.Abort:
        raise click.UsageError("nothing was deleted; to delete without being asked, say --yes") from None


def _delete(base: PacedBase, place: Delivering, table: str, rows: Sequence[ShownRow]) -> None:
    from jobspan.cli.paced import MOST_ROWS

    for start in range(0, len(rows), MOST_ROWS):
        batch = rows[start : start + MOST_ROWS]
        base.delete(table, [row.remote_id for row in batch])
        forget_rows(place.ledger, place.outbox.destination, [row.run for row in batch])
