"""Giving runs a destination that were made without one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from jobspan.ledger import codec, queries
from jobspan.ledger.ledger import Ledger
from jobspan.ledger.marking import mark_dirty
from jobspan.ledger.reading import LedgerReader
from jobspan.ledger.transaction import run_of, transact


def assign(ledger: Ledger, destination: str, run_ids: Sequence[str] | None = None) -> int:
    """Have runs shown at a destination that were made without one; return how many jobs.

    Args:
        ledger: Where they are.
        destination: The destination's name.
        run_ids: Run ids of jobs; None: every job that has no destination.
    """

    def put(connection: sqlite3.Connection) -> int:
        reader: LedgerReader = ledger.records(connection)
        if run_ids is None:
            jobs = [uid for (uid,) in connection.execute(queries.JOBS_WITHOUT_DESTINATION)]
        else:
            jobs = [uid for run_id in run_ids if (uid := reader.job_uid(run_id)) is not None]
        count = 0
        for uid in jobs:
            job = run_of(connection, uid)
            if job is None or destination in job.destinations:
                continue
            names = json.dumps([*job.destinations, destination])
            connection.execute(queries.SET_DESTINATIONS, (names, uid))
            job.destinations = (*job.destinations, destination)
            runs = [codec.read_run(row) for row in connection.execute(queries.RUNS_OF_JOB, (uid,))]
            mark_dirty(connection, ((run, job) for run in runs))
            count += 1
        return count

    return transact(ledger, put, seconds=10.0)
