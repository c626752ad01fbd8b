"""The metadata API: show the schema, create tables and fields, rename them."""

from __future__ import annotations

from typing import Any

from jobspan.testing.airtable import refusal, shape
from jobspan.testing.airtable.field import Field, created
from jobspan.testing.airtable.store import Base, Table


def base_json(base: Base) -> dict[str, Any]:
    """Return a base as the list of bases shows it."""
    return {"id": base.id, "name": base.name, "permissionLevel": "create"}


def table_json(table: Table, *, visible: bool = False) -> dict[str, Any]:
    """Return a table's schema; `visible` adds the fields its view shows."""
    view: dict[str, Any] = {"id": table.view_id, "name": "Grid view", "type": "grid"}
    if visible:
        view["visibleFieldIds"] = [column.id for column in table.fields]
    shown: dict[str, Any] = {
        "id": table.id,
        "name": table.name,
        "primaryFieldId": table.primary.id,
        "fields": [column.to_json() for column in table.fields],
        "views": [view],
    }
    if table.description is not None:
        shown["description"] = table.description
    return shown


def schema(base: Base, include: list[str]) -> dict[str, Any]:
    """Return the schema of all tables."""
    if set(include) - {"visibleFieldIds"}:
        raise refusal.invalid_request()
    return {"tables": [table_json(table, visible=bool(include)) for table in base]}


def _same(left: str, right: str) -> bool:
    return left.strip().casefold() == right.strip().casefold()


def _check_table_name(base: Base, name: str) -> None:
    if not name.strip() or any(_same(table.name, name) for table in base):
        message = f'Cannot create table: table with name "{name}" already exists'
        raise refusal.typed(422, "DUPLICATE_TABLE_NAME", message)


def _check_field_name(fields: list[Field], name: str) -> None:
    if not name.strip() or any(_same(column.name, name) for column in fields):
        message = f'A field with the name "{name}" already exists, or the name is empty'
        raise refusal.typed(422, "DUPLICATE_OR_EMPTY_FIELD_NAME", message)


def _check_link(base: Base, column: Field) -> None:
    if column.type == "multipleRecordLinks" and base.find_table(column.options["linkedTableId"]) is None:
        message = f"Creating multipleRecordLinks field: no table {column.options['linkedTableId']}"
        raise refusal.typed(422, "INVALID_OPTIONS_FOR_FIELD", message)


def create_table(base: Base, body: dict[str, Any]) -> dict[str, Any]:
    """Create a table; its first field is the primary one."""
    shape.only_keys(body, ("name", "description", "fields"))
    name = shape.text_of(body.get("name")).strip()
    given = shape.array_of(body.get("fields"))
    if not given:
        raise refusal.invalid_request()
    _check_table_name(base, name)
    fields: list[Field] = []
    for place, config in enumerate(given):
        column = created(config, primary=place == 0)
        _check_field_name(fields, column.name)
        _check_link(base, column)
        fields.append(column)
    table = Table(name, fields, body.get("description"))
    base.tables.append(table)
    return table_json(table)


def create_field(base: Base, table: Table, body: dict[str, Any]) -> dict[str, Any]:
    """Add a field to a table."""
    column = created(body)
    _check_field_name(table.fields, column.name)
    _check_link(base, column)
    table.fields.append(column)
    return column.to_json()


def change_table(base: Base, table: Table, body: dict[str, Any]) -> dict[str, Any]:
    """Rename a table, or describe it."""
    shape.only_keys(body, ("name", "description"))
    if "name" in body:
        name = shape.text_of(body["name"]).strip()
        if not _same(name, table.name):
            _check_table_name(base, name)
        table.name = name or table.name
    if "description" in body:
        table.description = body["description"]
    return table_json(table)


def change_field(table: Table, column: Field, body: dict[str, Any]) -> dict[str, Any]:
    """Rename a field, or describe it; its type and options (select options too) are refused."""
    shape.only_keys(body, ("name", "description"))
    if not body:
        raise refusal.invalid_request()
    if "name" in body:
        name = shape.text_of(body["name"]).strip()
        if not _same(name, column.name):
            _check_field_name(table.fields, name)
        column.name = name or column.name
    if "description" in body:
        column.description = body["description"]
    return column.to_json()
