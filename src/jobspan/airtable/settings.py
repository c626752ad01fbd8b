"""What can be set about Airtable: configure(airtable=dict(...)), [tool.jobspan.airtable], AIRTABLE_…"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from jobspan.exceptions import SettingsError
from jobspan.model.columns import did_you_mean
from jobspan.model.secret import Secret
from jobspan.model.status import Status, parse_status

DEFAULT_ENDPOINT = "https://api.airtable.com"
PROJECTS = ("all", "terminal", "exceptions", "jobs")
PLANS: Mapping[str, int | None] = {"free": 1_000, "team": 100_000, "business": None, "enterprise": None}
"""Calls per workspace and month (Airtable's documentation)."""
_BASE_ID = re.compile("[A-Za-z0-9_-]{3,64}")
_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")

Project = Literal["all", "terminal", "exceptions", "jobs"]
Columns = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class AirtableSettings:
    """What is set about Airtable.

    Attributes:
        base_id: The base, ``app…``.
        api_key: The token; None: runs are marked for the base, another process sends them.
        endpoint_url: Where the API is, without ``/v0``.
        job_table, client_run_table: Names or ids of the two tables.
        job_columns, client_run_columns: Field to column, where the column has another name; None:
            not shown. A field that is no column of ours is a counter: ``{"jobs": "Jobs Found"}``.
        status_labels: Status to the option shown for it.
        project: Which rows are shown: all; terminal: client runs once they have ended; exceptions:
            client runs that ended otherwise than Completed; jobs: no client runs. Jobs are always shown.
        monthly_calls: Calls that may be made in a month; None: no limit.
        cancel_poll: Look for jobs a person has set to Canceled.
        adopt: all: jobs another ledger left Running are closed; only for a base with one writer.
        read_timeout: Seconds an answer may take.
    """

    base_id: str
    api_key: Secret | None = None
    endpoint_url: str = DEFAULT_ENDPOINT
    job_table: str = "Job Tracking"
    client_run_table: str = "Client Run Results"
    job_columns: Columns = field(default_factory=dict[str, str | None])
    client_run_columns: Columns = field(default_factory=dict[str, str | None])
    status_labels: Mapping[Status, str] = field(default_factory=dict[Status, str])
    project: Project = "all"
    monthly_calls: int | None = PLANS["team"]
    cancel_poll: bool = True
    adopt: str = "named"
    read_timeout: float = 60.0

    @property
    def destination(self) -> str:
        """The name of the destination in the ledger."""
        return f"airtable:{self.base_id}"


def airtable_settings(given: Mapping[str, Any]) -> AirtableSettings | None:
    """Return the settings; None where no base is named.

    Args:
        given: Names and values as they were set; `api_key` a text or Secret.

    Raises:
        SettingsError: An unknown name or an unusable value; a token is never in the text.
    """
    known = [*_READERS, "plan"]
    for name in given:
        if name not in known:
            raise SettingsError(f"airtable settings know no {name!r}; {did_you_mean(name, known)}")
    values = {name: read(given[name]) for name, read in _READERS.items() if given.get(name) is not None}
    if "base_id" not in values:
        return None
    plan = str(given.get("plan") or "team").lower()
    if plan not in PLANS:
        raise SettingsError(f"airtable plan {plan!r} cannot be used; one of: {', '.join(PLANS)}")
    if "monthly_calls" not in given:
        values["monthly_calls"] = PLANS[plan]
    values.setdefault("cancel_poll", values["monthly_calls"] is None or values["monthly_calls"] > 1_000)
    return AirtableSettings(**values)


def _secret(value: object) -> Secret:
    text = value.reveal() if isinstance(value, Secret) else value
    if not isinstance(text, str) or not text.strip() or not text.strip().isascii() or " " in text.strip():
        raise SettingsError("airtable api_key cannot be used; write a personal access token, pat…")
    return Secret(text.strip())


def _base_id(value: object) -> str:
    text = str(value).strip()
    if not _BASE_ID.fullmatch(text):
        raise SettingsError(f"airtable base_id {text[:80]!r} cannot be used; write the id of a base, app…")
    return text


def _url(value: object) -> str:
    text = str(value).strip().rstrip("/").removesuffix("/v0")
    if not _URL.fullmatch(text):
        raise SettingsError("airtable endpoint_url cannot be used; write https://host[:port][/path]")
    return text


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise SettingsError(f"airtable settings: {value!r} is no name")
    return value


def _columns(value: object) -> Columns:
    if not isinstance(value, Mapping):
        raise SettingsError(f"airtable columns {value!r} cannot be used; write a table: field = column")
    given = cast("Mapping[object, object]", value)
    return {str(name): _text(column) if column else None for name, column in given.items()}


def _labels(value: object) -> Mapping[Status, str]:
    if not isinstance(value, Mapping):
        raise SettingsError(f"airtable status_labels {value!r} cannot be used; write a table: status = label")
    given = cast("Mapping[object, object]", value)
    try:
        return {parse_status(str(name)): _text(label) for name, label in given.items()}
    except ValueError as error:
        raise SettingsError(f"airtable status_labels: {error}") from None


def _one_of(words: tuple[str, ...]) -> Callable[[object], str]:
    def read(value: object) -> str:
        text = str(value).strip().lower()
        if text not in words:
            raise SettingsError(f"airtable settings: {value!r} cannot be used; one of: {', '.join(words)}")
        return text

    return read


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise SettingsError(f"airtable settings: {value!r} cannot be used; write true or false")
    return value


def _number(least: float, most: float) -> Callable[[object], Any]:
    def read(value: object) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise SettingsError(f"airtable settings: {value!r} cannot be used; a number from {least:g}")
        return value

    return read


_READERS: Mapping[str, Callable[[object], Any]] = {
    "base_id": _base_id,
    "api_key": _secret,
    "endpoint_url": _url,
    "job_table": _text,
    "client_run_table": _text,
    "job_columns": _columns,
    "client_run_columns": _columns,
    "status_labels": _labels,
    "project": _one_of(PROJECTS),
    "monthly_calls": _number(1, 1e12),
    "cancel_poll": _truth,
    "adopt": _one_of(("named", "all")),
    "read_timeout": _number(0.1, 600),
}
