"""Fields and columns: which column shows which value of a record, and what a cell takes.

The only place where Airtable's spellings stand. A column is named by its field id once the schema is
known; the names here are the seed's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from jobspan.model.record import ClientRunRecord, JobRecord, instant_text
from jobspan.model.status import Status
from jobspan.model.usage.summary import usage_line

Kind = Literal["text", "notes", "status", "instant", "number"]
Record = JobRecord | ClientRunRecord
JOBS, CLIENT_RUNS = "j", "c"
LONGEST_TEXT = 100_000


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a table: our name, the column's name, what it holds; `seed` is the column's type.

    An optional one is shown where the base has the column, and never missed.
    """

    name: str
    column: str
    kind: Kind
    seed: str
    is_required: bool = False
    is_optional: bool = False


_COMMON_TYPES: Mapping[Kind, str] = {
    "text": "singleLineText",
    "notes": "multilineText",
    "status": "singleSelect",
    "instant": "dateTime",
    "number": "number",
}


def _field(name: str, column: str, kind: Kind, *, required: bool = False, seed: str = "") -> Field:
    return Field(name, column, kind, seed or _COMMON_TYPES[kind], required)


SEED: Mapping[str, tuple[Field, ...]] = {
    JOBS: (
        _field("run_id", "Run ID", "text", required=True),
        _field("status", "Status", "status", required=True),
        _field("job_type", "Job Type", "text", required=True),
        _field("start_time", "Start Time", "instant", required=True),
        _field("end_time", "End Time", "instant"),
        _field("items_processed", "Items Processed", "number"),
        _field("error", "Error", "text", seed="multilineText"),
        _field("system_notes", "System Notes", "notes"),
        _field("apify_run_id", "Apify Run ID", "text"),
    ),
    CLIENT_RUNS: (
        _field("run_id", "Run ID", "text", required=True),
        _field("client_id", "Client ID", "text", required=True),
        _field("status", "Status", "status", required=True),
        _field("start_time", "Start Time", "instant", required=True),
        _field("end_time", "End Time", "instant"),
        _field("posts_processed", "Posts Processed", "number"),
        _field("leads_processed", "Leads Processed", "number"),
        _field("errors", "Errors", "number"),
        _field("system_notes", "System Notes", "notes"),
        _field("token_usage", "Token Usage", "number"),
        _field("prompt_tokens", "Prompt Tokens", "number"),
        _field("completion_tokens", "Completion Tokens", "number"),
        _field("total_tokens", "Total Tokens", "number"),
        _field("apify_api_costs", "Apify API Costs", "number"),
    ),
}
"""The columns of the two tables, in order (design, section 9)."""

OPTIONAL: Mapping[str, tuple[Field, ...]] = {
    JOBS: (),
    CLIENT_RUNS: tuple(
        Field(name, column, "number", "number", is_optional=True)
        for name, column in (
            ("cached_tokens", "Cached Tokens"),
            ("reasoning_tokens", "Reasoning Tokens"),
            ("llm_cost", "LLM Cost"),
            ("llm_calls", "LLM Calls"),
        )
    ),
}
"""What a base may have besides; elsewhere System Notes tell it."""

COMPUTED = frozenset(
    [
        "aiText",
        "autoNumber",
        "button",
        "count",
        "createdBy",
        "createdTime",
        "externalSyncSource",
        "formula",
        "lastModifiedBy",
        "lastModifiedTime",
        "lookup",
        "multipleLookupValues",
        "rollup",
    ]
)
"""Types that take no value."""

TYPES: Mapping[Kind, frozenset[str]] = {
    "text": frozenset(["singleLineText", "multilineText", "richText", "singleSelect"]),
    "notes": frozenset(["multilineText", "richText", "singleLineText"]),
    "status": frozenset(["singleSelect", "singleLineText", "multilineText"]),
    "instant": frozenset(["dateTime"]),
    "number": frozenset(["number", "currency"]),
}
"""The types of column that take a value of each kind without losing any of it."""

TEXTS = frozenset(["singleLineText", "multilineText", "richText"])
_TELLING = frozenset(["token_usage"])
"""Numbers that a column of text shows in words."""


def takes(field: Field, column_type: str | None) -> bool:
    """Whether a column of this type shows a field without losing any of it."""
    return column_type in TYPES[field.kind] or (field.name in _TELLING and column_type in TEXTS)


def is_number(field: Field, column_type: str | None) -> bool:
    """Whether the cells of a field are numbers in a column of this type; None: a type that is not known."""
    return field.kind == "number" and column_type not in TEXTS


def table_fields(kind: str, columns: Mapping[str, str | None]) -> tuple[Field, ...]:
    """Return the fields of a table under the names its columns have; other names are counters."""
    seed = [
        Field(each.name, columns.get(each.name) or each.column, each.kind, each.seed, each.is_required)
        for each in SEED[kind]
        if columns.get(each.name, "") is not None
    ]
    known = {each.name for each in SEED[kind]}
    more = [_more(kind, name, column) for name, column in columns.items() if column and name not in known]
    return (*seed, *more)


