"""The outbox: what each destination shows of each run, and who may send to it.

Every method is one short transaction; none is ever open while a request is under way.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from jobspan import _clock
from jobspan._guard import guarded
from jobspan.ledger import delivery_queries as queries
from jobspan.ledger import queries as ledger_queries
from jobspan.ledger.delivery_queries import LINGERING, NEWS
from jobspan.ledger.delivery_row import cells_text, read_deliveries
from jobspan.ledger.elsewhere import Elsewhere
from jobspan.ledger.known_ids import KnownIds
from jobspan.ledger.ledger import Ledger
from jobspan.ledger.limits import PATIENCE_SECONDS, Limits
from jobspan.ledger.naming import naming
from jobspan.ledger.queue import Project, Queue
from jobspan.ledger.transaction import run_of, transact
from jobspan.model.delivery import ELSEWHERE, OURS, SHARES, UNSEEN, Cells, Delivery, Naming, Waiting
from jobspan.model.record import ClientRunRecord, JobRecord
from jobspan.model.rendering import NotesEnding

T = TypeVar("T")
Record = JobRecord | ClientRunRecord

_SHARED_REST_NS = 1_000_000_000
"""So long after a write a row that other ledgers write is looked at again: theirs may have crossed it."""


class Outbox(Limits):
    """The outbox of one destination.

    Args:
        ledger: Where it is kept.
        destination: The destination's name, say ``airtable:appXXXXXXXXXXXXXX``.
        project: Which rows are shown there.
    """

    def __init__(self, ledger: Ledger, destination: str, project: Project = "all") -> None:
        super().__init__(ledger, destination)
        self.ids = KnownIds(ledger, destination)
        self.elsewhere = Elsewhere(ledger, destination)
        self._queue = Queue(destination, project)

    # --- what waits

    def due(
        self,
        kind: str,
        *,
        linger_ns: int,
        widest_ns: int = 0,
        news: bool,
        limit: int,
        fill: bool = False,
    ) -> list[Delivery]:
        """Return rows to deliver now, those that have waited longest first.

        Args:
            kind: j or c.
            linger_ns: Rows dirty for longer than this are due.
            widest_ns: In an old job a tenth of its age counts instead, up to this.
            news: Rows whose status is not shown yet are due, too.
            limit: At most so many.
            fill: Return any dirty row: they go along with a request that is made anyway.
        """
        lingering = () if fill else (LINGERING,) if news else (NEWS, LINGERING)
        return self._read(
            lambda c: self._queue.first(
                c, kind, limit=limit, linger_ns=linger_ns, widest_ns=widest_ns, lingering=lingering
            )
        )

    def count_news(self, limit: int) -> int:
        """Return how many client runs have a status that is not shown yet, at most `limit`."""
        return self._read(lambda c: self._queue.count_news(c, limit))

    def is_waiting(
        self,
        until_ns: int = 2**62,
        jobs: Iterable[str] | None = None,
        *,
        refused: bool | None = None,
        seconds: float = 1.0,
    ) -> bool:
        """Whether anything waits; it takes as long for a million rows as for one.

        Args:
            until_ns: Only what has waited since then or longer.
            jobs: Only rows of these jobs, by inside name.
            refused: Only rows that were refused, or only others; None: either.
            seconds: How long to wait for the ledger.
        """
        return self._read(
            lambda c: self._queue.is_waiting(c, until_ns=until_ns, jobs=jobs, refused=refused), seconds
        )

    def waiting(self) -> Waiting:
        """Return how much waits; each row of it is counted."""
        return self._read(self._queue.count, 1.0)

    def count_waiting(self, limit: int, *, seconds: float) -> int:
        """Return how many rows wait, at most `limit`; waits so many seconds for the ledger."""
        return self._read(lambda c: self._queue.count_some(c, limit), seconds)

    def last_trouble(self) -> str | None:
        """Return why a waiting row was not delivered at the last attempt."""
        return self._read(self._queue.last_trouble, 1.0)

    def hurry(
        self, jobs: Iterable[str] | None = None, *, limit: int = 50_000, seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Have what waits (of these jobs, or all of it) delivered as soon as can be, by whoever sends.

        Args:
            jobs: By inside name; None: all.
            limit: At most so many rows.
            seconds: How long to wait for the ledger.
        """
        transact(self._ledger, lambda c: self._queue.hurry(c, jobs, limit), seconds=seconds)

    def deliveries(self, runs: Iterable[str]) -> dict[str, Delivery]:
        """Return the deliveries of runs, by inside name."""
        places = [(self.destination, run) for run in runs]
        found = self._read(
            lambda c: read_deliveries(row for place in places for row in c.execute(queries.DELIVERY, place))
        )
        return {delivery.run: delivery for delivery in found}

    def running(self) -> list[Delivery]:
        """Return jobs the destination shows as Running, the latest first; at most 50."""
        return self._read(lambda c: read_deliveries(c.execute(queries.RUNNING_THERE, (self.destination,))))

    def jobs_of_running(self) -> dict[str, str]:
        """Return jobs (inside name to run id) of client runs the destination shows as Running; at most 50."""
        return self._read(
            lambda c: dict(c.execute(queries.JOBS_OF_RUNNING, {"destination": self.destination}).fetchall())
        )

    def shown_as(self, jobs: Iterable[str], remote_ids: Iterable[str]) -> dict[str, Delivery]:
        """Return the deliveries of runs of `jobs` whose rows have these ids there, by id."""
        values = {
            "destination": self.destination,
            "jobs": json.dumps(list(jobs)),
            "remote_ids": json.dumps(list(remote_ids)),
        }
        found = self._read(lambda c: read_deliveries(c.execute(queries.SHOWN_AS, values)))
        return {str(delivery.remote_id): delivery for delivery in found}

    def unverified(self, *, any_id: bool = False) -> list[Delivery]:
        """Return jobs whose row was written and is not known to be the only one of its run id.

        With `any_id` also those whose row does not show the run id.
        """
        place = (self.destination, any_id)
        return self._read(lambda c: read_deliveries(c.execute(queries.UNVERIFIED, place)))

    def has_moved(self, job: str) -> bool:
        """Whether a job had another run id before."""
        row = self._read(lambda c: c.execute(ledger_queries.HAS_ALIAS, (job,)).fetchone())
        return row is not None

    def records(
        self, deliveries: Sequence[Delivery], ending: Callable[[Delivery, int | None], NotesEnding]
    ) -> list[tuple[Delivery, Record]]:
        """Return what the rows are to show; a run that is gone or cannot be rendered is left out.

        Args:
            deliveries: Which rows.
            ending: Gives the end of System Notes: (delivery, deadline in ns or None) -> ending. Of rows
                that do not send them, the notes are not worked out.
        """

        for each in deliveries:
            each.named = self.elsewhere.run_id_named(each.job)

        def render(connection: sqlite3.Connection) -> list[tuple[Delivery, Record]]:
            reader = self._ledger.records(connection)
            found: list[tuple[Delivery, Record]] = []
            for delivery in deliveries:
                deadline_ns = reader.deadline_ns(delivery.run) if delivery.sends_notes else None
                end = ending(delivery, deadline_ns)
                record = None
                with guarded("outbox.record"):  # a run nobody can render costs only itself
                    record = reader.record(delivery.run, end, notes=delivery.sends_notes)
                if record is not None:
                    delivery.came_by = reader.came_by(delivery.run) if delivery.is_shared else ""
                    found.append((delivery, record))
            return found

        return self._read(render)

    # --- what became of it

    def delivered(self, rows: Sequence[tuple[Delivery, str, Cells, str]], calls: int = 0) -> None:
        """Note rows as delivered: (delivery as it was read, status shown, all cells, id there)."""
        now_ns = _clock.now_ns()

        def put(connection: sqlite3.Connection) -> None:
            for delivery, shown, cells, remote_id in rows:
                self._pass_on(connection, delivery, delivery.stage)
                connection.execute(
                    queries.PUT_DELIVERED,
                    {
                        "wanted": delivery.wanted,
                        "shown": shown,
                        "cells": cells_text(cells),
                        "remote_id": remote_id,
                        "now": now_ns,
                        "dirty": delivery.dirty_ns if delivery.owed else now_ns,
                        "stage": delivery.stage,
                        "hold": now_ns + _SHARED_REST_NS if SHARES in cells else 0,
                        "destination": self.destination,
                        "run": delivery.run,
                    },
                )
            connection.execute(queries.PUT_DELIVERED_AT, {"name": self.destination, "now": now_ns})
            self._count(connection, calls, now_ns)

        self._write(put)

    def unchanged(self, deliveries: Sequence[Delivery]) -> None:
        """Note rows as up to date: nothing they show has changed."""
        now_ns = _clock.now_ns()
        self._write(
            lambda c: c.executemany(
                queries.PUT_UNCHANGED,
                [
                    {
                        "wanted": delivery.wanted,
                        "shown": delivery.status if delivery.cells else delivery.shown,
                        "now": now_ns,
                        "destination": self.destination,
                        "run": delivery.run,
                    }
                    for delivery in deliveries
                ],
            )
        )

    def hold(
        self,
        deliveries: Sequence[Delivery],
        error: str,
        *,
        seconds: float = 0.0,
        unsure: Mapping[str, Iterable[str]] | None = None,
        park: bool = False,
        again: bool = False,
    ) -> None:
        """Keep rows back after a failure.

        Args:
            deliveries: The rows, with `remote_id` and `cells` as they now are.
            error: What happened, without secrets.
            seconds: Not to be tried before.
            unsure: Fields of a run whose value there is unknown: they will be sent again.
            park: Not before the run or the schema changes.
            again: Have the rows looked at anew even if they were delivered meanwhile.
        """
        until_ns = _clock.now_ns() + round(seconds * 1e9)

        def values(delivery: Delivery) -> dict[str, object]:
            cells = delivery.cells
            doubtful = set(unsure.get(delivery.run, ())) if unsure else set[str]()
            if cells is not None and doubtful:
                cells = {name: value for name, value in cells.items() if name not in doubtful}
            return {
                "state": "parked" if park else "due",
                "hold": until_ns,
                "error": error[:500],
                "cells": None if cells is None else cells_text(cells),
                "remote_id": delivery.remote_id,
                "again": int(again),
                "destination": self.destination,
                "run": delivery.run,
            }

        self._write(lambda c: c.executemany(queries.PUT_HELD, [values(each) for each in deliveries]))

    def claim(self, notes: Mapping[str, str]) -> None:
        """Keep the notes of first upserts before they are sent: run -> text."""
        rows = [{"claim": text, "destination": self.destination, "run": run} for run, text in notes.items()]
        self._write(lambda c: c.executemany(queries.PUT_CLAIM, rows))

    def set_stage(self, delivery: Delivery, stage: int, remote_id: str | None = None) -> None:
        """Note what is known about whose row a job's is."""
        values = {"stage": stage, "remote_id": remote_id, "destination": self.destination}

        def put(connection: sqlite3.Connection) -> None:
            self._pass_on(connection, delivery, stage)
            query = queries.PUT_STAGE if delivery.is_job else queries.PUT_REMOTE_ID
            connection.execute(query, {**values, "run": delivery.run})

        self._write(put)

    def _pass_on(self, connection: sqlite3.Connection, delivery: Delivery, stage: int) -> None:
        """Tell a job's client runs if its row becomes ours for sure, or is so no more.

        Where it was another ledger's and is only looked at again, nothing changes for them.
        """
        if not delivery.is_job:
            return
        place = {"destination": self.destination, "run": delivery.run}
        row = connection.execute(queries.STAGE, place).fetchone()
        before = UNSEEN if row is None else row[0]
        if stage >= OURS > before or (stage < OURS <= before and before != ELSEWHERE):
            connection.execute(queries.PASS_ON, {**place, "stage": OURS if stage >= OURS else UNSEEN})

    def naming(self, job: str) -> Naming:
        """Return how this ledger knows a job."""
        return naming(self._ledger, job)

    def leave(self, delivery: Delivery) -> None:
        """Leave a job's row to the ledger it belongs to."""

        def put(connection: sqlite3.Connection) -> None:
            self._pass_on(connection, delivery, ELSEWHERE)
            connection.execute(queries.LEAVE, (self.destination, delivery.run))

        self._write(put)

    def share(self, delivery: Delivery) -> None:
        """Note that another ledger knows the run, too, and have its row looked at anew."""
        self._write(lambda c: c.execute(queries.SHARE, (self.destination, delivery.run)))

    def reopen(self, delivery: Delivery) -> None:
        """Have a row written anew that another ledger closed while the run goes on here."""
        self._write(lambda c: c.execute(queries.REOPEN, (self.destination, delivery.run)))

    def known_rows(self, remote_ids: Iterable[str]) -> set[str]:
        """Return those ids that rows of ours have there."""
        values = {"destination": self.destination, "remote_ids": json.dumps(list(remote_ids))}
        return self._read(lambda c: {row for (row,) in c.execute(queries.KNOWN_ROWS, values)})

    def rekey(self, job: str) -> str | None:
        """Give a job another run id, the next free second; return it, None if none could be claimed.

        The old one stays an alias; all rows of the job are due again.
        """
        run = self._read(lambda c: run_of(c, job))
        if run is None or run.run_id is None:
            return None
        new = self._ledger.ids.give(job, run.start_ns or 0, lambda run_id: run_id != run.run_id)
        if new is None:
            return None

        def put(connection: sqlite3.Connection) -> None:
            connection.execute(ledger_queries.PUT_ALIAS, (run.run_id, job))
            connection.execute(ledger_queries.SET_RUN_ID, (new, job))
            connection.execute(queries.DIRTY_AGAIN, (job,))

        self._write(put)
        return new

    def unpark(self) -> None:
        """Give refused rows another chance: the schema has changed."""
        self._write(self._queue.forgive)

    def replay(self, kind: str) -> None:
        """Have all delivered rows of a table compared again: a column has become good."""
        values = {"destination": self.destination, "kind": kind, "now": _clock.now_ns()}
        self._write(lambda c: c.execute(queries.REPLAY, values))

    def start_over(self) -> None:
        """Forget what the destination shows: everything is projected anew."""
        values = {"destination": self.destination, "now": _clock.now_ns()}
        self._write(lambda c: c.execute(queries.START_OVER, values))
