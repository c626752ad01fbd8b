"""From a request to its answer: which endpoint it means, whether it is let in, what it does."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from jobspan.testing.airtable import cell, listing, metadata, refusal, shape, writing
from jobspan.testing.airtable.access import Access, Token
from jobspan.testing.airtable.fault import Faults
from jobspan.testing.airtable.limit import Limits
from jobspan.testing.airtable.observation import Observation, SeenRequest
from jobspan.testing.airtable.store import Base, Table

LONGEST_URL = 16_000
"""Characters a request's path and query may have (documented)."""

_READ, _WRITE = "data.records:read", "data.records:write"
_SCHEMA, _DESIGN = "schema.bases:read", "schema.bases:write"

_ENDPOINTS: list[tuple[str, str, str, str | None]] = [
    ("GET", r"meta/whoami", "whoami", None),
    ("GET", r"meta/bases", "bases", _SCHEMA),
    ("GET", r"meta/bases/(?P<base>[^/]+)/tables", "schema", _SCHEMA),
    ("POST", r"meta/bases/(?P<base>[^/]+)/tables", "create_table", _DESIGN),
    ("PATCH", r"meta/bases/(?P<base>[^/]+)/tables/(?P<table>[^/]+)", "change_table", _DESIGN),
    ("POST", r"meta/bases/(?P<base>[^/]+)/tables/(?P<table>[^/]+)/fields", "create_field", _DESIGN),
    (
        "PATCH",
        r"meta/bases/(?P<base>[^/]+)/tables/(?P<table>[^/]+)/fields/(?P<field>[^/]+)",
        "change_field",
        _DESIGN,
    ),
    ("POST", r"(?P<base>[^/]+)/(?P<table>[^/]+)/listRecords", "list", _READ),
    ("GET", r"(?P<base>[^/]+)/(?P<table>[^/]+)", "list", _READ),
    ("POST", r"(?P<base>[^/]+)/(?P<table>[^/]+)", "create", _WRITE),
    ("PATCH", r"(?P<base>[^/]+)/(?P<table>[^/]+)", "update", _WRITE),
    ("PUT", r"(?P<base>[^/]+)/(?P<table>[^/]+)", "update", _WRITE),
    ("DELETE", r"(?P<base>[^/]+)/(?P<table>[^/]+)", "delete", _WRITE),
    ("GET", r"(?P<base>[^/]+)/(?P<table>[^/]+)/(?P<record>[^/]+)", "get", _READ),
    ("PATCH", r"(?P<base>[^/]+)/(?P<table>[^/]+)/(?P<record>[^/]+)", "update_one", _WRITE),
    ("PUT", r"(?P<base>[^/]+)/(?P<table>[^/]+)/(?P<record>[^/]+)", "update_one", _WRITE),
    ("DELETE", r"(?P<base>[^/]+)/(?P<table>[^/]+)/(?P<record>[^/]+)", "delete_one", _WRITE),
]
_COMPILED = [(method, re.compile("/v0/" + path), kind, scope) for method, path, kind, scope in _ENDPOINTS]
META = frozenset(
    {"whoami", "bases", "schema", "create_table", "change_table", "create_field", "change_field", "unknown"}
)
WRITES = frozenset(
    {
        "create", "update", "upsert", "update_one", "delete", "delete_one",
        "create_table", "change_table", "create_field", "change_field",
    }
)  # fmt: skip
_BASE_ID = re.compile(r"app[0-9A-Za-z]{14}")
_SORT = re.compile(r"sort\[(\d+)\]\[(field|direction)\]")
_MANY = re.compile(r"(fields|records|recordMetadata|include)(?:\[\d*\])?")


@dataclass
class Call:
    """One request, read but not yet worked on."""

    seen: SeenRequest
    kind: str
    scope: str | None
    names: dict[str, str] = field(default_factory=dict[str, str])
    query: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    is_json: bool = False
    is_readable: bool = False

    @property
    def body(self) -> dict[str, Any]:
        """Return the JSON object of the body; one not declared as JSON has no fields, as live."""
        if not self.is_json:
            raise refusal.missing_fields()
        if not self.is_readable:
            raise refusal.unreadable_body()
        return shape.object_of(self.seen.body, refusal.unreadable_body())


def read(method: str, target: str, headers: dict[str, str], raw: bytes, at: float) -> Call:
    """Return what a request is; never refuses, so that every request is seen."""
    parts = urlsplit(target)
    query: dict[str, list[str]] = {}
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        query.setdefault(key, []).append(value)
    flat = {key: values if len(values) > 1 else values[0] for key, values in query.items()}
    is_json = headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
    body, is_readable = _parsed(raw)
    seen = SeenRequest(method, unquote(parts.path), flat, body, at, headers=headers)
    for verb, pattern, kind, scope in _COMPILED:
        match = pattern.fullmatch(parts.path) if verb == method else None
        if match is not None:
            if kind == "update" and shape.is_object(body) and body.get("performUpsert") is not None:
                kind = "upsert"
            names = {key: unquote(value) for key, value in match.groupdict().items()}
            seen.kind, seen.table = kind, names.get("table")
            return Call(seen, kind, scope, names, query, is_json, is_readable)
    return Call(seen, "unknown", None, {}, query)


def _parsed(raw: bytes) -> tuple[Any, bool]:
    """Return the JSON of a body, or its text, and whether it is JSON."""
    try:
        return shape.parsed(raw), True
    except refusal.Refusal:
        return raw.decode("utf-8", "replace") or None, False


