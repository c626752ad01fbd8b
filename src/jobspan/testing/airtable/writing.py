"""Create, update, upsert and delete records: all of a request or nothing of it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from jobspan.testing.airtable import cell, refusal, shape
from jobspan.testing.airtable.field import MERGEABLE, Field
from jobspan.testing.airtable.store import Base, Row, Table
from jobspan.testing.airtable.value import accepted

MOST_RECORDS = 10
"""Records a request may write."""
_COMMON = ("typecast", "returnFieldsByFieldId")


@dataclass
class _Change:
    """One record of a request, checked: an existing row (None: create) and its new cells."""

    row: Row | None
    cells: dict[str, Any]


@contextmanager
def _undone_if_refused(base: Base, typecast: bool) -> Generator[None]:
    """Take back what typecast invented (options, linked rows) when the request is refused."""
    if not typecast:
        yield
        return
    columns = [column for table in base for column in table.fields if "choices" in column.options]
    before = [list(column.options["choices"]) for column in columns]
    rows = {table.id: set(table.rows) for table in base}
    try:
        yield
    except refusal.Refusal:
        for column, choices in zip(columns, before, strict=True):
            column.options["choices"] = choices
        for table in base:
            for record_id in set(table.rows) - rows[table.id]:
                table.remove(table.rows[record_id])
        raise


def _cells(base: Base, table: Table, fields: Any, typecast: bool) -> dict[str, Any]:
    given = shape.object_of(fields)
    cells: dict[str, Any] = {}
    for name, value in given.items():
        column = table.field(name)
        if column.id in cells:
            raise refusal.invalid_request(f'Field "{column.name}" is given twice')
        cells[column.id] = accepted(column, value, base, typecast=typecast)
    return cells


def _shown(base: Base, table: Table, row: Row, body: dict[str, Any]) -> dict[str, Any]:
    return cell.record(base, table, row, by_id=shape.flag_of(body.get("returnFieldsByFieldId")))


def create(base: Base, table: Table, body: dict[str, Any]) -> dict[str, Any]:
    """Create one record (``fields``) or up to ten (``records``); return what the API answers."""
    shape.only_keys(body, ("fields", "records", *_COMMON))
    typecast = shape.flag_of(body.get("typecast"))
    if "records" in body:
        given = shape.array_of(body["records"], refusal.invalid_records(with_id=False))
        if len(given) > MOST_RECORDS:
            raise refusal.too_many_records(len(given))
        if not given:
            raise refusal.invalid_records(with_id=False)
        every = [_record_fields(record, ("fields",)) for record in given]
    elif "fields" in body:
        every = [body["fields"]]
    else:
        raise refusal.missing_fields()
    with _undone_if_refused(base, typecast):
        cells = [_cells(base, table, fields, typecast) for fields in every]
        base.make_room(len(cells))
    records = [_shown(base, table, table.add(each), body) for each in cells]
    return {"records": records} if "records" in body else records[0]


def _record_fields(record: Any, keys: tuple[str, ...]) -> Any:
    given = shape.object_of(record, refusal.invalid_records(with_id=False))
    shape.only_keys(given, keys)
    if "fields" not in given:
        raise refusal.missing_fields()
    return given["fields"]


def update_one(
    base: Base, table: Table, record_id: str, body: dict[str, Any], *, replace: bool
) -> dict[str, Any]:
    """Change one record, named in the path; `replace` empties the cells that are not named."""
    shape.only_keys(body, ("fields", *_COMMON))
    if record_id not in table.rows:
        raise refusal.not_found()
    if "fields" not in body:
        raise refusal.missing_fields()
    typecast = shape.flag_of(body.get("typecast"))
    with _undone_if_refused(base, typecast):
        cells = _cells(base, table, body["fields"], typecast)
    row = table.rows[record_id]
    table.change(row, cells, replace=replace)
    return _shown(base, table, row, body)


def update(base: Base, table: Table, body: dict[str, Any], *, replace: bool) -> dict[str, Any]:
    """Change up to ten records by id, or upsert them; answer in the order of the request.

    With ``performUpsert`` a record without id is looked up by the merge fields: none creates, one is
    updated, several refuse the whole request. A record with id ignores the merge fields. All records
    are looked up before any is written: the same new key twice in a request makes two rows.
    """
    shape.only_keys(body, ("records", "performUpsert", *_COMMON))
    if "records" not in body:
        raise refusal.missing_fields()
    given = shape.array_of(body["records"], refusal.invalid_records(with_id=True))
    if not 1 <= len(given) <= MOST_RECORDS:
        raise refusal.invalid_records(with_id=True)
    upsert = body.get("performUpsert")
    merge_on = None if upsert is None else _merge_fields(table, upsert)
    typecast = shape.flag_of(body.get("typecast"))
    with _undone_if_refused(base, typecast):
        changes = [_checked(base, table, record, merge_on, typecast) for record in given]
        _refuse_one_row_twice(changes)
        base.make_room(sum(change.row is None for change in changes))
    return _applied(base, table, changes, body, replace=replace)


def _merge_fields(table: Table, upsert: Any) -> list[Field]:
    given = shape.object_of(upsert)
    shape.only_keys(given, ("fieldsToMergeOn",))
    names = shape.array_of(given.get("fieldsToMergeOn"))
    if not 1 <= len(names) <= 3:
        raise refusal.invalid_request('"fieldsToMergeOn" must be an array of 1 to 3 field names or IDs')
    fields = [table.field(shape.text_of(name)) for name in names]
    for column in fields:
        if column.type not in MERGEABLE:
            raise refusal.invalid_request(f'Field "{column.name}" cannot be used in "fieldsToMergeOn"')
    return fields


def _checked(base: Base, table: Table, record: Any, merge_on: list[Field] | None, typecast: bool) -> _Change:
    given = shape.object_of(record, refusal.invalid_records(with_id=True))
    shape.only_keys(given, ("id", "fields"))
    record_id = given.get("id")
    if "fields" not in given or (record_id is None and merge_on is None):
        raise refusal.invalid_records(with_id=True)
    if record_id is not None:
        row = table.row(shape.text_of(record_id, refusal.invalid_records(with_id=True)))
        return _Change(row, _cells(base, table, given["fields"], typecast))
    cells = _cells(base, table, given["fields"], typecast)
    return _Change(_match(table, merge_on or [], cells), cells)


def _match(table: Table, merge_on: list[Field], cells: dict[str, Any]) -> Row | None:
    values: list[Any] = []
    for column in merge_on:
        if cells.get(column.id) is None:
            raise refusal.invalid_request(
                f'The merge field "{column.name}" has no value in one of the records'
            )
        values.append(cells[column.id])
    rows = table.matching(merge_on, values)
    if len(rows) > 1:
        names = ", ".join(row.id for row in rows)
        raise refusal.several_rows(f"Cannot update more than one record for the same merge values: {names}")
    return rows[0] if rows else None


def _refuse_one_row_twice(changes: list[_Change]) -> None:
    ids = [change.row.id for change in changes if change.row is not None]
    for record_id in ids:
        if ids.count(record_id) > 1:
            raise refusal.several_rows(f"Cannot update record {record_id} more than once in a request")


def _applied(
    base: Base, table: Table, changes: list[_Change], body: dict[str, Any], *, replace: bool
) -> dict[str, Any]:
    created: list[str] = []
    updated: list[str] = []
    records: list[dict[str, Any]] = []
    for change in changes:
        if change.row is None:
            row = table.add(change.cells)
            created.append(row.id)
        else:
            row = change.row
            table.change(row, change.cells, replace=replace)
            updated.append(row.id)
        records.append(_shown(base, table, row, body))
    if body.get("performUpsert") is None:
        return {"records": records}
    return {"createdRecords": created, "updatedRecords": updated, "records": records}


def delete_one(table: Table, record_id: str) -> dict[str, Any]:
    """Delete the record named in the path."""
    if record_id not in table.rows:
        raise refusal.not_found()
    table.remove(table.rows[record_id])
    return {"id": record_id, "deleted": True}


def delete(table: Table, record_ids: list[str]) -> dict[str, Any]:
    """Delete up to ten records, all or none."""
    if not 1 <= len(record_ids) <= MOST_RECORDS or len(set(record_ids)) != len(record_ids):
        raise refusal.invalid_record_ids()
    for row in [table.row(record_id) for record_id in record_ids]:
        table.remove(row)
    return {"records": [{"id": record_id, "deleted": True} for record_id in record_ids]}
