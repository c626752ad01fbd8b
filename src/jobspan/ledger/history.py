"""What a new job asks of the jobs before it: is one of its type at work, can one be resumed, what is done."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from jobspan.ledger import codec, queries
from jobspan.model.part import JOB, Part, origin, winners
from jobspan.model.run import Run, client_run_uid
from jobspan.model.status import Status

_PROCESSED = ("posts", "leads", "items")


@dataclass(frozen=True, slots=True)
class EarlierPart:
    """One entering of a client in the attempts of a job so far.

    Attributes:
        uid: The part of its first attempt, which a further one names.
        name: Its name, if it has one.
        attempts: The highest attempt number so far.
        is_done: Whether its best attempt is Completed.
    """

    uid: str
    name: str
    attempts: int
    is_done: bool


@dataclass(frozen=True, slots=True)
class EarlierJob:
    """A job that can go on in another attempt.

    Attributes:
        uid: Its inside name.
        run_id: Its id, as people see it.
        start_ns: When it was opened.
        status: How it stands.
        part: The part of its first attempt.
        attempts: How many attempts it had.
        clients: Of each client the parts that were entered, in that order.
        done: How many of its client runs are Completed.
        expects: Whether it still expects parts of client runs.
    """

    uid: str
    run_id: str
    start_ns: int
    status: Status
    part: str
    attempts: int
    clients: dict[str, list[EarlierPart]]
    done: int
    expects: bool


@dataclass(frozen=True, slots=True)
class DoneClient:
    """The latest Completed client run of a client.

    Attributes:
        run_id: Its id, as people see it.
        end_ns: When it ended.
        items: Its posts, leads and items together.
    """

    run_id: str
    end_ns: int
    items: int


class History:
    """Answers from an open ledger."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def running(self, job_type: str, scope: str) -> str | None:
        """Return the newest job of this type and ``key=`` that is Running, by its inside name."""
        row = self._connection.execute(queries.RUNNING_OF_TYPE, (job_type, scope)).fetchone()
        return None if row is None else row[0]

    def newest(self, job_type: str, scope: str) -> Run | None:
        """Return the newest job of this type and ``key=``."""
        row = self._connection.execute(queries.NEWEST_OF_TYPE, (job_type, scope)).fetchone()
        return None if row is None else codec.read_run(row)

    def job(self, uid: str) -> Run | None:
        """Return a job by its inside name."""
        row = self._connection.execute(queries.RUN, (uid,)).fetchone()
        return None if row is None else codec.read_run(row)

    def earlier(self, job: Run) -> EarlierJob | None:
        """Return what another attempt of a job has to know; None where it was opened by no block."""
        rows = self._connection.execute(queries.TOPS_OF_JOB, (job.uid,))
        parts = [part for part in map(codec.read_part, rows) if part.is_opened]
        own = sorted((part for part in parts if part.kind == JOB and _is_entered(part)), key=_order)
        if not own or job.start_ns is None:
            return None
        first = next((part for part in own if part.retry_of is None), own[0])
        clients: dict[str, list[Part]] = {}
        labels = {
            client_run_uid(job.uid, label): label
            for (label,) in self._connection.execute(queries.CLIENTS_OF_JOB, (job.uid,))
        }
        for part in parts:
            if part.run in labels:
                clients.setdefault(labels[part.run], []).append(part)
        return EarlierJob(
            uid=job.uid,
            run_id=job.run_id or "",
            start_ns=job.start_ns,
            status=job.status,
            part=first.retry_of or first.uid,
            attempts=max(part.attempt for part in own),
            clients={client: _entries(entered) for client, entered in clients.items()},
            done=job.clients.get(Status.COMPLETED, 0) + job.clients.get("skipped", 0),
            expects=any(part.expected and part.ending is None for part in parts),
        )

    def done_clients(
        self, job: str, since_ns: int, least_items: int, client: str | None = None
    ) -> dict[str, DoneClient]:
        """Return the clients that other jobs of a job's type and ``key=`` have Completed since an instant.

        Skipped ones don't count. Of several client runs the latest is given.

        Args:
            job: The job that asks, by its inside name.
            since_ns: Only client runs that ended then or later.
            least_items: Only those with at least so many posts, leads and items together.
            client: Only this one.
        """
        found: dict[str, DoneClient] = {}
        place = {"own": job, "since": since_ns, "client": client}
        query = queries.DONE_CLIENTS if client is None else queries.DONE_CLIENT
        for *row, job_id in self._connection.execute(query, place):
            run = codec.read_run(tuple(row))
            items = sum(run.counts.get(name, 0) for name in _PROCESSED)
            if run.skipped or run.end_ns is None or items < least_items:
                continue
            known = found.get(run.label)
            if known is None or run.end_ns > known.end_ns:
                found[run.label] = DoneClient(f"{job_id}-{run.label}", run.end_ns, items)
        return found


def _is_entered(part: Part) -> bool:
    """Whether somebody entered it by itself: it was neither attached nor made from outside."""
    return part.of is None and not part.passive and (not part.free or part.is_detached)


def _order(part: Part) -> tuple[int, str]:
    return (part.start_ns or 0, part.uid)


def _entries(parts: list[Part]) -> list[EarlierPart]:
    """Return the parts of one client in the order they were first entered."""
    by_uid = {part.uid: part for part in parts}
    best = {origin(part, by_uid): part for part in winners(parts)[0]}
    groups: dict[str, list[Part]] = {}
    for part in sorted((part for part in parts if _is_entered(part)), key=_order):
        groups.setdefault(origin(part, by_uid), []).append(part)
    return [
        EarlierPart(
            uid=group[0].retry_of or group[0].uid,
            name=group[0].name,
            attempts=max(part.attempt for part in group),
            is_done=place in best and _is_done(best[place], parts),
        )
        for place, group in groups.items()
    ]


def _is_done(part: Part, parts: list[Part]) -> bool:
    """Whether a part is Completed, or was left open for others who completed it."""
    if part.status is Status.COMPLETED:
        return True
    attached = [other for other in parts if other.of == part.uid]
    return part.is_detached and any(other.status is Status.COMPLETED for other in attached)
