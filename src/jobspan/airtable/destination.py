"""Airtable as a destination of the relay: schema-checked cells, upsert only, one request a call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, cast

from jobspan import _clock, _log
from jobspan.airtable import fields as columns
from jobspan.airtable import notes, ownership
from jobspan.airtable.client import AirtableClient
from jobspan.airtable.fields import CLIENT_RUNS, JOBS, Field, Record
from jobspan.airtable.quarantine import Quarantine
from jobspan.airtable.schema import Column, TableSchema, blind_schema, find_table, table_schema
from jobspan.airtable.settings import AirtableSettings
from jobspan.exceptions import DeliveryError
from jobspan.ledger.outbox import Outbox
from jobspan.model.delivery import Cells, Delivery, Lookup, Seen, Whose, Write
from jobspan.model.record import instant_text
from jobspan.model.rendering import NotesEnding
from jobspan.model.status import Status

MOST_ROWS = 10
_DAILY = 24 * 3600.0
_CONTRADICTED = 600.0
_ASKED = 10.0
_REFUSALS_OF_A_FIELD = 3
_READ_FIELDS = ("run_id", "status", "system_notes", "start_time", "job_type")


class AirtableDestination:
    """One base. Used by one thread.

    Args:
        settings: What is set; with a token.
        outbox: Where quarantine is kept.
        ledger: The random name of the ledger, for marks.
        client: Speaks to Airtable; default: made from the settings.
    """

    most_rows = MOST_ROWS

    def __init__(
        self,
        settings: AirtableSettings,
        outbox: Outbox,
        ledger: str,
        client: AirtableClient | None = None,
    ) -> None:
        if client is None:
            if settings.api_key is None:
                raise ValueError("no token is set: AIRTABLE_API_KEY")
            client = AirtableClient(
                settings.api_key, settings.base_id, settings.endpoint_url, settings.read_timeout
            )
        self._client = client
        self._settings = settings
        self._ledger = ledger
        self._quarantine = Quarantine(outbox)
        self._unpark = outbox.unpark
        self._fields = {
            JOBS: columns.table_fields(JOBS, settings.job_columns),
            CLIENT_RUNS: columns.table_fields(CLIENT_RUNS, settings.client_run_columns),
        }
        self._tables: dict[str, TableSchema | None] = {}
        self._read_at: float | None = None
        self._contradicted_at = float("-inf")
        self._is_blind = False
        self._is_doubtful = False
        self._refused_options: dict[tuple[str, str], frozenset[str]] = {}
        self._refused_cells: dict[tuple[str, str], set[str]] = {}
        """(kind, field) to the run ids whose value the column refused."""
        self._told: set[str] = set()

    @property
    def name(self) -> str:
        """Its name in the ledger."""
        return self._settings.destination

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # --- schema

    def needs_refresh(self, *, asked: bool = False) -> bool:
        """Whether to read the schema: first, daily, and when contradicted (at most every 10 min)."""
        if self._read_at is None:
            return True
        age = _clock.monotonic() - self._read_at
        if age > _DAILY:
            return True
        lacking = len(self._quarantine) > 0 or self._is_doubtful or None in self._tables.values()
        return lacking and (age > _CONTRADICTED or (asked and age > _ASKED))

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
        self._unpark()

    def _see(self, tables: Sequence[Any]) -> None:
        self._is_blind = False
        self._refused_options.clear()
        for kind, wanted in self._names().items():
            found = find_table(tables, wanted)
            schema = None if found is None else table_schema(kind, found, self._fields[kind])
            self._tables[kind] = schema
            if schema is None:
                self._tell(f"table {wanted!r} is missing", "jobspan.table.missed", table=wanted)
                continue
            for field, reason in schema.problems.items():
                self._quarantine.add(kind, field, reason)
            self._quarantine.end(kind, list(schema.columns))

    def _see_nothing(self) -> None:
        if not self._is_blind:
            self._tell("no schema", "jobspan.schema.hidden", reason="the token lacks schema.bases:read")
        self._is_blind = True
        for kind, name in self._names().items():
            self._tables[kind] = blind_schema(kind, name, self._fields[kind])
            self._quarantine.end(kind, self._quarantine.of(kind))  # they are tried again, and told again

    def _names(self) -> dict[str, str]:
        return {JOBS: self._settings.job_table, CLIENT_RUNS: self._settings.client_run_table}

    def _tell(self, once: str, event: str, **fields: object) -> None:
        if once not in self._told:
            self._told.add(once)
            _log.event(logging.WARNING, event, destination=self.name, **fields)

    def _table(self, kind: str) -> TableSchema:
        table = self._tables.get(kind)
        if table is None:
            raise DeliveryError("GET", None, "NO_TABLE", f"no table {self._names()[kind]!r}")
        return table

    def _column(self, kind: str, field: str) -> Column | None:
        """Return the column of a field if it can be written."""
        table = self._tables.get(kind)
        if table is None or self._quarantine.holds(kind, field):
            return None
        return table.columns.get(field)

    # --- what a row shows

    def accepts(self, kind: str) -> bool:
        """Whether rows of this kind can be delivered: there is a table with a column to find them by."""
        if self._read_at is None:
            return True
        return self.has_run_ids(kind) or self._column(kind, "system_notes") is not None

    def has_run_ids(self, kind: str) -> bool:
        """Whether the column of the run id can be written and looked up."""
        return self._column(kind, "run_id") is not None

    def claims(self, kind: str) -> bool:
        """Whether a first upsert is found again by its notes: a job's, and where there are no run ids.

        Merging on run id *and* notes, which hold the mark, a row of another ledger that took the same
        run id in the same moment is never overwritten.
        """
        column = self._column(kind, "system_notes")
        if column is None or column.type == "richText":
            return False
        return kind == JOBS or not self.has_run_ids(kind)

    def cells(self, record: Record) -> Cells:
        """Return what a row is to show, by field, without what cannot be delivered."""
        kind = JOBS if "job_type" in type(record).__dataclass_fields__ else CLIENT_RUNS
        found: Cells = {}
        for field in self._fields[kind]:
            column = self._column(kind, field.name)
            if column is None or record.run_id in self._refused_cells.get((kind, field.name), ()):
                continue
            value = columns.cell(field, record)
            if column.choices is not None or field.kind == "status":
                value = self._option(kind, field, column, record, value)
                if value is None:
                    continue
            found[field.name] = value
        return found

    def _option(self, kind: str, field: Field, column: Column, record: Record, value: Any) -> str | None:
        refused = self._refused_options.get((kind, field.name), frozenset())
        if field.kind == "status":
            label, _ = columns.status_label(
                record.status, column.choices, self._settings.status_labels, refused
            )
            return label
        if value is None or (column.choices is not None and value not in column.choices):
            return None
        return None if value in refused else str(value)

    def ending(self, delivery: Delivery, deadline_ns: int | None) -> NotesEnding:
        """Return the end of System Notes: delivery trouble (on jobs), and the mark."""
        mark = str(ownership.mark_of(delivery, self._ledger, deadline_ns))
        if delivery.kind != JOBS:
            return NotesEnding((), mark)
        return NotesEnding((*self._quarantine.reasons()[:30], *self._status_lines()), mark)

    def _status_lines(self) -> list[str]:
        lines: list[str] = []
        for kind in (JOBS, CLIENT_RUNS):
            column = self._column(kind, "status")
            if column is None or column.choices is None:
                continue
            refused = self._refused_options.get((kind, "status"), frozenset())
            for status in Status:
                label, same = columns.status_label(
                    status, column.choices, self._settings.status_labels, refused
                )
                if not same:
                    shown = f"is shown as {label!r}" if label else "cannot be shown"
                    lines.append(f"{status.value} {shown}: column {column.name!r} has no such option")
        return list(dict.fromkeys(lines))

    # --- requests

    def read(self, kind: str, wanted: Sequence[Lookup]) -> list[Seen]:
        """Return the rows that have the wanted record ids or run ids; at most 100.

        Raises:
            DeliveryError: It failed.
        """
        table = self._table(kind)
        run_id = self._column(kind, "run_id")
        run_ids = [each.run_id for each in wanted if each.remote_id is None]
        equal = {run_id.name: run_ids} if run_id is not None and run_ids else {}
        shown = [column.id for each in _READ_FIELDS if (column := self._column(kind, each)) is not None]
        found = self._client.find(
            table.id,
            record_ids=[each.remote_id for each in wanted if each.remote_id is not None],
            equal=equal,
            fields=shown,
            by_id=not self._is_blind,
        )
        return [self._seen(kind, record) for record in found]

    def write(self, kind: str, rows: Sequence[Write]) -> list[Seen]:
        """Upsert rows and return them as they then stand there, in order.

        Raises:
            DeliveryError: It failed.
        """
        table = self._table(kind)
        records: list[dict[str, Any]] = []
        for row in rows:
            cells = {
                column.id: value
                for field, value in row.cells.items()
                if (column := self._column(kind, field)) is not None
            }
            records.append({"fields": cells} | ({"id": row.remote_id} if row.remote_id else {}))
        found = self._client.upsert(table.id, records, self._merge_on(kind), by_id=not self._is_blind)
        return [self._seen(kind, record) for record in found]

    def _merge_on(self, kind: str) -> list[str]:
        merge_on = [self._column(kind, "run_id")]
        if self.claims(kind):
            merge_on.append(self._column(kind, "system_notes"))
        return [column.id for column in merge_on if column is not None]

    def _seen(self, kind: str, record: dict[str, Any]) -> Seen:
        given = cast("dict[str, Any]", record.get("fields") or {})
        cells = {
            field: given[column.id]
            for field, column in self._table(kind).columns.items()
            if column.id in given
        }
        run_id = str(cells.get("run_id") or "")
        return Seen(str(record["id"]), run_id, cells, str(record.get("createdTime") or ""))

    # --- lessons

    def learn(self, kind: str, error: DeliveryError, rows: Sequence[Write]) -> bool:
        """Take the lesson of a 422: which field, option or value is refused; True: send again.

        The schema is read anew, at most every ten minutes; in between the refusal itself is believed.
        """
        self._is_doubtful = True
        if _clock.monotonic() - self._contradicted_at > _CONTRADICTED:
            self._contradicted_at = _clock.monotonic()
            self._read_at = None
            return not self._is_blind
        lesson = _LESSONS.get(error.type)
        return bool(lesson is not None and rows and lesson(self, kind, error.message, rows))

    def doubt(self) -> None:
        """Read the schema before anything else: a table or the base may be gone."""
        self._read_at = None

    def _field_in(self, kind: str, message: str) -> Field | None:
        """Return the field whose column a message names in quotes."""
        for field in self._fields[kind]:
            column = self._table(kind).columns.get(field.name)
            if column is not None and (f'"{column.id}"' in message or f'"{column.name}"' in message):
                return field
        return None

    def _learn_missing(self, kind: str, message: str, rows: Sequence[Write]) -> bool:
        field = self._field_in(kind, message)
        if field is None or self._quarantine.holds(kind, field.name):
            return False
        self._quarantine.add(kind, field.name, f"column {field.column!r} is missing")
        return True

    def _learn_refused(self, kind: str, message: str, rows: Sequence[Write]) -> bool:
        field = self._field_in(kind, message)
        if field is None or self._quarantine.holds(kind, field.name):
            return False
        if "computed" in message:
            self._quarantine.add(kind, field.name, f"column {field.column!r} is computed")
            return True
        refused = self._refused_cells.setdefault((kind, field.name), set())
        if self._is_blind or len(refused) + 1 >= _REFUSALS_OF_A_FIELD:
            self._quarantine.add(kind, field.name, f"column {field.column!r} refuses the values")
            return True
        if len(rows) != 1:
            return False
        refused.add(rows[0].run_id)
        _log.event(logging.WARNING, "jobspan.cell.refused", run_id=rows[0].run_id, field=field.name)
        return True

    def _learn_option(self, kind: str, message: str, rows: Sequence[Write]) -> bool:
        learned = False
        for field in self._fields[kind]:
            if field.kind not in ("status", "text"):
                continue
            options = {row.cells.get(field.name) for row in rows}
            refused = {each for each in options if isinstance(each, str) and f'"{each}"' in message}
            known = self._refused_options.get((kind, field.name), frozenset())
            self._refused_options[kind, field.name] = known | refused
            learned = learned or not refused <= known
        return learned

    # --- whose row

    def whose(self, record: Record, delivery: Delivery, found: Sequence[Seen]) -> tuple[Whose, Seen | None]:
        """Judge whose a job's row is, before its first upsert."""
        start: datetime | None = record.start_time
        return ownership.whose(delivery, instant_text(start), str(getattr(record, "job_type", "")), found)

    def comes_first(self, delivery: Delivery, found: Sequence[Seen]) -> bool:
        """Whether ours is the rightful one of the rows with the same run id."""
        return ownership.comes_first(delivery, found)

    def is_canceled(self, row: Seen) -> bool:
        """Whether the row's Status says Canceled."""
        return columns.is_canceled_label(row.cells.get("status"), self._settings.status_labels)

    def around_notes(self, there: str, ours: str) -> tuple[str, str]:
        """Return the text before and after our block of System Notes."""
        return notes.around(there, ours)


_Lesson = Callable[[AirtableDestination, str, str, Sequence[Write]], bool]
_LESSONS: dict[str, _Lesson] = {
    "UNKNOWN_FIELD_NAME": AirtableDestination._learn_missing,
    "INVALID_VALUE_FOR_COLUMN": AirtableDestination._learn_refused,
    "INVALID_MULTIPLE_CHOICE_OPTIONS": AirtableDestination._learn_option,
}