def optional_fields(kind: str, columns: Mapping[str, str | None], shown: Sequence[Field]) -> list[Field]:
    """Return the optional fields of a table, without what is shown or switched off."""
    taken = {name for each in shown for name in (each.name, each.column)}
    return [
        each
        for each in OPTIONAL[kind]
        if taken.isdisjoint((each.name, each.column)) and columns.get(each.name, "") is not None
    ]


def _more(kind: str, name: str, column: str) -> Field:
    texts = {JOBS: ("system_notes",), CLIENT_RUNS: ("job_run_id",)}[kind]
    return Field(name, column, "text" if name in texts else "number", "number")


def cell(field: Field, record: Record, column_type: str | None = None) -> Any:
    """Return the JSON value of one cell; None is an empty one."""
    if field.name in type(record).__dataclass_fields__:
        value: Any = getattr(record, field.name)
    else:
        counts: Mapping[str, int] = getattr(record, "counts", {})
        value = counts.get(field.name, getattr(record, field.name, None))
    if field.name in _TELLING and column_type in TEXTS and isinstance(record, ClientRunRecord):
        return text(_told_usage(record))
    if value is None:
        return None
    if field.kind == "number":
        return number(value)
    if isinstance(value, Status):
        return value.value
    if isinstance(value, datetime):
        return instant_text(value)
    return text(value)


def _told_usage(record: ClientRunRecord) -> str:
    """Return tokens, cost and models in words; what was set by hand stands first."""
    known, line = record.token_usage, usage_line(record.usage)
    if known is None or (known == record.usage.total and line):
        return line
    return f"{known:,} tokens; {line}" if line else f"{known:,} tokens"


def text(value: object) -> str | None:
    """Return a text a cell takes: nothing that cannot be encoded, not too long, None for an empty one."""
    clean = str(value).encode("utf-8", "replace").decode("utf-8")
    return clean[:LONGEST_TEXT] or None


def number(value: object) -> int | float | None:
    """Return a number JSON and a cell take; None for what is none (NaN, infinity, true)."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    try:
        double = float(value)
    except (OverflowError, ValueError):  # too large, or a signalling NaN
        return None
    if not math.isfinite(double):
        return None
    return int(value) if value == int(value) and abs(double) <= 2**53 else double


# --- statuses

_NEAREST: Mapping[Status, Sequence[str]] = {
    Status.RUNNING: ("running", "inprogress", "started", "active", "processing"),
    Status.COMPLETED: ("completed", "complete", "done", "success", "succeeded", "finished"),
    Status.FAILED: ("failed", "failure", "error", "errored"),
    Status.COMPLETED_WITH_ERRORS: (
        "completedwitherrors",
        "completedwitherror",
        "completewitherrors",
        "donewitherrors",
        "partial",
        "completed",
        "complete",
        "done",
    ),
    Status.CANCELED: ("canceled", "cancelled", "aborted", "stopped", "failed", "failure", "error"),
    Status.TIMED_OUT: ("timedout", "timeout", "failed", "failure", "error"),
}
_SAME = {
    Status.RUNNING: 5,
    Status.COMPLETED: 6,
    Status.FAILED: 4,
    Status.COMPLETED_WITH_ERRORS: 5,
    Status.CANCELED: 4,
    Status.TIMED_OUT: 2,
}
"""How many of the above words say the same; those after them are only the nearest."""


def plain(label: str) -> str:
    """Return a label without case, spaces and punctuation."""
    return "".join(char for char in label.casefold() if char.isalnum())


def status_label(
    status: Status, choices: Sequence[str] | None, labels: Mapping[Status, str], refused: frozenset[str]
) -> tuple[str | None, bool]:
    """Return the option that shows a status, and whether it says the same.

    Args:
        status: What the ledger says.
        choices: The options there are; None: unknown, or a text column.
        labels: Options set by the user.
        refused: Options the column was seen to refuse.
    """
    own = labels.get(status, status.value)
    if choices is None:
        if own not in refused:
            return own, True
        choices = [word.value.replace("_", " ") for word in Status] + [word.value for word in Status]
        choices += ["Completed with Errors", "Timed Out", "Cancelled"]
    open_to_us = [choice for choice in choices if choice not in refused]
    if own in open_to_us:
        return own, True
    by_word = {plain(choice): choice for choice in reversed(open_to_us)}
    for place, word in enumerate(_NEAREST[status]):
        if word in by_word:
            return by_word[word], place < _SAME[status]
    return None, False


def canceled_words(labels: Mapping[Status, str]) -> list[str]:
    """Return what a cell of Status may say for Canceled, in lower case."""
    return list(dict.fromkeys([labels.get(Status.CANCELED, "canceled").lower(), "canceled", "cancelled"]))


def is_canceled_label(label: object, labels: Mapping[Status, str]) -> bool:
    """Whether a cell of Status says Canceled."""
    if not isinstance(label, str):
        return False
    return label == labels.get(Status.CANCELED) or plain(label) in ("canceled", "cancelled")
