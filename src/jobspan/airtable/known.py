"""What is known of the base: which column takes which field, and what it was seen to refuse."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from jobspan import _clock, _log
from jobspan.airtable import fields
from jobspan.airtable.client import AirtableClient
from jobspan.airtable.fields import CLIENT_RUNS, JOBS, Field
from jobspan.airtable.quarantine import Quarantine
from jobspan.airtable.schema import Column, TableSchema, blind_schema, find_table, table_schema
from jobspan.airtable.settings import AirtableSettings
from jobspan.airtable.suspicion import Suspicion
from jobspan.exceptions import DeliveryError
from jobspan.ledger.known_ids import TABLES
from jobspan.ledger.outbox import Outbox
from jobspan.model.delivery import Write
from jobspan.model.status import Status

_DAILY = 24 * 3600.0
_CONTRADICTED = 600.0
ASKED_SECONDS = 10.0
"""While a person waits, a schema this old is read again if something cannot be shown."""
_REFUSALS_OF_A_FIELD = 3
_REFUSED, _TOO_LARGE = 422, 413


class KnownBase:
    """The columns of the two tables as far as they are known.

    Args:
        settings: Names of tables, columns and labels.
        outbox: Where quarantine is kept.
        client: Reads the schema.
    """

    def __init__(self, settings: AirtableSettings, outbox: Outbox, client: AirtableClient) -> None:
        self._client = client
        self._settings = settings
        self._unpark = outbox.unpark
        self._keep_ids = outbox.ids.keep
        self._ids = outbox.ids.read()
        self.quarantine = Quarantine(outbox)
        self.fields: dict[str, tuple[Field, ...]] = {}
        for kind, columns in ((JOBS, settings.job_columns), (CLIENT_RUNS, settings.client_run_columns)):
            shown = fields.table_fields(kind, columns)
            self.fields[kind] = (*shown, *fields.optional_fields(kind, columns, shown))
        self.is_blind = False
        """Whether the schema may not be read: columns go by name, and refusals teach."""
        self._tables: dict[str, TableSchema | None] = {}
        self._read_at: float | None = None
        self._contradicted_at = float("-inf")
        self._is_doubtful = False
        self._refused_options: dict[tuple[str, str], frozenset[str]] = {}
        self._refused_cells: dict[tuple[str, str], set[str]] = {}
        """(kind, field) to the run ids whose value the column refused."""
        self.suspicion = Suspicion()
        self._told: set[str] = set()

    def needs_refresh(self, *, asked: bool = False) -> bool:
        """Whether to read the schema: first, daily, and when contradicted (at most every 10 min)."""
        if self._read_at is None:
            return True
        age = _clock.monotonic() - self._read_at
        if age > _DAILY:
            return True
        lacking = len(self.quarantine) > 0 or self._is_doubtful or None in self._tables.values()
        return lacking and (age > _CONTRADICTED or (asked and age > ASKED_SECONDS))

    def refresh(self) -> None:
        """Read the schema. Where the token may not, assume the configured columns and learn from refusals.

        Raises:
            DeliveryError: It failed.
        """
        try:
            tables = self._client.tables()
        except DeliveryError as error:
            if error.status != 403:
                raise
            self._see_nothing()
        else:
            self._see(tables)
        self._read_at = _clock.monotonic()
        self._is_doubtful = False
        self._refused_cells.clear()
        self.suspicion.clear()
        self._unpark()

    def _see(self, tables: Sequence[Any]) -> None:
        self.is_blind = False
        self._refused_options.clear()
        for kind, wanted in self._names().items():
            found = find_table(tables, wanted, self._ids)
            schema = None if found is None else table_schema(kind, found, self.fields[kind], self._ids)
            self._tables[kind] = schema
            if schema is None:
                self._tell(f"table {wanted!r} is missing", "jobspan.table.missed", table=wanted)
                continue
            for field, reason in schema.problems.items():
                self.quarantine.add(kind, field, reason)
            self.quarantine.end(kind, list(schema.columns))
            self._remember(kind, wanted, schema)

    def _remember(self, kind: str, name: str, schema: TableSchema) -> None:
        """Keep the ids there: what is renamed later is still the same."""
        columns = {field.name: field.column for field in self.fields[kind]}
        seen = {(kind, columns[field]): column.id for field, column in schema.columns.items()}
        seen[TABLES, name] = schema.id
        if new := {place: each for place, each in seen.items() if self._ids.get(place) != each}:
            self._ids.update(new)
            self._keep_ids(new)

    def _see_nothing(self) -> None:
        if not self.is_blind:
            self._tell("no schema", "jobspan.schema.hidden", reason="the token lacks schema.bases:read")
        self.is_blind = True
        for kind, name in self._names().items():
            self._tables[kind] = blind_schema(kind, name, self.fields[kind])
            self.quarantine.end(kind, self.quarantine.of(kind))  # they are tried again, and told again

    def _names(self) -> dict[str, str]:
        return {JOBS: self._settings.job_table, CLIENT_RUNS: self._settings.client_run_table}

    def _tell(self, once: str, event: str, **fields: object) -> None:
        if once not in self._told:
            self._told.add(once)
            _log.event(logging.WARNING, event, destination=self._settings.destination, **fields)

    def table(self, kind: str) -> TableSchema:
        table = self._tables.get(kind)
        if table is None:
            raise DeliveryError("GET", None, "NO_TABLE", f"no table {self._names()[kind]!r}")
        return table

    def column(self, kind: str, field: str) -> Column | None:
        """Return the column of a field if it can be written."""
        table = self._tables.get(kind)
        if table is None or self.quarantine.holds(kind, field):
            return None
        return table.columns.get(field)

    # --- what is known

    def numbers(self, kind: str) -> list[str]:
        """Return the fields whose cells are numbers."""
        table = self._tables.get(kind)
        known = {} if table is None else table.columns
        types = {name: column.type for name, column in known.items()}
        return [each.name for each in self.fields[kind] if fields.is_number(each, types.get(each.name))]

    def accepts(self, kind: str) -> bool:
        """Whether rows of this kind can be delivered: there is a table with a column to find them by."""
        if self._read_at is None:
            return True
        return self.has_run_ids(kind) or self.column(kind, "system_notes") is not None

    def has_run_ids(self, kind: str) -> bool:
        """Whether the column of the run id can be written and looked up."""
        return self.column(kind, "run_id") is not None

    def claims(self, kind: str) -> bool:
        """Whether a first upsert is found again by its notes: a job's, and where there are no run ids.

        Merging on run id *and* notes, which hold the mark, a row of another ledger that took the same
        run id in the same moment is never overwritten.
        """
        column = self.column(kind, "system_notes")
        if column is None or column.type == "richText":
            return False
        return kind == JOBS or not self.has_run_ids(kind)

    def label(self, kind: str, status: Status) -> str | None:
        column = self.column(kind, "status")
        refused = self._refused_options.get((kind, "status"), frozenset())
        choices = None if column is None else column.choices
        return fields.status_label(status, choices, self._settings.status_labels, refused)[0]

    def status_of(self, kind: str, label: object) -> Status:
        """Return the status a cell shows; what is no status of ours counts as Completed."""
        return next((each for each in Status if self.label(kind, each) == label), Status.COMPLETED)

    def refuses(self, kind: str, field: str, run_id: str) -> bool:
        """Whether a column refused the value of this very row, or is suspected to."""
        if run_id in self._refused_cells.get((kind, field), ()):
            return True
        return self.suspicion.holds(kind, field, run_id)

    def refused_options(self, kind: str, field: str) -> frozenset[str]:
        """Return the options a column was seen to refuse."""
        return self._refused_options.get((kind, field), frozenset())

    def tell_option(self, field: Field, value: object) -> None:
        """Say once that a select column has no such option; its cells stay empty."""
        self._tell(f"{field.name}={value}", "jobspan.option.missed", column=field.column, option=value)

    def status_lines(self) -> list[str]:
        lines: list[str] = []
        for kind in (JOBS, CLIENT_RUNS):
            column = self.column(kind, "status")
            if column is None or column.choices is None:
                continue
            refused = self._refused_options.get((kind, "status"), frozenset())
            for status in Status:
                label, same = fields.status_label(
                    status, column.choices, self._settings.status_labels, refused
                )
                if not same:
                    shown = f"is shown as {label!r}" if label else "cannot be shown"
                    lines.append(f"{status.value} {shown}: column {column.name!r} has no such option")
        return list(dict.fromkeys(lines))

    # --- lessons

    def learn(self, kind: str, error: DeliveryError, rows: Sequence[Write]) -> bool:
        """Take the lesson of a 422: which field, option or value is refused; True: send again.

        The schema is read anew, at most every ten minutes; in between the refusal itself is believed. Where
        it names nothing, the cells of the one row are tried by halves.
        """
        if error.status == _TOO_LARGE:
            return self._suspect(kind, error.message, rows)
        self._is_doubtful = True
        if not self.is_blind and _clock.monotonic() - self._contradicted_at > _CONTRADICTED:
            self._contradicted_at = _clock.monotonic()
            self._read_at = None
            return True
        if kind not in self.fields:
            return False
        lesson = (_LESSONS if rows else _LESSONS_OF_READING).get(error.type)
        if lesson is not None and lesson(self, kind, error.message, rows):
            return True
        return error.status == _REFUSED and self._suspect(kind, error.message, rows)

    def doubt(self) -> None:
        """Read the schema before anything else: a table or the base may be gone."""
        self._read_at = None

    def _field_in(self, kind: str, message: str) -> Field | None:
        """Return the field whose column a message names in quotes."""
        for field in self.fields[kind]:
            column = self.table(kind).columns.get(field.name)
            if column is not None and (f'"{column.id}"' in message or f'"{column.name}"' in message):
                return field
        return None

    def _learn_missing(self, kind: str, message: str, rows: Sequence[Write]) -> bool:
        field = self._field_in(kind, message)
        if field is None or self.quarantine.holds(kind, field.name):
            return False
        self.quarantine.add(kind, field.name, f"column {field.column!r} is missing")
        return True

    def _learn_unreadable(self, kind: str, message: str, rows: Sequence[Write]) -> bool:
        """A formula names columns that are not there; the message does, too, in lower case."""
        named = message.casefold()
        lacking = [
            field
            for field in self.fields[kind]
            if (column := self.column(kind, field.name)) is not None and column.name.casefold() in named
        ]
        for field in lacking:
            self.quarantine.add(kind, field.name, f"column {field.column!r} is missing")
        return bool(lacking)

    def _learn_refused(self, kind: str, message: str, rows: Sequence[Write]) -> bool:
        field = self._field_in(kind, message)
        if field is None or self.quarantine.holds(kind, field.name):
            return False
        if "computed" in message:
            self.quarantine.add(kind, field.name, f"column {field.column!r} is computed")
            return True
        return self._blame(kind, field, rows)

    def _blame(self, kind: str, field: Field, rows: Sequence[Write]) -> bool:
        refused = self._refused_cells.setdefault((kind, field.name), set())
        if self.is_blind or len(refused) + 1 >= _REFUSALS_OF_A_FIELD:
            self.quarantine.add(kind, field.name, f"column {field.column!r} refuses the values")
            return True
        if len(rows) != 1:
            return False
        refused.add(rows[0].run_id)
        _log.event(logging.WARNING, "jobspan.cell.refused", run_id=rows[0].run_id, field=field.name)
        return True

    def _suspect(self, kind: str, message: str, rows: Sequence[Write]) -> bool:
        if len(rows) != 1:
            return False
        named = self._field_in(kind, message)
        if named is not None and named.name in rows[0].cells:
            return self._blame(kind, named, rows)
        again, guilty = self.suspicion.refused(kind, rows[0])
        for field in self.fields[kind]:
            if field.name == guilty:
                self._blame(kind, field, rows)
        if not again:  # it was something else
            for (place, _), refused in self._refused_cells.items():
                refused.difference_update([rows[0].run_id] if place == kind else [])
        return again

    def _learn_option(self, kind: str, message: str, rows: Sequence[Write]) -> bool:
        learned = False
        for field in self.fields[kind]:
            if field.kind not in ("status", "text"):
                continue
            options = {row.cells.get(field.name) for row in rows}
            refused = {each for each in options if isinstance(each, str) and f'"{each}"' in message}
            known = self._refused_options.get((kind, field.name), frozenset())
            self._refused_options[kind, field.name] = known | refused
            learned = learned or not refused <= known
        return learned


_Lesson = Callable[[KnownBase, str, str, Sequence[Write]], bool]
_LESSONS: dict[str, _Lesson] = {
    "UNKNOWN_FIELD_NAME": KnownBase._learn_missing,
    "INVALID_VALUE_FOR_COLUMN": KnownBase._learn_refused,
    "INVALID_MULTIPLE_CHOICE_OPTIONS": KnownBase._learn_option,
}
_LESSONS_OF_READING: dict[str, _Lesson] = {
    "UNKNOWN_FIELD_NAME": KnownBase._learn_missing,
    "INVALID_FILTER_BY_FORMULA": KnownBase._learn_unreadable,
}
