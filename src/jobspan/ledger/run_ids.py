"""Keeps run ids distinct: gives provisional ids their real one, and the later of two equal ids a new one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from jobspan.ledger import queries
from jobspan.model.run import Run
from jobspan.model.workspace import Workspace


def settle_run_ids(
    connection: sqlite3.Connection, space: Workspace, claim: Callable[[int], str | None]
) -> None:
    """Re-key jobs whose id is provisional or taken; the old text stays an alias."""
    waiting = {uid for (uid,) in connection.execute(queries.PROVISIONAL)}
    jobs = [run for run in list(space.runs.values()) if run.uid == run.job and run.run_id and run.start_ns]
    fresh: dict[str, Run] = {}
    for job in jobs:
        assert job.run_id is not None
        if "~" in job.run_id:
            waiting.add(job.uid)
        elif space.shares.get(job.uid, None) is None and _is_later(connection, fresh, job):
            _rekey(connection, job, claim, alias=False)
        fresh.setdefault(job.run_id, job)
    for uid in waiting:
        job = space.job(uid)
        if job.run_id is not None and "~" in job.run_id:
            _rekey(connection, job, claim, alias=True)
            space.runs[uid] = job


def _is_later(connection: sqlite3.Connection, fresh: dict[str, Run], job: Run) -> bool:
    """Whether another job has the same id with more right to it: an earlier start, then uid."""
    others = list(connection.execute(queries.SAME_RUN_ID, (job.run_id, job.uid)))
    twin = fresh.get(job.run_id or "")
    if twin is not None and twin.uid != job.uid:
        others.append((twin.uid, twin.start_ns))
    mine = (job.start_ns or 0, job.uid)
    return any((start_ns or 0, uid) < mine for uid, start_ns in others)


def _rekey(
    connection: sqlite3.Connection, job: Run, claim: Callable[[int], str | None], *, alias: bool
) -> None:
    new = claim(job.start_ns or 0)
    if new is None:
        return
    if alias:
        connection.execute(queries.PUT_ALIAS, (job.run_id, job.uid))
    job.run_id = new
