"""The schema of the two tables as it really is, and what follows for each of our fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from jobspan.airtable.fields import COMPUTED, Field, takes
from jobspan.ledger.known_ids import TABLES

Json = Mapping[str, Any]
Ids = Mapping[tuple[str, str], str]
"""(`TABLES` or kind, name as it is set) to the id a table or column had when it was seen."""
_NO_IDS: Ids = {}


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `id` is its name where the schema cannot be read; `choices` None: no select, or unknown."""

    id: str
    name: str
    type: str | None = None
    choices: tuple[str, ...] | None = None


@dataclass(slots=True)
class TableSchema:
    """One of our tables: which column shows which field, and what is wrong with the others.

    Attributes:
        kind: j or c.
        id: Its id, or its name where the schema cannot be read.
        name: Its name.
        columns: By our field names; only those that can be written.
        problems: By our field names: why a field cannot be written.
    """

    kind: str
    id: str
    name: str
    columns: dict[str, Column] = field(default_factory=dict[str, Column])
    problems: dict[str, str] = field(default_factory=dict[str, str])


def find_table(tables: Sequence[Json], wanted: str, ids: Ids = _NO_IDS) -> Json | None:
    """Return the table with this id or name, else the one that had the name when it was seen last."""
    for name in (wanted, ids.get((TABLES, wanted))):
        for table in tables:
            if name is not None and name in (table.get("id"), table.get("name")):
                return table
    return None


def table_schema(kind: str, table: Json, fields: Sequence[Field], ids: Ids = _NO_IDS) -> TableSchema:
    """Return what the metadata of a table means for our fields.

    Args:
        kind: j or c.
        table: The metadata.
        fields: Our fields.
        ids: Of columns as they were seen; one that was renamed since is still the same one.
    """
    made = TableSchema(kind, str(table["id"]), str(table["name"]))
    for each in fields:
        known = ids.get((kind, each.column))
        found = _column(table, each.column) or (known and _column(table, known)) or None
        problem = _problem(each, found)
        if found is not None and problem is None:
            made.columns[each.name] = found
        elif problem is not None and not each.is_optional:
            made.problems[each.name] = problem
    return made


def blind_schema(kind: str, name: str, fields: Sequence[Field]) -> TableSchema:
    """Return what is assumed of a table whose schema may not be read: everything is as configured."""
    columns = {each.name: Column(each.column, each.column) for each in fields if not each.is_optional}
    return TableSchema(kind, name, name, columns)


def _column(table: Json, wanted: str) -> Column | None:
    for each in cast("Sequence[Json]", table.get("fields", ())):
        if wanted in (each.get("id"), each.get("name")):
            return Column(str(each["id"]), str(each["name"]), str(each.get("type")), _choices(each))
    return None


def _choices(column: Json) -> tuple[str, ...] | None:
    options: Json = column.get("options") or {}
    if column.get("type") != "singleSelect" or not isinstance(options.get("choices"), list):
        return None
    return tuple(str(choice["name"]) for choice in options["choices"])


def _problem(wanted: Field, column: Column | None) -> str | None:
    if column is None:
        return f"column {wanted.column!r} is missing"
    if column.type in COMPUTED:
        return f"column {wanted.column!r} is computed ({column.type})"
    if not takes(wanted, column.type):
        return f"column {wanted.column!r} has the wrong type ({column.type}, not {wanted.seed})"
    return None
