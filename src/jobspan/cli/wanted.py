"""The two tables as they are to be, as the metadata API takes them: columns, types, select options."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jobspan.airtable import fields
from jobspan.airtable.fields import CLIENT_RUNS, JOBS, Field
from jobspan.airtable.settings import AirtableSettings
from jobspan.model.status import Status

Json = dict[str, Any]

_ID = re.compile("(tbl|fld)[A-Za-z0-9]{14}")
_DATE_TIME: Json = {"dateFormat": {"name": "iso"}, "timeFormat": {"name": "24hour"}, "timeZone": "utc"}
_COST_DIGITS = 4


def tables(settings: AirtableSettings) -> list[tuple[str, str, tuple[Field, ...]]]:
    """Return kind, name and fields of each table."""
    return [
        (JOBS, settings.job_table, fields.table_fields(JOBS, settings.job_columns)),
        (
            CLIENT_RUNS,
            settings.client_run_table,
            fields.table_fields(CLIENT_RUNS, settings.client_run_columns),
        ),
    ]


def is_id(name: str) -> bool:
    """Whether a table or column is named by its id: then it cannot be made, only found."""
    return _ID.fullmatch(name) is not None


def field_json(field: Field, settings: AirtableSettings) -> Json:
    """Return what creates a column."""
    made: Json = {"name": field.column, "type": field.seed}
    options = _options(field, settings)
    return made if options is None else {**made, "options": options}


def _options(field: Field, settings: AirtableSettings) -> Json | None:
    if field.kind == "status":
        return {"choices": [{"name": label} for label in status_options(settings)]}
    if field.kind == "instant":
        return _DATE_TIME
    if field.kind == "number" and field.seed == "number":
        return {"precision": _COST_DIGITS if field.name.endswith(("_costs", "_usd")) else 0}
    return None


def status_options(settings: AirtableSettings) -> Sequence[str]:
    """Return the select options of Status."""
    labels: Mapping[Status, str] = settings.status_labels
    return list(dict.fromkeys(labels.get(status, status.value) for status in Status))
