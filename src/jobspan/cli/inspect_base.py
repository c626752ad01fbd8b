"""What `jobspan doctor` finds: each trouble with what to do about it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jobspan.airtable.fields import Field, status_label
from jobspan.airtable.schema import Column, Ids, TableSchema, find_table, table_schema
from jobspan.airtable.settings import AirtableSettings
from jobspan.cli import wanted
from jobspan.exceptions import DeliveryError
from jobspan.model.status import Status

Level = Literal["ok", "warning", "problem"]
_VANISHING = frozenset({"tmpfs", "ramfs", "overlay", "aufs"})
_INIT = "run: jobspan airtable init"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: problem: delivery would lose something.
        text: What is so.
        fix: What to do about it; "" nothing.
    """

    level: Level
    text: str
    fix: str = ""


def ledger_place(ledger: Path) -> Finding:
    """Say where the ledger lies, and whether it may vanish with the machine or container."""
    why = _vanishing(ledger)
    if why is None:
        return Finding("ok", f"the ledger lies in {ledger}")
    return Finding(
        "warning",
        f"the ledger {ledger} lies {why}: what waits there is lost when that goes away",
        "set JOBSPAN_LEDGER to a file on a disk that stays (a volume)",
    )


def _vanishing(ledger: Path) -> str | None:
    path = ledger.resolve()
    temporary = {Path(tempfile.gettempdir()).resolve(), *map(Path, ("/tmp", "/var/tmp", "/dev/shm", "/run"))}
    if any(path.is_relative_to(each) for each in temporary):
        return "in a temporary directory"
    kind = _filesystem(path)
    return f"on a file system that may vanish ({kind})" if kind in _VANISHING else None


def _filesystem(path: Path) -> str | None:
    """Return the type of the file system of a path, where the system tells (Linux)."""
    try:
        lines = Path("/proc/mounts").read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    found: tuple[int, str] | None = None
    for line in lines:
        words = line.split(" ")
        if len(words) > 2 and path.is_relative_to(words[1].replace("\\040", " ")):
            length = len(words[1])
            found = (length, words[2]) if found is None or length >= found[0] else found
    return None if found is None else found[1]


def refusal(error: DeliveryError, settings: AirtableSettings) -> Finding:
    """Say what it means that the base did not answer as it should."""
    base = settings.base_id
    if error.status == 401:
        text, fix = (
            "the token is not accepted",
            "make a new one at airtable.com/create/tokens; set AIRTABLE_API_KEY",
        )
    elif error.status in (403, 404):
        text = f"the token may not use base {base}, or there is no such base"
        fix = (
            "check AIRTABLE_BASE_ID; give the token access to the base, with the scopes"
            " data.records:read, data.records:write, schema.bases:read"
        )
    elif error.status is None:
        text, fix = (
            f"{settings.endpoint_url} does not answer ({error.type})",
            "check the network, and try again",
        )
    else:
        text, fix = f"base {base} refuses to answer ({error})", "try again later"
    return Finding("problem", text, fix)


def schema_findings(
    tables: Sequence[Mapping[str, Any]], settings: AirtableSettings, ids: Ids
) -> tuple[list[Finding], dict[str, TableSchema]]:
    """Return what is wrong with the tables, and those that are there, by kind.

    Args:
        tables: What the metadata API gave.
        settings: What is set.
        ids: Of tables and columns as this ledger saw them last.
    """
    findings: list[Finding] = []
    schemas: dict[str, TableSchema] = {}
    for kind, name, fields in wanted.tables(settings):
        found = find_table(tables, name, ids)
        if found is None:
            findings.append(Finding("problem", f"table {name!r} is missing", _INIT))
            continue
        schema = schemas[kind] = table_schema(kind, found, fields, ids)
        troubles = [*_renamed(schema, name, fields), *_table_findings(schema, fields, settings)]
        findings += troubles or [Finding("ok", f"table {schema.name!r}: all {len(fields)} columns are good")]
    return findings, schemas


def _renamed(schema: TableSchema, name: str, fields: Iterable[Field]) -> Iterator[Finding]:
    """Tell of other names than those that are set: only this ledger knows them again."""
    table = "job" if schema.kind == "j" else "client_run"
    if name not in (schema.id, schema.name):
        text = f"table {name!r} is called {schema.name!r} now; this ledger goes on with it"
        yield Finding("warning", text, f"set {table}_table = {schema.name!r} in [tool.jobspan.airtable]")
    for field in fields:
        column = schema.columns.get(field.name)
        if column is None or field.column in (column.id, column.name):
            continue
        place = f"table {schema.name!r}: column {field.column!r}"
        yield Finding(
            "warning",
            f"{place} is called {column.name!r} now; this ledger goes on with it",
            f"set {table}_columns = {{ {field.name} = {column.name!r} }} in [tool.jobspan.airtable]",
        )


def _table_findings(
    schema: TableSchema, fields: Iterable[Field], settings: AirtableSettings
) -> Iterator[Finding]:
    for field in fields:
        problem = schema.problems.get(field.name)
        column = schema.columns.get(field.name)
        if problem is not None:
            yield Finding("problem", f"table {schema.name!r}: {problem}", _fix_of(field, problem, settings))
        elif column is not None and column.choices is not None:
            yield from _option_findings(schema, field, column, settings)


def _fix_of(field: Field, problem: str, settings: AirtableSettings) -> str:
    kind = wanted.field_json(field, settings)["type"]
    if "is missing" in problem:
        return "name another column in the settings" if wanted.is_id(field.column) else _INIT
    if "computed" in problem:
        return f"rename that column, then {_INIT}; or change its type to {kind}"
    return f"change its type to {kind} in Airtable"


def _option_findings(
    schema: TableSchema, field: Field, column: Column, settings: AirtableSettings
) -> Iterator[Finding]:
    place = f"table {schema.name!r}: column {column.name!r}"
    if field.kind != "status":
        level: Level = "warning" if field.name == "job_type" else "problem"
        text = f"{place} is a single select: values that are no option of it are not shown"
        yield Finding(level, text, f"change its type to {field.seed} in Airtable")
        return
    for status in Status:
        label, is_same = status_label(status, column.choices, settings.status_labels, frozenset())
        if is_same:
            continue
        option = settings.status_labels.get(status, status.value)
        shown = f"is shown as {label!r}" if label else "cannot be shown"
        yield Finding(
            "warning" if label else "problem",  # under the nearest option nothing is lost
            f"{place} has no option {option!r}: {status.value} {shown}",
            f"add the option {option!r} in Airtable, or name one of its options in status_labels",
        )
