"""The fold's view of an SQLite connection: what it reads, and one call that writes back what changed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain

from jobspan._breath import paced
from jobspan.ledger import codec, queries
from jobspan.ledger.marking import mark_dirty
from jobspan.model.entry import Entry
from jobspan.model.event import Event
from jobspan.model.numbers import Seen
from jobspan.model.part import Part
from jobspan.model.run import Run
from jobspan.model.workspace import BookedCall, Process, Workspace

_AT_ONCE = 500
"""Parameters in one query; SQLite's old limit is 999."""
_ROWS_AT_ONCE = 16


def select_many(connection: sqlite3.Connection, query: str, values: Iterable[str]) -> Iterator[codec.Row]:
    """Run a query with a ``{many}`` list over any number of values."""
    listed = list(values)
    for start in range(0, len(listed), _AT_ONCE):
        some = listed[start : start + _AT_ONCE]
        yield from connection.execute(query.format(many=",".join("?" * len(some))), some)


def select_among(connection: sqlite3.Connection, query: str, values: Iterable[str]) -> Iterator[codec.Row]:
    """Run a query that takes a JSON array over any number of values: cheaper than a list of parameters."""
    listed = list(values)
    for start in paced(range(0, len(listed), _AT_ONCE)):
        yield from connection.execute(query, (json.dumps(listed[start : start + _AT_ONCE]),))


def put_rows(connection: sqlite3.Connection, query: str, rows: list[codec.Row]) -> None:
    """Run a query that ends with its one row of values for some rows at a time.

    Each statement gives up the interpreter lock for a moment, and may wait 5 ms until it is back.
    """
    whole = len(rows) - len(rows) % _ROWS_AT_ONCE
    if whole:
        text = _for_many(query)
        for start in paced(range(0, whole, _ROWS_AT_ONCE)):
            connection.execute(text, list(chain.from_iterable(rows[start : start + _ROWS_AT_ONCE])))
    connection.executemany(query, paced(rows[whole:]))


@cache
def _for_many(query: str) -> str:
    head, found, values = query.rpartition(" VALUES ")
    return head + found + ",".join([values] * _ROWS_AT_ONCE)


