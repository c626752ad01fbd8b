"""Rows of one run id that stand in a table more than once: which to keep, and setting the others aside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobspan.airtable.ownership import find_mark
from jobspan.airtable.schema import TableSchema
from jobspan.cli.paced import MOST_ROWS, PacedBase

Json = dict[str, Any]


@dataclass(slots=True)
class TableRows:
    """What stands in a table.

    Attributes:
        schema: The table.
        count: How many rows.
        by_run_id: The rows of each run id, the oldest first: (created, record id).
        ledgers: Names of the ledgers that wrote rows.
    """

    schema: TableSchema
    count: int = 0
    by_run_id: dict[str, list[tuple[str, str]]] = field(default_factory=dict[str, list[tuple[str, str]]])
    ledgers: set[str] = field(default_factory=set[str])

    @property
    def doubled(self) -> dict[str, list[tuple[str, str]]]:
        """The run ids that stand in several rows."""
        return {run_id: rows for run_id, rows in self.by_run_id.items() if len(rows) > 1}


def read_rows(base: PacedBase, schema: TableSchema) -> TableRows:
    """Read all rows of a table, 100 a request.

    Raises:
        DeliveryError: A request failed.
    """
    found = TableRows(schema)
    key, notes = schema.columns.get("run_id"), schema.columns.get("system_notes")
    for row in base.rows(schema.id, [column.id for column in (key, notes) if column is not None]):
        cells: Json = row.get("fields") or {}
        found.count += 1
        run_id = cells.get(key.name) if key is not None else None
        if isinstance(run_id, str) and run_id:
            created = str(row.get("createdTime") or "")
            found.by_run_id.setdefault(run_id, []).append((created, str(row["id"])))
        mark = find_mark(cells.get(notes.name)) if notes is not None else None
        if mark is not None:
            found.ledgers.add(mark.ledger)
    for rows in found.by_run_id.values():
        rows.sort(key=lambda row: row[0])  # of one instant: as they are listed
    return found


def set_aside(base: PacedBase, table: TableRows, known: set[str], *, delete: bool) -> Iterator[str]:
    """Leave one row of each run id: the ledger's, else the oldest; yield what was done.

    Args:
        base: Where.
        table: What stands there.
        known: Record ids of the ledger's rows.
        delete: Delete the others; without it they get another run id and stay.

    Raises:
        DeliveryError: A request failed.
    """
    key = table.schema.columns["run_id"]
    renamed: list[Json] = []
    for run_id, rows in table.doubled.items():
        kept = next((each for _, each in rows if each in known), rows[0][1])
        others = [each for _, each in rows if each != kept]
        names = _free_names(run_id, len(others), table.by_run_id)
        renamed += [{"id": each, "fields": {key.id: name}} for each, name in zip(others, names, strict=True)]
        done = "deleted" if delete else f"renamed to {', '.join(map(repr, names))}"
        yield f"{table.schema.name}: {run_id}: {kept} is kept, {', '.join(others)} {done}"
    for start in range(0, len(renamed), MOST_ROWS):
        _send(base, table.schema.id, renamed[start : start + MOST_ROWS], key.id, delete)


def _send(base: PacedBase, table: str, rows: Sequence[Json], key: str, delete: bool) -> None:
    if delete:
        base.delete(table, [str(row["id"]) for row in rows])
    else:
        base.put(table, rows, key)


def _free_names(run_id: str, count: int, taken: dict[str, list[tuple[str, str]]]) -> list[str]:
    found: list[str] = []
    number = 2
    while len(found) < count:
        name = f"{run_id} (duplicate {number})"
        if name not in taken:
            found.append(name)
        number += 1
    return found