class Service:
    """The API itself, apart from sockets and faults."""

    def __init__(self, clock: Callable[[], float], limits: Limits) -> None:
        self.clock = clock
        self.limits = limits
        self.access = Access()
        self.faults = Faults()
        self.observation = Observation()
        self.iterators = listing.Iterators(clock)
        self.bases: dict[str, Base] = {}

    def tables_meant(self, call: Call) -> tuple[str, ...]:
        """Return the names by which a fault may know the table of a request."""
        name = call.names.get("table")
        if name is None:
            return ()
        base = self.bases.get(call.names.get("base", ""))
        table = base.find_table(name) if base else None
        return (name,) if table is None else (table.id, table.name)

    def admit(self, call: Call, authorization: str | None, length: int) -> Token:
        """Let a request in, or refuse it: 401, 429, 413, 414."""
        token = self.access.token(authorization)
        base_id = call.names.get("base")
        known = base_id if base_id in self.bases else None
        self.limits.admit(call.seen.at, token.user_id, known, is_data=call.kind not in META)
        if length > LONGEST_URL:
            raise refusal.typed(414, "URI_TOO_LONG", "The request URL is too long")
        return token

    def perform(self, call: Call, token: Token) -> Any:
        """Do what the request asks; return the JSON of the answer, or refuse.

        All of a request is done under the lock of its base, or nothing.
        """
        if call.kind == "unknown":
            raise refusal.not_found()
        if call.scope is not None and call.scope not in token.scopes:
            raise refusal.forbidden()
        if call.kind == "whoami":
            return {"id": token.user_id}
        if call.kind == "bases":
            return {
                "bases": [metadata.base_json(base) for base in self.bases.values() if not base.is_deleted]
            }
        base = self._base(call.names["base"])
        with base.lock:
            work = self._of_schema if call.kind in META else self._of_records
            answer = work(call, base)
            call.seen.applied = call.kind in WRITES
            return answer

    def _base(self, base_id: str) -> Base:
        base = self.bases.get(base_id)
        if base is None and _BASE_ID.fullmatch(base_id):
            raise refusal.forbidden()
        if base is None or base.is_deleted:
            raise refusal.not_found()
        return base

    def _of_schema(self, call: Call, base: Base) -> Any:
        if call.kind == "schema":
            return metadata.schema(base, _lists(call.query).get("include", []))
        if call.kind == "create_table":
            return metadata.create_table(base, call.body)
        table = base.find_table(call.names["table"])
        if table is None or table.id != call.names["table"]:
            raise refusal.not_found()
        if call.kind == "change_table":
            return metadata.change_table(base, table, call.body)
        if call.kind == "create_field":
            return metadata.create_field(base, table, call.body)
        column = table.find_field(call.names["field"])
        if column is None or column.id != call.names["field"]:
            raise refusal.not_found()
        return metadata.change_field(table, column, call.body)

    def _of_records(self, call: Call, base: Base) -> Any:
        table = base.table(call.names["table"])
        replace = call.seen.method == "PUT"
        if call.kind == "list":
            query = call.body if call.seen.method == "POST" else _list_query(call.query)
            return listing.page(base, table, query, self.iterators)
        if call.kind == "get":
            return _one(base, table, call)
        if call.kind == "create":
            return writing.create(base, table, call.body)
        if call.kind == "update_one":
            return writing.update_one(base, table, call.names["record"], call.body, replace=replace)
        if call.kind == "delete_one":
            return writing.delete_one(table, call.names["record"])
        if call.kind == "delete":
            # "records=rec…" without brackets is refused, as live
            return writing.delete(
                table, [each for key in call.query if key != "records" for each in call.query[key]]
            )
        return writing.update(base, table, call.body, replace=replace)


def _lists(query: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the parameters that are lists, under their names without brackets."""
    found: dict[str, list[str]] = {}
    for key, values in query.items():
        match = _MANY.fullmatch(key)
        if match is None:
            raise refusal.invalid_request()
        found.setdefault(match[1], []).extend(values)
    return found


def _list_query(query: dict[str, list[str]]) -> dict[str, Any]:
    """Return the parameters of a GET as the JSON that a POST to listRecords would carry."""
    found: dict[str, Any] = {}
    sort: dict[int, dict[str, str]] = {}
    for key, values in query.items():
        many, rule = _MANY.fullmatch(key), _SORT.fullmatch(key)
        if many is not None:
            found.setdefault(many[1], []).extend(values)
        elif rule is not None:
            sort.setdefault(int(rule[1]), {})[rule[2]] = values[0]
        elif len(values) > 1:
            raise refusal.invalid_request()
        else:
            found[key] = _typed(key, values[0])
    if sort:
        found["sort"] = [sort[place] for place in sorted(sort)]
    return found


def _typed(key: str, value: str) -> Any:
    if key in ("pageSize", "maxRecords"):
        return int(value) if value.isdecimal() and len(value) < 10 else value
    if key == "returnFieldsByFieldId":
        return {"1": True, "true": True, "0": False, "false": False}.get(value, value)
    return value


def _one(base: Base, table: Table, call: Call) -> dict[str, Any]:
    query = _list_query(call.query)
    shape.only_keys(query, ("cellFormat", "timeZone", "userLocale", "returnFieldsByFieldId"))
    row = table.rows.get(call.names["record"])
    if row is None:
        raise refusal.not_found()
    return cell.record(base, table, row, by_id=shape.flag_of(query.get("returnFieldsByFieldId")))
