"""Notes what destinations must show anew, in the transaction in which runs change."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from jobspan import _clock
from jobspan._breath import paced
from jobspan.ledger import codec, delivery_queries, queries
from jobspan.model.run import Run

_AT_ONCE = 500

NewRuns = Sequence[tuple[Run, Sequence[str]]]
"""Client runs that are new and Completed, by their job: (job, uids)."""


def mark_dirty(connection: sqlite3.Connection, changed: Iterable[tuple[Run, Run]], new: NewRuns = ()) -> None:
    """Note which rows the destinations must show anew: of changed runs (run, its job) and of new ones."""
    now_ns = _clock.now_ns()
    marked = {uid for _, uids in new for uid in uids}
    ended: dict[str, None] = {}
    rows: list[dict[str, object]] = []
    for run, job in _with_early_ones(connection, changed, marked):
        if not job.destinations or not run.is_opened:
            continue
        if job.status.is_terminal:
            ended[job.uid] = None
        values: dict[str, object] = {
            "run": run.uid,
            "job": run.job,
            "kind": run.kind,
            "status": run.status.value,
            "urgent": int(job.status.is_terminal),
            "now": now_ns,
        }
        rows += [{**values, "destination": destination} for destination in job.destinations]
    connection.executemany(delivery_queries.MARK_DIRTY, paced(rows))
    for job, uids in new:
        _mark_new(connection, job, uids, now_ns)
    connection.executemany(delivery_queries.HURRY_JOB, [(uid,) for uid in ended])


def _mark_new(connection: sqlite3.Connection, job: Run, uids: Sequence[str], now_ns: int) -> None:
    """Note new client runs of a job, many at once: one by one it takes twice the time."""
    values = {"job": job.uid, "urgent": int(job.status.is_terminal), "now": now_ns}
    for start in paced(range(0, len(uids), _AT_ONCE)):
        values["runs"] = json.dumps(uids[start : start + _AT_ONCE])
        for destination in job.destinations:
            connection.execute(delivery_queries.MARK_NEW, {**values, "destination": destination})


def _with_early_ones(
    connection: sqlite3.Connection, changed: Iterable[tuple[Run, Run]], marked: set[str]
) -> Iterator[tuple[Run, Run]]:
    """Yield `changed`, and the client runs folded before anything said where their job is to be shown."""
    for run, job in changed:
        yield run, job
        if run is not job or not job.destinations:
            continue
        if connection.execute(delivery_queries.DELIVERY, (job.destinations[0], job.uid)).fetchone() is None:
            for row in connection.execute(queries.RUNS_OF_JOB, (job.uid,)).fetchall():
                if row[0] != job.uid and row[0] not in marked:
                    yield codec.read_run(row), job
