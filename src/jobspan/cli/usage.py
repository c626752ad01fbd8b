"""`jobspan usage`: tokens and costs by client, model, job or day."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import fields
from datetime import tzinfo
from typing import Any, get_args

import click

from jobspan.cli import words
from jobspan.cli.json_text import write_array
from jobspan.cli.opening import ledger_option, reading, settings_of_command
from jobspan.ledger.spending import UsageBy, month_range
from jobspan.model.record import UsageRow
from jobspan.model.text import neutralise_cell


@click.command("usage")
@click.option(
    "--by", type=click.Choice(get_args(UsageBy)), default="client", show_default=True, help="One line each."
)
@click.option("--month", metavar="YYYY-MM", help="Only this month, in the configured zone.")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), help="Default: table.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json: an array.")
@click.option("--csv", "as_csv", is_flag=True, help="The same as --format csv.")
@ledger_option(hidden=True)
def command(by: UsageBy, month: str | None, form: str | None, as_json: bool, as_csv: bool) -> None:
    """Add up tokens, costs and calls.

    A cost with ≥ before it is a lower bound: the price of some calls is not known.
    """
    asked = [form or "", "json" if as_json else "", "csv" if as_csv else ""]
    chosen = {each for each in asked if each}
    if len(chosen) > 1:
        raise click.UsageError(f"{' and '.join(sorted(chosen))} exclude each other")
    settings = settings_of_command()
    _check_month(month, settings.timezone)
    with reading(settings) as reader:
        rows = reader.usage(by, month=month)
    if chosen == {"json"}:
        write_array(_named(row, by) for row in rows)
    elif chosen == {"csv"}:
        _write_csv(rows, by)
    elif rows:
        _show(rows, by)
    else:
        click.echo("No usage recorded yet.")


def _check_month(month: str | None, zone: tzinfo) -> None:
    try:
        if month is not None:
            month_range(month, zone)
    except ValueError:
        raise click.UsageError(f"--month {month}: write it as 2026-05") from None


def _write_csv(rows: Sequence[UsageRow], by: UsageBy) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([by, *(spec.name for spec in fields(UsageRow) if spec.name != "name")])
    for row in rows:
        writer.writerow([neutralise_cell(value) for value in _named(row, by).values()])


def _named(row: UsageRow, by: UsageBy) -> dict[str, Any]:
    values = row.to_dict()
    return {by: values.pop("name"), **values}


def _show(rows: Sequence[UsageRow], by: UsageBy) -> None:
    from jobspan.cli.columns import Column
    from jobspan.cli.table import Cell, show, table

    columns = [
        Column(by.capitalize(), wraps=True),
        Column("Calls", numeric=True),
        Column("Prompt", numeric=True),
        Column("Completion", numeric=True),
        Column("Total", numeric=True),
        Column("Cost", numeric=True),
    ]
    lines: list[list[Cell]] = [[row.name, *_numbers(row)] for row in rows]
    show(table(columns, lines, total=["Total", *_numbers(_total(rows))]))
    unmetered = sum(row.unmetered_calls for row in rows)
    unpriced = sum(row.unpriced_calls for row in rows)
    if unmetered:
        click.echo(f"\nCalls that reported no tokens: {unmetered:,}. The true numbers are higher.")
    if unpriced:
        click.echo(f"\nCalls without a known price: {unpriced:,}. Costs marked ≥ are lower bounds.")


def _numbers(row: UsageRow) -> list[str]:
    return [
        words.number(row.calls),
        words.number(row.prompt_tokens),
        words.number(row.completion_tokens),
        words.number(row.total_tokens),
        words.money(row.cost_usd, row.unpriced_calls),
    ]


def _total(rows: Sequence[UsageRow]) -> UsageRow:
    def add(name: str) -> Any:
        known = [value for row in rows if (value := getattr(row, name)) is not None]
        return sum(known) if known else None

    names = [spec.name for spec in fields(UsageRow) if spec.name != "name"]
    return UsageRow(name="Total", **{name: add(name) for name in names})
