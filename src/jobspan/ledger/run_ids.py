"""Keeps run ids distinct: gives provisional ids their real one, and the later of two equal ids a new one."""

from __future__ import annotations

import sqlite3

from jobspan.journal.given import GivenIds
from jobspan.ledger import delivery_queries, queries
from jobspan.model.run import Run
from jobspan.model.workspace import Workspace


def settle_run_ids(connection: sqlite3.Connection, space: Workspace, ids: GivenIds) -> None:
    """Re-key jobs whose id is provisional or taken; the old text stays an alias."""
    waiting = {uid for (uid,) in connection.execute(queries.PROVISIONAL)}
    fresh: dict[str, Run] = {}
    for job in [run for run in space.runs.values() if run.uid == run.job and run.run_id and run.start_ns]:
        run_id = job.run_id or ""
        if "~" in run_id:
            waiting.add(job.uid)
            continue
        others = [space.job(uid) for (uid,) in connection.execute(queries.SAME_RUN_ID, (run_id, job.uid))]
        if (twin := fresh.setdefault(run_id, job)) is not job:
            others.append(twin)
        holders = sorted([job, *(other for other in others if other.run_id == run_id)], key=_right)
        fresh[run_id] = holders[0]
        for later in holders[1:]:
            _rekey(connection, space, later, ids, alias=False)
            space.runs[later.uid] = later
    for uid in waiting:
        job = space.job(uid)
        if job.run_id is not None and "~" in job.run_id:
            if not _rekey(connection, space, job, ids, alias=True):
                break  # the others would not get one now, either
            space.runs[uid] = job


def _right(job: Run) -> tuple[int, str]:
    """Return the order of those who have the same id: the first one keeps it."""
    return (job.start_ns or 0, job.uid)


def _rekey(
    connection: sqlite3.Connection,
    space: Workspace,
    job: Run,
    ids: GivenIds,
    *,
    alias: bool,
) -> bool:
    """Give a job a run id nobody has; False where none can be had now."""
    taken = {run.run_id for run in space.runs.values()}

    def is_free(run_id: str) -> bool:
        known = connection.execute(queries.SAME_RUN_ID, (run_id, job.uid)).fetchone()
        return known is None and run_id not in taken

    new = ids.give(job.uid, job.start_ns or 0, is_free)
    if new is None:
        return False
    if alias:
        connection.execute(queries.PUT_ALIAS, (job.run_id, job.uid))
    job.run_id = new
    connection.execute(delivery_queries.DIRTY_AGAIN, (job.uid,))
    return True
