"""`jobspan airtable init`: makes the two tables, or the columns that are missing in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from jobspan.airtable.fields import Field
from jobspan.airtable.schema import Ids, find_table, table_schema
from jobspan.airtable.settings import AirtableSettings
from jobspan.cli import wanted
from jobspan.cli.delivering import Delivering, delivering
from jobspan.cli.opening import ledger_option, settings_of_command
from jobspan.exceptions import DeliveryError

if TYPE_CHECKING:
    from jobspan.cli.inspect_base import Finding
    from jobspan.cli.paced import PacedBase

FAILED = 1


@dataclass(slots=True)
class Plan:
    """What is to be made.

    Attributes:
        name: The table's.
        table_id: Its id; None: the table is to be made.
        fields: The columns to be made.
    """

    name: str
    table_id: str | None
    fields: list[Field] = field(default_factory=list[Field])


@click.command("init")
@click.option("--yes", is_flag=True, help="Do not ask.")
@ledger_option(hidden=True)
@click.pass_context
def command(context: click.Context, yes: bool) -> None:
    """Make the two tables in Airtable, or the columns that are missing in them, after asking.

    Nothing that is there is changed. The token needs the scopes schema.bases:read and schema.bases:write.

    Exit code 1 when something is left to do by hand; it is said what.
    """
    from jobspan.cli.inspect_base import refusal

    with delivering(settings_of_command()) as place:
        try:
            is_good = _init(place, yes)
        except DeliveryError as error:
            click.echo(f"jobspan: {_told(error, refusal(error, place.airtable))}", err=True)
            is_good = False
    if not is_good:
        context.exit(FAILED)


def _told(error: DeliveryError, finding: Finding) -> str:
    if error.status in (403, 404):
        return f"{finding.text}; {finding.fix} and, for init, schema.bases:write"
    return f"{finding.text}; {finding.fix}"


def _init(place: Delivering, yes: bool) -> bool:
    from jobspan.cli.paced import paced_base

    with paced_base(place) as base:
        tables = base.ask(lambda client: client.tables())
        ids = place.outbox.ids.read()
        plans = _plans(tables, place.airtable, ids)
        if plans:
            _show(plans)
            if not yes and not _is_agreed():
                click.echo("Nothing was changed.")
                return False
            for plan in plans:
                _make(base, plan, place.airtable)
            tables = base.ask(lambda client: client.tables())
    return _tell_the_rest(tables, place.airtable, ids, made=bool(plans))


def _plans(tables: Sequence[Mapping[str, Any]], settings: AirtableSettings, ids: Ids) -> list[Plan]:
    plans: list[Plan] = []
    for kind, name, fields in wanted.tables(settings):
        can_make = [each for each in fields if not wanted.is_id(each.column)]
        found = find_table(tables, name, ids)
        if found is None:
            plans += [] if wanted.is_id(name) else [Plan(name, None, can_make)]
            continue
        schema = table_schema(kind, found, fields, ids)
        missing = [each for each in can_make if schema.problems.get(each.name, "").endswith("is missing")]
        if missing:
            plans.append(Plan(schema.name, schema.id, missing))
    return plans


def _show(plans: Sequence[Plan]) -> None:
    for plan in plans:
        if plan.table_id is None:
            click.echo(f"Table {plan.name!r} is missing. It will be made, with the columns")
        else:
            click.echo(f"Table {plan.name!r} lacks columns. These will be added:")
        for each in plan.fields:
            click.echo(f"  {each.column}  ({each.seed})")


def _is_agreed() -> bool:
    try:
        return click.confirm("Make them?", default=False)
    except click.Abort:
        raise click.UsageError("nobody is there to answer; say --yes") from None


def _make(base: PacedBase, plan: Plan, settings: AirtableSettings) -> None:
    columns = [wanted.field_json(each, settings) for each in plan.fields]
    if plan.table_id is None:
        base.ask(lambda client: client.create_table(plan.name, columns))
        click.echo(f"Made table {plan.name!r}.")
        return
    table_id = plan.table_id
    for column in columns:
        _make_column(base, table_id, column)
        click.echo(f"Added {column['name']!r} to {plan.name!r}.")


def _make_column(base: PacedBase, table_id: str, column: dict[str, Any]) -> None:
    base.ask(lambda client: client.create_field(table_id, column))


def _tell_the_rest(
    tables: Sequence[Mapping[str, Any]], settings: AirtableSettings, ids: Ids, *, made: bool
) -> bool:
    from jobspan.cli.inspect_base import schema_findings

    findings, _ = schema_findings(tables, settings, ids)
    problems = [each for each in findings if each.level == "problem"]
    for each in problems:
        click.echo(f"To do by hand: {each.text}\n  -> {each.fix}")
    for each in findings:
        if each.level == "warning":
            click.echo(f"Better by hand: {each.text}\n  -> {each.fix}")
    if not problems:
        click.echo("Both tables are ready." if made else "Both tables are ready; there was nothing to do.")
    return not problems
