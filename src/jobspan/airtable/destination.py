"""Airtable as a destination of the relay: schema-checked cells, upsert only, one request a call."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

from jobspan import _clock
from jobspan.airtable import fields as columns
from jobspan.airtable import notes, ownership, sharing
from jobspan.airtable.answering import in_order
from jobspan.airtable.client import AirtableClient
from jobspan.airtable.fields import CLIENT_RUNS, JOBS, Field, Record
from jobspan.airtable.known import KnownBase
from jobspan.airtable.schema import Column
from jobspan.airtable.settings import AirtableSettings
from jobspan.airtable.transport import OPEN, Gate
from jobspan.exceptions import DeliveryError
from jobspan.ledger.outbox import Outbox
from jobspan.model.delivery import SHARES, Cells, Delivery, Lookup, Seen, Whose, Write
from jobspan.model.record import instant_text
from jobspan.model.rendering import NotesEnding
from jobspan.model.status import Status

MOST_ROWS = 10


class AirtableDestination:
    """One base. Used by one thread.

    Args:
        settings: What is set; with a token.
        outbox: Where quarantine is kept.
        ledger: The random name of the ledger, for marks.
        client: Speaks to Airtable; default: made from the settings.
        gate: Its requests wait there for their moment.
    """

    most_rows = MOST_ROWS

    def __init__(
        self,
        settings: AirtableSettings,
        outbox: Outbox,
        ledger: str,
        client: AirtableClient | None = None,
        *,
        gate: Gate = OPEN,
    ) -> None:
        if client is None:
            if settings.api_key is None:
                raise ValueError("no token is set: AIRTABLE_API_KEY")
            client = AirtableClient(
                settings.api_key,
                settings.base_id,
                settings.endpoint_url,
                settings.read_timeout,
                gate=gate,
            )
        self._client = client
        self._settings = settings
        self._ledger = ledger
        self._base = KnownBase(settings, outbox, client)
        self.needs_refresh = self._base.needs_refresh
        self.refresh = self._base.refresh
        self.doubt = self._base.doubt
        self.accepts = self._base.accepts
        self.has_run_ids = self._base.has_run_ids
        self.claims = self._base.claims
        self.learn = self._base.learn
        self.owes = self._base.suspicion.owes

    @property
    def name(self) -> str:
        """Its name in the ledger."""
        return self._settings.destination

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # --- what a row shows

    def cells(self, record: Record) -> Cells:
        """Return what a row is to show, by field, without what cannot be delivered."""
        kind = JOBS if "job_type" in type(record).__dataclass_fields__ else CLIENT_RUNS
        found: Cells = {}
        for field in self._base.fields[kind]:
            column = self._base.column(kind, field.name)
            if column is None or self._base.refuses(kind, field.name, record.run_id):
                continue
            value = columns.cell(field, record, column.type)
            if column.choices is not None or field.kind == "status":
                value = self._option(kind, field, column, record, value)
                if value is None:
                    continue
            found[field.name] = value
        return found

    def _option(self, kind: str, field: Field, column: Column, record: Record, value: Any) -> str | None:
        if field.kind == "status":
            return self._base.label(kind, record.status)
        if value is None or value in self._base.refused_options(kind, field.name):
            return None
        if column.choices is not None and value not in column.choices:
            self._base.tell_option(field, value)
            return None
        return str(value)

    def ending(self, delivery: Delivery, deadline_ns: int | None) -> NotesEnding:
        """Return the end of System Notes: delivery trouble (on jobs), and the mark."""
        mark = str(ownership.mark_of(delivery, self._ledger, deadline_ns))
        if delivery.kind != JOBS:
            return NotesEnding((), mark)
        return NotesEnding((*self._base.quarantine.reasons()[:30], *self._base.status_lines()), mark)

    # --- requests

    def read(self, kind: str, wanted: Sequence[Lookup]) -> list[Seen]:
        """Return the rows that have the wanted record ids or run ids; at most 100.

        Raises:
            DeliveryError: It failed.
        """
        table = self._base.table(kind)
        run_id = self._base.column(kind, "run_id")
        run_ids = [each.run_id for each in wanted if each.remote_id is None]
        equal = {run_id.name: run_ids} if run_id is not None and run_ids else {}
        found = self._client.find(
            table.id,
            record_ids=[each.remote_id for each in wanted if each.remote_id is not None],
            equal=equal,
            fields=self._read_columns(kind),
            by_id=not self._base.is_blind,
        )
        return [self._seen(kind, record) for record in found]

    def _read_columns(self, kind: str) -> list[str]:
        found = (self._base.column(kind, each) for each in self._base.table(kind).columns)
        return [column.id for column in found if column is not None]

    # --- what other ledgers know, too

    def is_others(self, row: Seen) -> bool:
        """Whether another ledger wrote the row last."""
        mark = ownership.find_mark(row.cells.get("system_notes"))
        return mark is not None and mark.ledger != self._ledger

    def tells(self, row: Seen, cells: Cells) -> bool:
        """Whether a row that several ledgers know tells of this one what `cells` do."""
        own = sharing.told(cells.get("system_notes")).get(self._ledger)
        return own is None or sharing.told(row.cells.get("system_notes")).get(self._ledger) == own

    def is_closed(self, kind: str, row: Seen) -> bool:
        """Whether a row says that its run has ended, other than by a cancel, which may be a person's."""
        status = self._base.status_of(kind, row.cells.get("status"))
        return status.is_terminal and status is not Status.CANCELED

    def joined(
        self, record: Record, delivery: Delivery, cells: Cells, seen: Seen | None
    ) -> tuple[Cells, Cells | None]:
        """Return what a row is to show, and the shares of other ledgers in it; None: it is ours alone."""
        if not delivery.is_shared:
            return cells, None
        shares = self._shares(delivery, seen)
        known: Cells = (seen.cells if seen is not None else None) or delivery.cells or {}
        found = {name: value for name, value in cells.items() if value is not None or name not in known}
        numbers = self._base.numbers(delivery.kind)
        own = sharing.share_of(record.status, {n: cells.get(n) for n in numbers}, delivery.came_by)
        everyone = {**shares, self._ledger: own}
        out = sharing.beaten(everyone)
        for name in numbers:
            if name in cells:
                found[name] = sharing.total(name, everyone, out)
        status = sharing.joined_status(self._ledger, everyone, out, alone=self._settings.adopt == "all")
        if (label := self._base.label(delivery.kind, status)) is not None and "status" in cells:
            found["status"] = label
        if status is Status.RUNNING and "end_time" in cells:
            found["end_time"] = None
        if "start_time" in cells:
            found["start_time"] = min(filter(None, [cells["start_time"], known.get("start_time")]))
        if text := str(found.get("system_notes") or ""):
            for ledger, share in everyone.items():
                text = notes.with_line(text, sharing.line(ledger, share))
            found["system_notes"] = text
        return found, shares

    def _shares(self, delivery: Delivery, seen: Seen | None) -> dict[str, sharing.Share]:
        shares: dict[str, sharing.Share] = dict((delivery.cells or {}).get(SHARES) or {})
        if seen is None:
            return shares
        mark = ownership.find_mark(seen.cells.get("system_notes"))
        has_spoken = mark is not None and mark.ledger != self._ledger and delivery.sent > 0
        status = self._base.status_of(delivery.kind, seen.cells.get("status"))
        unmarked = delivery.sent == 0 and bool(seen.remote_id)
        numbers = self._base.numbers(delivery.kind)
        there = sharing.others(seen, self._ledger, status, numbers, unmarked=unmarked)
        for ledger, share in there.items():
            was_alive = bool(shares.get(ledger, {}).get("alive"))
            is_speaker = has_spoken and mark is not None and ledger == mark.ledger
            shares[ledger] = {**share, "alive": was_alive or is_speaker}
        return shares

    def looks(self, kind: str) -> bool:
        """Whether rows can be asked for by run id and Status."""
        return self._base.has_run_ids(kind) and self._base.column(kind, "status") is not None

    def touched(self, kind: str, run_ids: Sequence[str]) -> list[Seen]:
        """Return the rows of client runs of these jobs that a person canceled or another ledger wrote.

        Raises:
            DeliveryError: It failed.
        """
        run_id, status = self._base.column(kind, "run_id"), self._base.column(kind, "status")
        text = self._base.column(kind, "system_notes")
        if run_id is None or status is None:
            return []
        found = self._client.find_touched(
            self._base.table(kind).id,
            starting=(run_id.name, [f"{each}-" for each in run_ids]),
            words=(status.name, columns.canceled_words(self._settings.status_labels)),
            lacking=None if text is None else (text.name, f" {self._ledger} "),
            fields=self._read_columns(kind),
            by_id=not self._base.is_blind,
        )
        return [self._seen(kind, record) for record in found]

    def write(self, kind: str, rows: Sequence[Write]) -> list[Seen]:
        """Upsert rows and return them as they then stand there, in order.

        Raises:
            DeliveryError: It failed.
        """
        table = self._base.table(kind)
        records: list[dict[str, Any]] = []
        for row in rows:
            cells = {
                column.id: value
                for field, value in row.cells.items()
                if (column := self._base.column(kind, field)) is not None
            }
            records.append({"fields": cells} | ({"id": row.remote_id} if row.remote_id else {}))
        found = self._client.upsert(table.id, records, self._merge_on(kind), by_id=not self._base.is_blind)
        ordered = in_order(rows, [self._seen(kind, record) for record in found])
        if ordered is None:
            raise DeliveryError("PATCH", 200, "Mismatch", "the answer is about other rows", outcome="unknown")
        return ordered

    def _merge_on(self, kind: str) -> list[str]:
        merge_on = [self._base.column(kind, "run_id")]
        if self._base.claims(kind):
            merge_on.append(self._base.column(kind, "system_notes"))
        return [column.id for column in merge_on if column is not None]

    def _seen(self, kind: str, record: dict[str, Any]) -> Seen:
        given = cast("dict[str, Any]", record.get("fields") or {})
        cells = {
            field: given[column.id]
            for field, column in self._base.table(kind).columns.items()
            if column.id in given
        }
        run_id = str(cells.get("run_id") or "") if self._base.has_run_ids(kind) else ""
        return Seen(str(record["id"]), run_id, cells, str(record.get("createdTime") or ""))

    # --- whose row

    def whose(self, record: Record, delivery: Delivery, found: Sequence[Seen]) -> tuple[Whose, Seen | None]:
        """Judge whose a job's row is, before its first upsert."""
        start: datetime | None = record.start_time
        whose, seen = ownership.whose(
            delivery, self._ledger, instant_text(start), str(getattr(record, "job_type", "")), found
        )
        if whose == "foreign" and len(found) == 1 and sharing.is_named(found[0], self._ledger):
            return "ours", found[0]
        return whose, seen

    def comes_first(self, delivery: Delivery, found: Sequence[Seen]) -> bool:
        """Whether ours is the rightful one of the rows with the same run id."""
        return ownership.comes_first(delivery, self._ledger, found)

    def abandoned(self, kind: str) -> list[Write]:
        """Return what closes the rows other ledgers left Running and that may be closed.

        Past its deadline a row becomes Timed_out, its end the deadline; with ``adopt="all"`` any is
        closed as Failed, its end unknown.

        Raises:
            DeliveryError: It failed.
        """
        status, text = self._base.column(kind, "status"), self._base.column(kind, "system_notes")
        label = self._base.label(kind, Status.RUNNING)
        if status is None or text is None or label is None:
            return []
        found = self._client.find(
            self._base.table(kind).id,
            equal={status.name: [label]},
            fields=self._read_columns(kind),
            by_id=not self._base.is_blind,
        )
        now = datetime.fromtimestamp(_clock.now_ns() / 1e9, UTC)
        seen = [self._seen(kind, record) for record in found]
        return [write for each in seen if (write := self._closing(kind, each, now)) is not None]

    def _closing(self, kind: str, row: Seen, now: datetime) -> Write | None:
        mark = ownership.find_mark(row.cells.get("system_notes"))
        if mark is None or not ownership.may_close(mark, self._ledger, now, self._settings.adopt):
            return None
        is_late = mark.deadline is not None and mark.deadline <= now
        label = self._base.label(kind, Status.TIMED_OUT if is_late else Status.FAILED)
        told = "its deadline passed" if is_late else "its process is gone, and its ledger with it"
        cells: Cells = {"system_notes": notes.with_line(str(row.cells["system_notes"]), f"closed: {told}")}
        if label is not None:
            cells["status"] = label
        if is_late and self._base.column(kind, "end_time") is not None:
            cells["end_time"] = instant_text(mark.deadline)
        return Write("", row.run_id, row.remote_id, cells)

    def is_canceled(self, row: Seen) -> bool:
        """Whether the row's Status says Canceled."""
        return columns.is_canceled_label(row.cells.get("status"), self._settings.status_labels)

    def around_notes(self, there: str, ours: str) -> tuple[str, str]:
        """Return the text before and after our block of System Notes; what other ledgers wrote is kept."""
        mark = ownership.find_mark(there)
        if mark is not None and mark.ledger != self._ledger:
            return notes.beside(there, ours, sharing.is_line), ""
        return notes.around(there, ours)
