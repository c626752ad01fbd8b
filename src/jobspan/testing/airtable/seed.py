"""The two tables of jobspan as a user's base has them, and the ways real bases differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from jobspan.testing.airtable.field import COMPUTED, Field, checked_options
from jobspan.testing.airtable.store import Table

STATUSES = ("Running", "Completed", "Failed", "Completed_with_errors", "Canceled", "Timed_out")
JOB_TABLE = "Job Tracking"
CLIENT_RUN_TABLE = "Client Run Results"

_TABLES: dict[str, dict[str, str]] = {
    JOB_TABLE: {
        "Run ID": "singleLineText",
        "Status": "singleSelect",
        "Job Type": "singleLineText",
        "Start Time": "dateTime",
        "End Time": "dateTime",
        "Items Processed": "number",
        "Error": "singleLineText",
        "System Notes": "multilineText",
        "Apify Run ID": "singleLineText",
    },
    CLIENT_RUN_TABLE: {
        "Run ID": "singleLineText",
        "Client ID": "singleLineText",
        "Status": "singleSelect",
        "Start Time": "dateTime",
        "End Time": "dateTime",
        "Posts Processed": "number",
        "Leads Processed": "number",
        "Errors": "number",
        "System Notes": "multilineText",
        "Token Usage": "number",
        "Prompt Tokens": "number",
        "Completion Tokens": "number",
        "Total Tokens": "number",
        "Apify API Costs": "number",
    },
}
_DATE_TIME = {"dateFormat": {"name": "iso"}, "timeFormat": {"name": "24hour"}, "timeZone": "utc"}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "number": {"precision": 0},
    "percent": {"precision": 0},
    "currency": {"precision": 2, "symbol": "$"},
    "dateTime": _DATE_TIME,
    "date": {"dateFormat": {"name": "iso"}},
    "checkbox": {"icon": "check", "color": "greenBright"},
    "rating": {"icon": "star", "color": "yellowBright", "max": 5},
    "duration": {"durationFormat": "h:mm"},
}


def options_for(kind: str, options: Iterable[str] | None = None) -> dict[str, Any]:
    """Return usable options for a column of type `kind`; `options` are the names of select options."""
    if kind in COMPUTED:
        return {"formula": "RECORD_ID()", "isValid": True} if kind == "formula" else {"isValid": True}
    if kind in ("singleSelect", "multipleSelects"):
        return checked_options(kind, {"choices": [{"name": name} for name in options or ()]})
    return checked_options(kind, _DEFAULTS.get(kind, {}))


def tables(
    missing: Iterable[str] = (),
    computed: Iterable[str] = (),
    types: Mapping[str, str] | None = None,
    status_options: Iterable[str] = STATUSES,
) -> list[Table]:
    """Return the seed tables, or a variant of them.

    Args:
        missing: Columns left out; a table's name leaves out the table.
        computed: Columns that are formulas instead.
        types: Columns with another type.
        status_options: Select options of Status.

    A column is named "Status", for both tables, or "Client Run Results.Status", for one.

    Raises:
        ValueError: No seed table has a column of that name.
    """
    absent, formulas, other = set(missing), set(computed), dict(types or {})
    _check_names([*absent, *formulas, *other])
    choices = list(status_options)
    made: list[Table] = []
    for table, columns in _TABLES.items():
        fields: list[Field] = []
        for name, kind in columns.items():
            both = {name, f"{table}.{name}"}
            if both & absent:
                continue
            kind = next((other[key] for key in other if key in both), kind)
            kind = "formula" if both & formulas else kind
            fields.append(Field(name, kind, _precise(name, options_for(kind, choices))))
        if table not in absent:
            made.append(Table(table, fields))
    return made


def _precise(name: str, options: dict[str, Any]) -> dict[str, Any]:
    return {**options, "precision": 2} if "precision" in options and "Costs" in name else options


def _check_names(names: Iterable[str]) -> None:
    known = {name for columns in _TABLES.values() for name in columns}
    known |= {f"{table}.{name}" for table, columns in _TABLES.items() for name in columns} | set(_TABLES)
    unknown = sorted(set(names) - known)
    if unknown:
        raise ValueError(f"no seed table has {', '.join(map(repr, unknown))}")
