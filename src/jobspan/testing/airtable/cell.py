"""What a record shows: its cells by name or id, the computed ones worked out."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from jobspan.testing.airtable import formula
from jobspan.testing.airtable.field import TEXT, Field
from jobspan.testing.airtable.store import Base, Row, Table
from jobspan.testing.airtable.value import instant, instant_text, plain_text

_ERROR = {"error": "#ERROR!"}


def shown(base: Base, table: Table, row: Row, column: Field) -> Any:
    """Return the value the API gives for one cell; None if it is left out."""
    if not column.is_computed:
        return row.cells.get(column.id)
    if column.type == "createdTime":
        return row.created
    if column.type == "lastModifiedTime":
        return row.modified
    if column.type == "autoNumber":
        return row.number
    if column.type == "count":
        linked = row.cells.get(str(column.options.get("recordLinkFieldId")), [])
        return len(cast("list[str]", linked))
    if column.type == "formula":
        return _formula_value(base, table, row, column)
    return None


def _formula_value(base: Base, table: Table, row: Row, column: Field) -> Any:
    try:
        compiled = formula.compiled(str(column.options.get("formula", "")), table)
        value = compiled(View(base, table, row, frozenset({column.id})))
    except (formula.FormulaError, formula.MalformedError):
        return _ERROR
    if isinstance(value, datetime):
        return instant_text(value)
    return None if value in (None, "") else value


class View:
    """One record as a formula sees it."""

    def __init__(self, base: Base, table: Table, row: Row, within: frozenset[str] = frozenset()) -> None:
        self._base = base
        self._table = table
        self._within = within  # formula columns being worked out; one that meets itself is an error
        self.row = row

    @property
    def record_id(self) -> str:
        """Return the record's id."""
        return self.row.id

    @property
    def created(self) -> str:
        """Return when the record was made."""
        return self.row.created

    @property
    def modified(self) -> str:
        """Return when the record was last changed."""
        return self.row.modified

    def value(self, column: Field) -> Any:
        """Return a cell as a formula sees it: instants as datetimes, lists as text."""
        if column.type == "formula":
            if column.id in self._within:
                raise formula.FormulaError("circular")
            compiled = formula.compiled(str(column.options.get("formula", "")), self._table)
            return compiled(View(self._base, self._table, self.row, self._within | {column.id}))
        value = shown(self._base, self._table, self.row, column)
        if column.type in ("date", "dateTime", "createdTime", "lastModifiedTime"):
            return instant(value) if isinstance(value, str) else None
        if column.type == "multipleRecordLinks":
            return ", ".join(self._names(column, cast("list[str]", value or [])))
        if isinstance(value, list):
            return ", ".join(cast("list[str]", value))
        return value

    def _names(self, column: Field, record_ids: list[str]) -> list[str]:
        linked = self._base.find_table(column.options["linkedTableId"])
        rows = (
            [linked.rows[record_id] for record_id in record_ids if record_id in linked.rows] if linked else []
        )
        return [plain_text(row.cells.get(linked.primary.id, "")) for row in rows] if linked else []


def record(
    base: Base,
    table: Table,
    row: Row,
    *,
    by_id: bool = False,
    only: list[Field] | None = None,
    as_text: bool = False,
) -> dict[str, Any]:
    """Return a record as the API gives it; empty, false and missing cells are left out."""
    fields: dict[str, Any] = {}
    for column in table.fields if only is None else only:
        value = shown(base, table, row, column)
        if value is not None:
            fields[column.id if by_id else column.name] = _text_form(column, value) if as_text else value
    return {"id": row.id, "createdTime": row.created, "fields": fields}


def _text_form(column: Field, value: Any) -> str:
    if column.type in TEXT or isinstance(value, str):
        return str(value)
    if column.type == "checkbox":
        return "checked"
    if column.type in ("number", "currency", "percent"):
        return f"{value:.{column.options.get('precision', 0)}f}"
    return plain_text(value)
