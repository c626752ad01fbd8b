"""What a person does in Airtable's own pages while programs write: edit rows, change the schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jobspan.testing.airtable import refusal, seed
from jobspan.testing.airtable.field import SELECTS, Field
from jobspan.testing.airtable.store import Base, Row, Table
from jobspan.testing.airtable.value import accepted

Which = str | Mapping[str, Any]
"""A row: its record id, the value of its primary column, or values of columns that one row has."""


class Person:
    """Edits a base without HTTP, without limits, at once.

    Raises:
        LookupError: There is no such table, column or row, or several rows match.
        ValueError: The column does not take the value.
    """

    def __init__(self, base: Base) -> None:
        self._base = base

    def add(self, table: str, fields: Mapping[str, Any]) -> str:
        """Add a row; return its record id."""
        with self._base.lock:
            found = self._table(table)
            return found.add(self._cells(found, fields)).id

    def edit(self, table: str, row: Which, fields: Mapping[str, Any]) -> str:
        """Change cells of a row (None empties one); return its record id."""
        with self._base.lock:
            found = self._table(table)
            edited = self._row(found, row)
            found.change(edited, self._cells(found, fields))
            return edited.id

    def duplicate(self, table: str, row: Which) -> str:
        """Duplicate a row; return the record id of the new one."""
        with self._base.lock:
            found = self._table(table)
            return found.add(dict(self._row(found, row).cells)).id

    def delete(self, table: str, row: Which) -> None:
        """Delete a row."""
        with self._base.lock:
            found = self._table(table)
            found.remove(self._row(found, row))

    def clear(self, table: str) -> None:
        """Delete all rows of a table."""
        with self._base.lock:
            found = self._table(table)
            for row in list(found.rows.values()):
                found.remove(row)

    def add_column(
        self, table: str, name: str, type: str = "singleLineText", options: Iterable[str] | None = None
    ) -> str:
        """Add a column (`options`: names of select options); return its field id."""
        with self._base.lock:
            column = Field(name, type, seed.options_for(type, options))
            self._table(table).fields.append(column)
            return column.id

    def delete_column(self, table: str, name: str) -> None:
        """Delete a column with its cells."""
        with self._base.lock:
            found = self._table(table)
            found.drop_field(self._column(found, name))

    def rename_column(self, table: str, name: str, to: str) -> None:
        """Rename a column; its field id stays."""
        with self._base.lock:
            self._column(self._table(table), name).name = to

    def retype_column(self, table: str, name: str, type: str, options: Iterable[str] | None = None) -> None:
        """Give a column another type; its cells are converted where that can be, else emptied."""
        with self._base.lock:
            found = self._table(table)
            column = self._column(found, name)
            column.type, column.options = type, seed.options_for(type, options)
            invents = options is None or type not in SELECTS  # a person's change makes options of texts
            found.rewrite(column, lambda value: self._converted(column, value, invents))

    def make_computed(self, table: str, name: str, formula: str = "RECORD_ID()") -> None:
        """Turn a column into a formula."""
        self.retype_column(table, name, "formula")
        with self._base.lock:
            self._column(self._table(table), name).options["formula"] = formula

    def add_option(self, table: str, column: str, option: str) -> None:
        """Add a select option."""
        with self._base.lock:
            found = self._column(self._table(table), column)
            if option not in found.choices:
                found.add_choice(option)

    def remove_option(self, table: str, column: str, option: str) -> None:
        """Remove a select option, and empty the cells that had it."""
        with self._base.lock:
            found = self._table(table)
            select = self._column(found, column)
            if option not in select.choices:
                raise LookupError(f"{column!r} has no option {option!r}")
            select.options["choices"] = [each for each in select.options["choices"] if each["name"] != option]
            found.rewrite(select, lambda value: self._without(value, option))

    def rename_table(self, table: str, to: str) -> None:
        """Rename a table; its id stays."""
        with self._base.lock:
            self._table(table).name = to

    def delete_table(self, table: str) -> None:
        """Delete a table."""
        with self._base.lock:
            self._base.tables.remove(self._table(table))

    def delete_base(self) -> None:
        """Delete the base: everything about it answers 404 from now on."""
        with self._base.lock:
            self._base.is_deleted = True

    def _table(self, name: str) -> Table:
        found = self._base.find_table(name)
        if found is None:
            raise LookupError(f"no table {name!r}; there are {[table.name for table in self._base]}")
        return found

    def _column(self, table: Table, name: str) -> Field:
        found = table.find_field(name)
        if found is None:
            raise LookupError(f"no column {name!r}; there are {[column.name for column in table.fields]}")
        return found

    def _row(self, table: Table, which: Which) -> Row:
        if isinstance(which, str):
            if which in table.rows:
                return table.rows[which]
            which = {table.primary.name: which}
        columns = [self._column(table, name) for name in which]
        rows = table.matching(columns, which.values())
        if len(rows) != 1:
            raise LookupError(f"{len(rows)} rows have {dict(which)!r}")
        return rows[0]

    def _cells(self, table: Table, fields: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return {
                (column := self._column(table, name)).id: accepted(column, value, self._base)
                for name, value in fields.items()
            }
        except refusal.Refusal as refused:
            raise ValueError(refused.body["error"]["message"]) from None

    def _converted(self, column: Field, value: Any, invents: bool) -> Any:
        if column.is_computed:
            return None
        try:
            return accepted(column, value, self._base, typecast=invents)
        except refusal.Refusal:
            return None

    @staticmethod
    def _without(value: Any, option: str) -> Any:
        if isinstance(value, list):
            return [each for each in value if each != option] or None  # pyright: ignore
        return None if value == option else value
