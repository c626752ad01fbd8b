"""What a base holds: tables, columns, rows. No HTTP, no rules of requests.

Whoever reads or writes holds `Base.lock`; so two simultaneous upserts of one key follow each other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from jobspan import _clock
from jobspan.testing.airtable import refusal
from jobspan.testing.airtable.field import Field, new_id
from jobspan.testing.airtable.value import instant_text

Key = tuple[Any, ...]


def now_text() -> str:
    """Return the present instant as Airtable writes instants."""
    return instant_text(datetime.fromtimestamp(_clock.now_ns() / 1e9, UTC))


@dataclass
class Row:
    """One record: its cells by field id, without the empty ones."""

    id: str
    number: int
    created: str
    modified: str
    cells: dict[str, Any]


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else (type(value) is str, value)  # pyright: ignore


@dataclass
class Table:
    """One table: ordered columns (the first is the primary one) and rows by record id."""

    name: str
    fields: list[Field]
    description: str | None = None
    id: str = field(default_factory=lambda: new_id("tbl"))
    view_id: str = field(default_factory=lambda: new_id("viw"))
    rows: dict[str, Row] = field(default_factory=dict[str, Row])
    _last_number: int = 0
    _indexes: dict[tuple[str, ...], dict[Key, dict[str, None]]] = field(
        default_factory=dict[tuple[str, ...], dict[Key, dict[str, None]]]
    )

    def field(self, name_or_id: str) -> Field:
        """Return the column with that name or id; names are case-sensitive.

        Raises:
            Refusal: There is none (422 UNKNOWN_FIELD_NAME).
        """
        found = self.find_field(name_or_id)
        if found is None:
            raise refusal.unknown_field(name_or_id)
        return found

    def find_field(self, name_or_id: str) -> Field | None:
        """Return the column with that name or id, or None."""
        for column in self.fields:
            if name_or_id in (column.name, column.id):
                return column
        return None

    @property
    def primary(self) -> Field:
        """Return the primary column."""
        return self.fields[0]

    def row(self, record_id: str) -> Row:
        """Return the record, or refuse with ROW_DOES_NOT_EXIST."""
        found = self.rows.get(record_id)
        if found is None:
            raise refusal.no_such_row(record_id)
        return found

    def add(self, cells: dict[str, Any]) -> Row:
        """Create a record and return it."""
        self._last_number += 1
        now = now_text()
        row = Row(new_id("rec"), self._last_number, now, now, _filled(cells))
        self.rows[row.id] = row
        self._index(row)
        return row

    def change(self, row: Row, cells: dict[str, Any], *, replace: bool = False) -> None:
        """Write `cells` into a record; None empties a cell; `replace` empties those not named."""
        self._unindex(row)
        row.cells = _filled(cells if replace else {**row.cells, **cells})
        row.modified = now_text()
        self._index(row)

    def remove(self, row: Row) -> None:
        """Delete a record."""
        self._unindex(row)
        del self.rows[row.id]

    def matching(self, fields: list[Field], values: Iterable[Any]) -> list[Row]:
        """Return the records whose cells in `fields` equal `values`; an index makes this quick."""
        ids = tuple(column.id for column in fields)
        index = self._indexes.get(ids)
        if index is None:
            index = self._indexes[ids] = {}
            for row in self.rows.values():
                index.setdefault(_key(row, ids), {})[row.id] = None
        return [self.rows[record_id] for record_id in index.get(tuple(map(_hashable, values)), ())]

    def drop_field(self, column: Field) -> None:
        """Delete a column and its cells."""
        self.fields.remove(column)
        self.rewrite(column, lambda _: None)

    def rewrite(self, column: Field, convert: Callable[[Any], Any]) -> None:
        """Replace each filled cell of a column by what `convert` makes of it; None empties it."""
        for row in self.rows.values():
            if column.id in row.cells:
                converted = convert(row.cells.pop(column.id))
                if converted is not None:
                    row.cells[column.id] = converted
        self._indexes.clear()

    def _index(self, row: Row) -> None:
        for ids, index in self._indexes.items():
            index.setdefault(_key(row, ids), {})[row.id] = None

    def _unindex(self, row: Row) -> None:
        for ids, index in self._indexes.items():
            index[_key(row, ids)].pop(row.id)


def _key(row: Row, ids: tuple[str, ...]) -> Key:
    return tuple(_hashable(row.cells.get(column_id)) for column_id in ids)


def _filled(cells: dict[str, Any]) -> dict[str, Any]:
    return {column_id: value for column_id, value in cells.items() if value is not None}


class Base:
    """One base: an ordered set of tables."""

    def __init__(self, name: str = "Test base", record_cap: int | None = None) -> None:
        self.id = new_id("app")
        self.name = name
        self.record_cap = record_cap
        self.tables: list[Table] = []
        self.lock = threading.RLock()
        self.is_deleted = False

    def find_table(self, name_or_id: str) -> Table | None:
        """Return the table with that name or id, or None."""
        for table in self.tables:
            if name_or_id in (table.id, table.name):
                return table
        return None

    def table(self, name_or_id: str) -> Table:
        """Return the table with that name or id, or refuse with the ambiguous 403."""
        table = self.find_table(name_or_id)
        if table is None:
            raise refusal.forbidden()
        return table

    def make_room(self, count: int) -> None:
        """Refuse if `count` more records would exceed the plan's cap on records per base."""
        held = sum(len(table.rows) for table in self.tables)
        if count and self.record_cap is not None and held + count > self.record_cap:
            raise refusal.base_full(self.record_cap)

    def has_row(self, table_id: str, record_id: str) -> bool:
        """Say whether a table holds a record."""
        table = self.find_table(table_id)
        return table is not None and record_id in table.rows

    def row_named(self, table_id: str, name: str) -> str:
        """Return the id of the record with that primary value, creating it if there is none."""
        table = self.table(table_id)
        found = table.matching([table.primary], [name])
        return (found[0] if found else table.add({table.primary.id: name})).id

    def __iter__(self) -> Iterator[Table]:
        return iter(self.tables)