class SqliteStore:
    """A `Store` on an open connection; the caller owns the transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def load_parts(self, uids: Iterable[str]) -> list[Part]:
        listed, both = list(uids), (queries.PARTS, queries.PARTS_IN_RUNS)
        rows = (row for query in both for row in select_many(self._connection, query, listed))
        return [codec.read_part(row) for row in rows]

    def load_runs(self, uids: Iterable[str]) -> list[Run]:
        return [codec.read_run(row) for row in select_many(self._connection, queries.RUNS, uids)]

    def load_tops(self, runs: Iterable[str]) -> list[Part]:
        return [codec.read_part(row) for row in select_many(self._connection, queries.TOPS, runs)]

    def load_settled(self, run: str) -> list[Part]:
        return [codec.read_part(row) for row in self._connection.execute(queries.SETTLED, (run,))]

    def load_open_children(self, parts: Iterable[str]) -> list[Part]:
        return [codec.read_part(row) for row in select_many(self._connection, queries.OPEN_CHILDREN, parts)]

    def load_unclosed_of_process(self, process: str) -> list[Part]:
        return [codec.read_part(r) for r in self._connection.execute(queries.UNCLOSED_OF_PROCESS, (process,))]

    def load_overdue(self, now_ns: int) -> list[Part]:
        """Return open parts whose deadline has passed."""
        return [codec.read_part(row) for row in self._connection.execute(queries.OVERDUE, (now_ns,))]

    def load_open_processes(self) -> list[Process]:
        """Return the processes not known to be dead that left something open."""
        return [codec.read_process(row) for row in self._connection.execute(queries.OPEN_PROCESSES)]

    def load_process(self, uid: str) -> Process | None:
        row = self._connection.execute(queries.PROCESS, (uid,)).fetchone()
        return None if row is None else codec.read_process(row)

    def load_writer(self, writer: str) -> Seen | None:
        row = self._connection.execute(queries.WRITER, (writer,)).fetchone()
        return None if row is None else Seen.from_text(row[0])

    def load_keyed(self, job: str, kind: str, source: str, key: str) -> list[Entry]:
        rows = self._connection.execute(queries.KEYED, (job, kind, source, key))
        return [codec.read_entry(row) for row in rows]

    def load_items(self, run: str) -> list[Entry]:
        return [codec.read_entry(row) for row in self._connection.execute(queries.ITEMS, {"run": run})]

    def load_usage(self, job: str, run: str | None) -> list[Entry]:
        query, values = (queries.FACTS_OF_JOB, (job,)) if run is None else (queries.FACTS_OF_RUN, (job, run))
        return [codec.read_entry(row) for row in self._connection.execute(query, values)]

    def load_unresolved(self) -> list[str]:
        return [uid for (uid,) in self._connection.execute(queries.UNRESOLVED)]

    def load_calls(self, run: str) -> list[BookedCall]:
        return [codec.read_call(row) for row in self._connection.execute(queries.CALLS_OF_RUN, (run,))]

    def load_calls_of_ids(self, job: str, ids: Iterable[str]) -> list[BookedCall]:
        rows = select_many(self._connection, queries.CALLS_OF_IDS, ids)
        return [call for call in map(codec.read_call, rows) if call.job == job]

    def load_stash(self, part: str) -> list[Event]:
        return [json.loads(row[0]) for row in self._connection.execute(queries.STASH, (part,))]

    def load_ends(self, job: str) -> Iterator[tuple[str, int]]:
        yield from self._connection.execute(queries.ENDS, (job,))

    def write(self, space: Workspace) -> None:
        """Write back everything a pass of the fold changed."""

        def put(query: str, rows: Iterable[codec.Row]) -> None:
            self._connection.executemany(query, paced(rows))

        version = self.take_versions(len(space.runs))
        put(queries.PART_FROM_RUN, ((uid,) for uid in space.runs))
        put(queries.PUT_PART, map(codec.part_row, space.parts.values()))
        put(
            queries.PUT_RUN,
            (codec.run_row(run, version + n) for n, run in enumerate(space.runs.values())),
        )
        put(queries.FORGET_PLACE, space.replaced)
        put(queries.PUT_ENTRY, map(codec.entry_row, [*space.entries, *space.keyed.values()]))
        put(queries.FORGET_CALLS, ((run,) for run in space.calls if not space.is_made(run)))
        put(queries.PUT_CALL, (codec.call_row(call) for calls in space.calls.values() for call in calls))
        put(queries.FORGET_STASH, ((part,) for part in space.unstashed))
        waiting = ((part, event) for part, events in space.stashed.items() for event in events)
        put(queries.PUT_ENTRY, (codec.stash_row(part, event) for part, event in waiting))
        put(queries.PUT_PROCESS, map(codec.process_row, space.processes.values()))
        put(queries.PUT_WRITER, ((writer, seen.to_text()) for writer, seen in space.writers.items()))
        changed = [(run, space.job(run.job)) for run in space.runs.values()]
        mark_dirty(self._connection, changed, self._written(space))

    def take_versions(self, count: int) -> int:
        """Return the first of `count` new version numbers for rows of runs."""
        row = self._connection.execute(queries.FACT, ("version",)).fetchone()
        last = 0 if row is None else int(row[0])
        if count:
            self._connection.execute(queries.PUT_FACT, ("version", str(last + count)))
        return last + 1

    @staticmethod
    def _written(space: Workspace) -> list[tuple[Run, list[str]]]:
        """Return the client runs written straight as rows that are to be shown somewhere, by their jobs.

        One that was changed later in the pass is not among them: it has another status now.
        """
        shown = [(job, runs) for uid, runs in space.written.items() if (job := space.job(uid)).destinations]
        return [(job, [run for run in runs if run not in space.runs]) for job, runs in shown]
