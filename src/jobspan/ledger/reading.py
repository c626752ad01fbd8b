"""Answers what people and scripts ask: jobs, client runs, usage, as records."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal

from jobspan.ledger import codec, queries
from jobspan.ledger.history import History
from jobspan.ledger.spending import UsageBy, month_range, usage_rows
from jobspan.ledger.store import select_many
from jobspan.model.entry import Entry
from jobspan.model.handover import delivery_of
from jobspan.model.part import OPERATION, Part, winners
from jobspan.model.record import ClientRunRecord, JobRecord, UsageRow
from jobspan.model.rendering import NOTHING_MORE, NotesEnding, client_run_record, job_record
from jobspan.model.run import Run
from jobspan.model.status import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """What a listing shows of one job; read without its parts, notes and client runs.

    Attributes:
        clients: How many client runs have which status; ``skipped`` counts apart.
        unpriced_calls: Where there are any, `cost_usd` is a lower bound.
    """

    run_id: str
    job_type: str
    status: Status
    start_time: datetime | None
    end_time: datetime | None
    clients: dict[str, int]
    items_processed: int | None
    errors: int | None
    total_tokens: int | None
    cost_usd: Decimal | None
    unpriced_calls: int


@dataclass(frozen=True, slots=True)
class PartPlace:
    """Where a part stands: its name, and what its run and job are called. `part` may be empty: none."""

    part: str
    job: str
    run_id: str
    job_type: str
    start_ns: int
    client: str


class LedgerReader:
    """Reads records from an open ledger, as of the moment of each call."""

    def __init__(self, connection: sqlite3.Connection, zone: tzinfo) -> None:
        self._connection = connection
        self._zone = zone

    def jobs(self, limit: int | None = None, *, client_runs: bool = True) -> Iterator[JobRecord]:
        """Yield jobs, the newest first; `limit` None means all."""
        rows = self._connection.execute(
            queries.JOBS_NEWEST_FIRST, (-1 if limit is None else limit,)
        ).fetchall()
        for row in rows:
            yield self._job_record(codec.read_run(row), client_runs=client_runs)

    def job_lines(self, limit: int | None = None) -> Iterator[JobLine]:
        """Yield jobs as a listing shows them, the newest first; much quicker than `jobs`."""
        for row in self._connection.execute(queries.JOBS_NEWEST_FIRST, (-1 if limit is None else limit,)):
            yield _job_line(codec.read_run(row), self._zone)

    def job_count(self) -> int:
        """Return how many jobs there are."""
        count: int = self._connection.execute(queries.COUNT_JOBS).fetchone()[0]
        return count

    def run_ids(self, limit: int) -> list[str]:
        """Return the run ids of the newest jobs."""
        return [run_id for (run_id,) in self._connection.execute(queries.RUN_IDS, (limit,))]

    def job(self, run_id: str) -> JobRecord | None:
        """Return the job people call `run_id` (or called, while it was provisional)."""
        uid = self.job_uid(run_id)
        run = None if uid is None else self._run(uid)
        return None if run is None or not run.is_opened else self._job_record(run)

    def client_run(self, run_id: str, client_id: str | None = None) -> ClientRunRecord | None:
        """Return a client run by its own run id, or by its job's run id and its client id."""
        if client_id is None:
            row = self._connection.execute(queries.CLIENT_RUN_BY_RUN_ID, {"text": run_id}).fetchone()
            uid = None if row is None else row[0]
        else:
            job = self.job_uid(run_id)
            uid = None if job is None else f"{job}/{client_id}"
        run = None if uid is None else self._run(uid)
        if run is None or not run.is_opened:
            return None
        return self._client_run_row(run, NOTHING_MORE)

    def record(
        self, uid: str, ending: NotesEnding = NOTHING_MORE, *, notes: bool = True
    ) -> JobRecord | ClientRunRecord | None:
        """Return one row's worth of a run by its inside name: a job comes without its client runs.

        Without `notes` nothing told in the run is read: System Notes are short of it.
        """
        run = self._run(uid)
        if run is None or not run.is_opened:
            return None
        if run.uid == run.job:
            return self._job_record(run, client_runs=False, ending=ending, told=notes)
        return self._client_run_row(run, ending, told=notes)

    def deadline_ns(self, uid: str) -> int | None:
        """Return the latest deadline of a run's parts; None where one of them has none."""
        rows = self._connection.execute(queries.PARTS_OF_RUN, (uid,))
        deadlines = [part.deadline_ns for part in map(codec.read_part, rows) if part.kind != OPERATION]
        known = [deadline for deadline in deadlines if deadline is not None]
        return max(known) if known and len(known) == len(deadlines) else None

    def job_uid(self, run_id: str) -> str | None:
        """Return the inside name of the job people call `run_id`."""
        for query in (queries.JOB_BY_RUN_ID, queries.JOB_BY_ALIAS):
            row = self._connection.execute(query, (run_id,)).fetchone()
            if row is not None:
                uid: str = row[0]
                return uid
        return None

    def status(self, uid: str) -> Status | None:
        """Return the derived status of a run, by its inside name."""
        run = self._run(uid)
        return None if run is None else run.status

    @property
    def history(self) -> History:
        """What a new job asks of the jobs before it."""
        return History(self._connection)

    def has_part(self, uid: str) -> bool:
        """Whether a part of this name was opened."""
        return self._connection.execute(queries.HAS_PART, (uid,)).fetchone() is not None

    def linked(self, key: str) -> PartPlace | None:
        """Return the part that was given the id `key` from elsewhere; of several the newest."""
        row = self._connection.execute(queries.LINKED, (key,)).fetchone()
        return None if row is None else self._place(*row)

    def left_open(self, opening: str, done: str, since_ns: int, most: int) -> list[tuple[str, str, int]]:
        """Return (rest of the id, part, instant) of ids from elsewhere that begin with `opening`.

        Left out are those for whose rest there is one in the same job that begins with `done`.

        Args:
            opening: How the ids begin.
            done: How those begin that say it is done.
            since_ns: Only of jobs that started since.
            most: How many, the newest first.
        """
        values = {"open": opening, "done": done, "since": since_ns, "most": most}
        rows = self._connection.execute(queries.LEFT_OPEN, values)
        return [(key[len(opening) :], part, at_ns) for key, part, at_ns in rows]

    def part_place(self, uid: str) -> PartPlace | None:
        """Return the job's or client run's part called `uid`, or that an operation of this name stands in."""
        row = self._connection.execute(queries.PART, (uid,)).fetchone()
        part = None if row is None else codec.read_part(row)
        if part is None or part.run is None or part.job is None:
            return None
        return self._place(part.top or part.uid, part.run, part.job)

    def place_of(self, run_id: str) -> PartPlace | None:
        """Return the run people call `run_id`, a job or client run, and the part of it last left open."""
        uid = self.job_uid(run_id)
        if uid is None:
            row = self._connection.execute(queries.CLIENT_RUN_BY_RUN_ID, {"text": run_id}).fetchone()
            uid = None if row is None else row[0]
        run = None if uid is None else self._run(uid)
        if run is None:
            return None
        parts = [codec.read_part(row) for row in self._connection.execute(queries.PARTS_OF_RUN, (run.uid,))]
        detached = [part for part in parts if part.is_detached and part.kind != OPERATION]
        last = max(detached, key=lambda part: part.detached, default=None)
        return self._place("" if last is None else last.uid, run.uid, run.job)

    def waiting_parts(self, uid: str) -> list[str]:
        """Return the parts of a run, or of a job and all in it, that wait to be ended by others."""
        run = self._run(uid)
        query = queries.PARTS_OF_JOB if run is not None and run.uid == run.job else queries.PARTS_OF_RUN
        parts = [codec.read_part(row) for row in self._connection.execute(query, (uid,))]
        waiting = [part for part in parts if (part.is_detached or part.expected) and part.end is None]
        return [part.uid for part in waiting if self.status(part.run or "") is Status.RUNNING]

    def part_state(self, uid: str) -> Part | None:
        """Return the part called `uid`; None where it was never opened."""
        row = self._connection.execute(queries.PART, (uid,)).fetchone()
        part = None if row is None else codec.read_part(row)
        return part if part is not None and part.is_opened else None

    def came_by(self, uid: str) -> str:
        """Return by which delivery all came that is known of a run; empty: not all by the same."""
        rows = self._connection.execute(queries.PARTS_OF_RUN, (uid,)).fetchall()
        return delivery_of([part for part in map(codec.read_part, rows) if part.is_opened])

    def attempts_of(self, part: str) -> list[Part]:
        """Return the parts that were attached to `part`, from elsewhere."""
        found = self.part_state(part)
        run = None if found is None else found.run
        parts = [codec.read_part(row) for row in self._connection.execute(queries.PARTS_OF_RUN, (run,))]
        return [each for each in parts if each.of == part]

    def _place(self, part: str, run_uid: str, job_uid: str) -> PartPlace:
        run, job = self._known_run(run_uid), self._known_run(job_uid)
        client = run.label if run_uid != job_uid else ""
        return PartPlace(part, job_uid, job.run_id or "", job.label, job.start_ns or 0, client)

    def usage(self, by: UsageBy, *, job: str | None = None, month: str | None = None) -> list[UsageRow]:
        """Return tokens, cost and calls by client, model, job (run id) or day; an id counts once per job.

        Args:
            by: What the rows are named by.
            job: Only of the job with this run id.
            month: Only what was spent in this month, ``YYYY-MM`` in the configured zone.

        Raises:
            ValueError: The month is none.
        """
        uid = None if job is None else self.job_uid(job) or job
        if month is None:
            return usage_rows(self._connection, by, uid, self._zone)
        return usage_rows(self._connection, by, uid, self._zone, month_range(month, self._zone))

    def calls_of(self, uid: str) -> Iterator[tuple[str | None, str | None, int, int]]:
        """Yield (provider, model, prompt tokens, completion tokens) of the calls a run made itself."""
        for row in self._connection.execute(queries.CALLS_OF_RUN, (uid,)).fetchall():
            call = codec.read_call(row)
            if call.sums.get("calls"):
                yield call.provider, call.model, call.sums["prompt"], call.sums["completion"]

    def _run(self, uid: str) -> Run | None:
        row = self._connection.execute(queries.RUN, (uid,)).fetchone()
        return None if row is None else codec.read_run(row)

    def _client_run_row(self, run: Run, ending: NotesEnding, *, told: bool = True) -> ClientRunRecord:
        parts = [codec.read_part(r) for r in self._connection.execute(queries.PARTS_OF_RUN, (run.uid,))]
        rows = self._connection.execute(queries.TOLD_OF_RUN, (run.job, run.uid)) if told else ()
        entries = [codec.read_entry(r) for r in rows]
        return self._client_run_record(run, self._known_run(run.job), parts, entries, ending)

    def _known_run(self, uid: str) -> Run:
        return self._run(uid) or Run(uid, "j", uid)

    def _job_record(
        self,
        job: Run,
        *,
        client_runs: bool = True,
        ending: NotesEnding = NOTHING_MORE,
        told: bool = True,
    ) -> JobRecord:
        query, place = (queries.PARTS_OF_JOB if client_runs else queries.PARTS_OF_RUN), (job.uid,)
        parts = _grouped(codec.read_part(row) for row in self._connection.execute(query, place))
        entries: dict[str, list[Entry]] = {}
        for row in self._connection.execute(queries.TOLD_OF_JOB, place) if told else ():
            entry = codec.read_entry(row)
            entries.setdefault(entry.run, []).append(entry)
        clients = self._connection.execute(queries.CLIENT_RUNS_OF_JOB, place) if client_runs else ()
        records = [
            self._client_run_record(run, job, parts.get(run.uid, []), entries.get(run.uid, []))
            for run in map(codec.read_run, clients)
        ]
        errors = self._client_errors(job, entries) if job.client_errors else []
        own = parts.get(job.uid, [])
        tops, operations = _split(own)
        shown = [*entries.get(job.uid, []), *errors]
        return job_record(job, tops, operations, shown, records, self._zone, ending)

    def _client_errors(self, job: Run, entries: dict[str, list[Entry]]) -> list[Entry]:
        """Return the errors of client runs that count: those of winning attempts."""
        told = [entry for run, listed in entries.items() if run != job.uid for entry in listed]
        errors = [entry for entry in told if entry.kind == "error"]
        rows = select_many(self._connection, queries.TOPS, {entry.run for entry in errors})
        tops = _grouped(part for part in map(codec.read_part, rows) if part.is_opened)
        chosen = {part.uid for parts in tops.values() for part in winners(parts)[0]}
        return [entry for entry in errors if entry.top in chosen]

    def _client_run_record(
        self,
        run: Run,
        job: Run,
        parts: list[Part],
        entries: list[Entry],
        ending: NotesEnding = NOTHING_MORE,
    ) -> ClientRunRecord:
        tops, operations = _split(parts)
        return client_run_record(run, job, tops, operations, entries, self._zone, ending)


def _job_line(job: Run, zone: tzinfo) -> JobLine:
    record = job_record(job, (), (), (), (), zone, None)
    return JobLine(
        run_id=record.run_id,
        job_type=record.job_type,
        status=record.status,
        start_time=record.start_time,
        end_time=record.end_time,
        clients={status: count for status, count in job.clients.items() if count},
        items_processed=record.items_processed,
        errors=record.errors,
        total_tokens=record.total_tokens,
        cost_usd=record.cost_usd,
        unpriced_calls=job.spend.get("unpriced", 0),
    )


def _grouped(parts: Iterable[Part]) -> dict[str, list[Part]]:
    groups: dict[str, list[Part]] = {}
    for part in parts:
        groups.setdefault(part.run or "", []).append(part)
    return groups


def _split(parts: list[Part]) -> tuple[list[Part], list[Part]]:
    """Return the parts that are no operations, and the operations in the order they started."""
    operations = [part for part in parts if part.kind == OPERATION]
    operations.sort(key=lambda part: (part.start_ns or 0, part.uid))
    return [part for part in parts if part.kind != OPERATION], operations
