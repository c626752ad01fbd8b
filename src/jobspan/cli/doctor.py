"""`jobspan doctor`: is everything there for delivery, and if not, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from jobspan.cli.delivering import Delivering, delivering, needed_airtable
from jobspan.cli.json_text import write_object
from jobspan.cli.opening import ledger_option, settings_of_command
from jobspan.exceptions import DeliveryError, SettingsError
from jobspan.ledger.identity import ledger_id
from jobspan.ledger.standing import shown_rows

if TYPE_CHECKING:
    from jobspan.airtable.schema import TableSchema
    from jobspan.cli.duplicates import TableRows
    from jobspan.cli.inspect_base import Finding
    from jobspan.cli.paced import PacedBase

WOULD_LOSE = 1
_SIGNS = {"ok": ("ok      ", "green"), "warning": ("warning ", "yellow"), "problem": ("problem ", "red")}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--dedupe", is_flag=True, help="Give the duplicates of a row another Run ID.")
@click.option("--delete", is_flag=True, help="With --dedupe: delete the duplicates instead.")
@ledger_option(hidden=True)
@click.pass_context
def command(context: click.Context, as_json: bool, dedupe: bool, delete: bool) -> None:
    """Look whether everything is there for delivery, and say what to do.

    Looks at token, base, tables, columns, select options, computed columns, duplicates and the place of
    the ledger. Exit code 1 when delivery would lose something.

    --dedupe keeps the row of this ledger, else the oldest.
    """
    if delete and not dedupe:
        raise click.UsageError("--delete is for --dedupe")
    findings, done = _examine(dedupe, delete)
    is_ok = all(each.level != "problem" for each in findings)
    if as_json:
        write_object({"ok": is_ok, "findings": [asdict(each) for each in findings], "deduped": done})
    else:
        _show(findings, done)
    if not is_ok:
        context.exit(WOULD_LOSE)


def _examine(dedupe: bool, delete: bool) -> tuple[list[Finding], list[str]]:
    from jobspan.cli.inspect_base import Finding, ledger_place

    settings = settings_of_command()
    findings = [ledger_place(settings.ledger)]
    try:
        needed_airtable(settings)
    except SettingsError as error:
        what, _, fix = str(error).partition("; ")
        return [*findings, Finding("problem", what, fix)], []
    with delivering(settings) as place:
        found, done = _examine_base(place, dedupe, delete)
        return [*findings, *found, *_waiting(place)], done


def _examine_base(place: Delivering, dedupe: bool, delete: bool) -> tuple[list[Finding], list[str]]:
    from jobspan.cli.inspect_base import Finding, refusal, schema_findings
    from jobspan.cli.paced import paced_base

    with paced_base(place) as base:
        try:
            tables = base.ask(lambda client: client.tables())
        except DeliveryError as error:
            return [_hidden_schema(base, place, error)], []
        findings, schemas = schema_findings(tables, place.airtable, place.outbox.ids.read())
        done: list[str] = []
        try:
            for schema in schemas.values():
                found, lines = _examine_rows(base, place, schema, dedupe, delete)
                findings += found
                done += lines
        except DeliveryError as error:
            findings.append(refusal(error, place.airtable))
        return [Finding("ok", f"base {place.airtable.base_id} takes the token"), *findings], done


def _hidden_schema(base: PacedBase, place: Delivering, error: DeliveryError) -> Finding:
    """Say why the schema cannot be read: only its scope may be lacking."""
    from jobspan.cli.inspect_base import Finding, refusal

    if error.status == 403:
        try:
            base.ask(lambda client: client.page(place.airtable.job_table, ()))
        except DeliveryError:
            return refusal(error, place.airtable)
        return Finding(
            "warning",
            "the token may not read the schema: columns cannot be checked, delivery learns from refusals",
            "give the token the scope schema.bases:read",
        )
    return refusal(error, place.airtable)


def _examine_rows(
    base: PacedBase, place: Delivering, schema: TableSchema, dedupe: bool, delete: bool
) -> tuple[list[Finding], list[str]]:
    from jobspan.cli.duplicates import read_rows, set_aside

    if "run_id" not in schema.columns:
        return [], []
    rows = read_rows(base, schema)
    findings = [*_other_ledgers(place, rows)]
    if not rows.doubled:
        return findings, []
    if not dedupe:
        return [*findings, *_doubled(rows)], []
    known = {each.remote_id for each in shown_rows(place.ledger, place.outbox.destination)}
    done = list(set_aside(base, rows, known, delete=delete))
    place.outbox.unpark()
    return findings, done


def _doubled(rows: TableRows) -> Iterable[Finding]:
    from jobspan.cli.inspect_base import Finding

    for run_id, listed in rows.doubled.items():
        ids = ", ".join(each for _, each in listed)
        text = f"table {rows.schema.name!r}: {run_id} stands in {len(listed)} rows ({ids})"
        yield Finding("problem", text, "run: jobspan doctor --dedupe")


def _other_ledgers(place: Delivering, rows: TableRows) -> Iterable[Finding]:
    from jobspan.cli.inspect_base import Finding

    others = rows.ledgers - {ledger_id(place.ledger)}
    if others and rows.schema.kind == "j":
        yield Finding(
            "warning",
            f"{len(others)} other ledgers have written to this base: two ledgers cannot share one pace",
            "let all processes use one ledger, or be content that they slow each other down at times",
        )


def _waiting(place: Delivering) -> Iterable[Finding]:
    from jobspan.cli.inspect_base import Finding

    waiting, budget, calls = place.outbox.waiting(), place.airtable.monthly_calls, place.outbox.calls()
    if waiting.parked:
        text = f"{waiting.parked:,} rows were refused: {place.outbox.last_trouble()}"
        yield Finding("problem", text, "when the above is put right, run: jobspan sync")
    elif waiting.rows:
        yield Finding("ok", f"{waiting.rows:,} rows wait", "to deliver them now, run: jobspan sync")
    if budget is not None and calls > 0.9 * budget:
        text = f"{calls:,} of the {budget:,} calls of this month are used"
        yield Finding("warning", text, "set project or plan in [tool.jobspan.airtable]")


def _show(findings: Iterable[Finding], done: Iterable[str]) -> None:
    for each in findings:
        sign, colour = _SIGNS[each.level]
        click.echo(click.style(sign, fg=colour) + each.text)
        if each.fix:
            click.echo(f"          -> {each.fix}")
    for line in done:
        click.echo(f"done    {line}")
