"""List records: filter, sort, choose fields, page by iterators that expire."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from jobspan.testing.airtable import cell, formula, refusal, shape
from jobspan.testing.airtable.field import Field, new_id
from jobspan.testing.airtable.store import Base, Row, Table

PARAMETERS = frozenset(
    {
        "pageSize", "maxRecords", "offset", "view", "sort", "filterByFormula", "fields", "cellFormat",
        "timeZone", "userLocale", "returnFieldsByFieldId", "recordMetadata",
    }
)  # fmt: skip
_LARGEST_PAGE = 100
_OFFSET = re.compile(r"(itr[0-9A-Za-z]{14})/(rec[0-9A-Za-z]{14})")


@dataclass
class _Iterator:
    table_id: str
    record_ids: list[str]
    used_at: float


class Iterators:
    """The open iterators of all clients; one unused for `lifetime` seconds is gone."""

    def __init__(self, clock: Callable[[], float], lifetime: float = 300.0) -> None:
        self._clock = clock
        self._open: dict[str, _Iterator] = {}
        self.lifetime = lifetime

    def expire(self) -> None:
        """Let every open iterator be gone."""
        self._open.clear()

    def start(self, table: Table, rows: list[Row]) -> str:
        """Keep the order of `rows`; return the iterator's id."""
        now = self._clock()
        self._open = {key: each for key, each in self._open.items() if now - each.used_at <= self.lifetime}
        iterator_id = new_id("itr")
        self._open[iterator_id] = _Iterator(table.id, [row.id for row in rows], now)
        return iterator_id

    def resume(self, table: Table, iterator_id: str, record_id: str) -> list[Row]:
        """Return the rows from `record_id` on that still exist, or refuse if the iterator is gone."""
        iterator = self._open.get(iterator_id)
        now = self._clock()
        if iterator is None or iterator.table_id != table.id or record_id not in iterator.record_ids:
            raise refusal.iterator_gone()
        if now - iterator.used_at > self.lifetime:
            del self._open[iterator_id]
            raise refusal.iterator_gone()
        iterator.used_at = now
        rest = iterator.record_ids[iterator.record_ids.index(record_id) :]
        return [table.rows[each] for each in rest if each in table.rows]


def page(base: Base, table: Table, query: dict[str, Any], iterators: Iterators) -> dict[str, Any]:
    """Return one page of a list request; `query` holds JSON values by parameter name.

    Raises:
        Refusal: A parameter is unknown or wrong, the formula is malformed, the iterator is gone.
    """
    shape.only_keys(query, PARAMETERS)
    size = _bounded(query.get("pageSize"), _LARGEST_PAGE)
    as_text = _as_text(query)
    by_id = shape.flag_of(query.get("returnFieldsByFieldId"))
    only = _chosen(table, query.get("fields"))
    _check_view(table, query.get("view"))
    keep = _filter(base, table, query.get("filterByFormula"))
    order = _order(table, query.get("sort"))
    if query.get("offset") is not None:
        match = _OFFSET.fullmatch(shape.text_of(query["offset"]))
        if match is None:
            raise refusal.invalid_request()
        iterator_id = match[1]
        rows = iterators.resume(table, iterator_id, match[2])
    else:
        rows = _sorted(base, table, [row for row in table.rows.values() if keep(row)], order)
        if query.get("maxRecords") is not None:
            rows = rows[: _bounded(query["maxRecords"], None)]
        iterator_id = iterators.start(table, rows) if len(rows) > size else ""
    records = [cell.record(base, table, row, by_id=by_id, only=only, as_text=as_text) for row in rows[:size]]
    answer: dict[str, Any] = {"records": records}
    if len(rows) > size:
        answer["offset"] = f"{iterator_id}/{rows[size].id}"
    return answer


def _bounded(value: Any, most: int | None) -> int:
    if value is None and most is not None:
        return most
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or value < 1
        or (most is not None and value > most)
    ):
        raise refusal.invalid_request()
    return value


def _as_text(query: dict[str, Any]) -> bool:
    form = query.get("cellFormat", "json")
    if form not in ("json", "string"):
        raise refusal.invalid_request()
    if form == "string" and not (query.get("timeZone") and query.get("userLocale")):
        raise refusal.invalid_request('"cellFormat" "string" requires "timeZone" and "userLocale"')
    return bool(form == "string")


def _chosen(table: Table, names: Any) -> list[Field] | None:
    if names is None:
        return None
    wanted = {table.field(shape.text_of(name)).id for name in shape.array_of(names)}
    return [column for column in table.fields if column.id in wanted]


def _check_view(table: Table, view: Any) -> None:
    if view is not None and view not in (table.view_id, "Grid view"):
        raise refusal.typed(422, "VIEW_NAME_NOT_FOUND", f"View {view} not found")


def _filter(base: Base, table: Table, text: Any) -> Callable[[Row], bool]:
    if text is None or text == "":
        return lambda _: True
    try:
        expression = formula.compiled(shape.text_of(text), table)
    except formula.MalformedError as malformed:
        raise refusal.bad_formula(malformed.why) from None

    def keep(row: Row) -> bool:
        try:
            return formula.is_true(expression(cell.View(base, table, row)))
        except (formula.FormulaError, RecursionError):
            return False

    return keep


def _order(table: Table, sort: Any) -> list[tuple[Field, bool]]:
    order: list[tuple[Field, bool]] = []
    for each in shape.array_of(sort) if sort is not None else []:
        rule = shape.object_of(each)
        shape.only_keys(rule, ("field", "direction"))
        direction = rule.get("direction", "asc")
        if direction not in ("asc", "desc"):
            raise refusal.invalid_request()
        order.append((table.field(shape.text_of(rule.get("field"))), direction == "desc"))
    return order


def _sorted(base: Base, table: Table, rows: list[Row], order: list[tuple[Field, bool]]) -> list[Row]:
    for column, descending in reversed(order):

        def key(row: Row, column: Field = column) -> tuple[int, Any]:
            return _rank(column, cell.shown(base, table, row, column))

        rows = sorted(rows, key=key, reverse=descending)
    return rows


def _rank(column: Field, value: Any) -> tuple[int, Any]:
    """Return what a cell sorts by: empty first, selects in the order of their options."""
    if value is None:
        return (0, 0)
    if column.type == "singleSelect":
        return (1, column.choices.index(value) if value in column.choices else -1)
    if isinstance(value, int | float):
        return (1, value)
    if isinstance(value, list):
        return (2, ", ".join(cast("list[str]", value)))
    return (2, str(value))
