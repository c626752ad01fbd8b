"""Answers what people and scripts ask: jobs, client runs, usage, as records."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import tzinfo
from typing import Any, Literal

from jobspan.ledger import codec, queries
from jobspan.model.entry import Entry
from jobspan.model.numbers import Sums, add_sums
from jobspan.model.part import OPERATION, Part
from jobspan.model.record import ClientRunRecord, JobRecord, UsageRow, dollars
from jobspan.model.rendering import NOTHING_MORE, NotesEnding, client_run_record, job_record
from jobspan.model.run import Run
from jobspan.model.status import Status

UsageBy = Literal["client", "job", "model"]


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

    def has_part(self, uid: str) -> bool:
        """Whether a part of this name was opened."""
        return self._connection.execute(queries.HAS_PART, (uid,)).fetchone() is not None

    def usage(self, by: UsageBy) -> list[UsageRow]:
        """Return tokens, cost and calls by client, job (run id) or model; each key counts once per job."""
        groups: dict[str, Sums] = {}
        for _, group, data in self._distinct_spend(by):
            add_sums(groups.setdefault(group, {}), data)
        return [_usage_row(name, sums) for name, sums in sorted(groups.items())]

    def _distinct_spend(self, by: UsageBy) -> Iterator[tuple[str, str, Sums]]:
        held: dict[tuple[Any, ...], tuple[str, str, Sums]] = {}
        for row in self._connection.execute(queries.USAGE):
            kind, job, run, source, key, text, run_kind, label, job_run_id, _ = row
            data: dict[str, Any] = json.loads(text)
            client = label if run_kind == "c" else "(job itself)"
            model = data.get("model") or (source or "(no model)" if kind == "cost" else "(unknown model)")
            group = {"client": client, "job": job_run_id or job, "model": model}[by]
            place = (job, kind, source, key, run if by == "client" else "")
            fact = (kind, str(group), data.get("n", {}))
            if key is None:
                yield fact
            else:
                held[place] = fact
        yield from held.values()

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
        errors = [e for run, some in entries.items() if run != job.uid for e in some if e.kind == "error"]
        own = parts.get(job.uid, [])
        tops, operations = _split(own)
        shown = [*entries.get(job.uid, []), *errors]
        return job_record(job, tops, operations, shown, records, self._zone, ending)

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


def _usage_row(name: str, sums: Sums) -> UsageRow:
    micro = [value for key, value in sums.items() if key == "llm_cost" or key.startswith("cost:")]
    measured = "prompt" in sums or "completion" in sums
    return UsageRow(
        name=name,
        prompt_tokens=sums.get("prompt"),
        completion_tokens=sums.get("completion"),
        total_tokens=sums.get("prompt", 0) + sums.get("completion", 0) if measured else None,
        cost_usd=dollars(sum(micro)) if micro else None,
        calls=sums.get("calls", 0),
        unmetered_calls=sums.get("unmetered", 0),
        unpriced_calls=sums.get("unpriced", 0),
    )
