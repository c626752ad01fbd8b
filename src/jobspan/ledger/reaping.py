"""Reaping: which runs a fold closed because nobody else did: vanished, or past their deadline."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime, tzinfo

from jobspan.ledger import codec, queries
from jobspan.model.notes import failure_text
from jobspan.model.record import instant
from jobspan.model.run import Run
from jobspan.model.settling import is_given_up


@dataclass(frozen=True, slots=True)
class Reaped:
    """A run that was closed, as people see it; `why` is a line of text."""

    run_id: str
    status: str
    end_time: datetime | None
    why: str


@dataclass(frozen=True, slots=True)
class Before:
    """What a ledger said before it was folded: its version, and the runs that had ended."""

    version: int
    ended: frozenset[str]


def before(connection: sqlite3.Connection) -> Before:
    """Return what a ledger says now."""
    row = connection.execute(queries.FACT, ("version",)).fetchone()
    return Before(
        0 if row is None else int(row[0]), frozenset(uid for (uid,) in connection.execute(queries.ENDED))
    )


def reaped(connection: sqlite3.Connection, earlier: Before, zone: tzinfo) -> list[Reaped]:
    """Return the runs that were given up since, and the jobs that ended with them; jobs first."""
    changed = [codec.read_run(row) for row in connection.execute(queries.ENDED_SINCE, (earlier.version,))]
    fresh = [run for run in changed if run.uid not in earlier.ended and run.is_opened]
    given_up = {run.uid for run in fresh if is_given_up(run)}
    homes = {run.job for run in fresh if run.uid in given_up}
    jobs = {run.uid: run for run in fresh if run.uid == run.job}
    found = [run for run in fresh if run.uid in given_up or run.uid in homes]
    found.sort(key=lambda run: (run.uid != run.job, run.start_ns or 0, run.uid))
    return [_line(run, jobs.get(run.job) or _job(connection, run), zone) for run in found]


def _job(connection: sqlite3.Connection, run: Run) -> Run:
    row = connection.execute(queries.RUN, (run.job,)).fetchone()
    return run if row is None else codec.read_run(row)


def _line(run: Run, job: Run, zone: tzinfo) -> Reaped:
    job_id = job.run_id or job.uid
    run_id = job_id if run.uid == run.job else f"{job_id}-{run.label}"
    why = "what was open in it was closed"
    if is_given_up(run):
        why = failure_text(run.failure_type, run.failure, run.failure_ns, zone)
    return Reaped(run_id, run.status.value, instant(run.end_ns), why)
