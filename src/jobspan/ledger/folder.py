"""The folder: reads journals and folds them into the ledger, each event exactly once.

How far a journal was read is stored in the same transaction as what it brought. Any process may
fold, one at a time (SQLite's own write lock decides); who finds it taken leaves it to the other one.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobspan import _clock, _log
from jobspan._guard import guarded
from jobspan.journal import reader
from jobspan.journal.identity import ProcessIdentity, is_gone
from jobspan.journal.place import Place
from jobspan.ledger import queries
from jobspan.ledger.run_ids import settle_run_ids
from jobspan.ledger.store import SqliteStore, select_many
from jobspan.model.event import Event, read_event
from jobspan.model.fold import Fold

_BATCH_EVENTS = 4_000
_CHUNK_BYTES = 512 * 1024
_SILENT_NS = 15_000_000_000
"""A live process touches its journal every 5 s; past this its pid is looked at."""
LOST_AFTER_SECONDS = 15 * 60
"""A process that cannot be looked at (another host) is given up after this silence."""


@dataclass(slots=True)
class _Journal:
    """What is known of one journal file."""

    path: Path
    process: str | None = None
    offset: int = 0
    skipped: int = 0
    done: bool = False
    identity: ProcessIdentity | None = None
    owned: bool = True
    at_end: bool = False

    @property
    def name(self) -> str:
        return self.path.name


@dataclass(slots=True)
class Folded:
    """What one pass did."""

    events: int = 0
    skipped: int = 0
    more: bool = False
    """There is more to fold."""
    retired: list[Path] = field(default_factory=list[Path])


class Folder:
    """Folds the journals of one place into an open ledger.

    Args:
        place: Where the journals are.
        claim: Gives a job with a provisional id a real one: (start in ns) -> run id, or None.
        lost_after_seconds: Silence after which a process out of sight is given up.
    """

    def __init__(
        self,
        place: Place,
        claim: Callable[[int], str | None],
        *,
        lost_after_seconds: float = LOST_AFTER_SECONDS,
    ) -> None:
        self._place = place
        self._claim = claim
        self._lost_after_ns = round(lost_after_seconds * 1e9)

    def fold(
        self,
        connection: sqlite3.Connection,
        *,
        extra: Sequence[tuple[str, str]] = (),
        sweep: bool = True,
        retire: bool = True,
    ) -> Folded:
        """Fold a batch in one transaction.

        Args:
            connection: An open ledger, outside a transaction.
            extra: Events that are in no file: (process uid, payload).
            sweep: Also look for dead processes and passed deadlines.
            retire: Set aside the journals read to their end.

        Raises:
            sqlite3.Error: As SQLite says; then nothing was changed.
        """
        connection.execute("BEGIN IMMEDIATE")
        try:
            result, journals = self._fold_in_transaction(connection, extra, sweep)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        for journal in journals:
            if retire and journal.done and journal.path.parent == self._place.journal:
                reader.retire(journal.path, self._place, owner_gone=True)
                result.retired.append(journal.path)
        return result

    def _fold_in_transaction(
        self, connection: sqlite3.Connection, extra: Sequence[tuple[str, str]], sweep: bool
    ) -> tuple[Folded, list[_Journal]]:
        store = SqliteStore(connection)
        fold = Fold(store)
        result = Folded()
        journals = self._unfinished(connection)
        batch: list[tuple[Event, str | None]] = []
        touched: list[_Journal] = []
        for journal in journals:
            if len(batch) >= _BATCH_EVENTS:
                result.more = True
                break
            with guarded("ledger.journal"):
                if self._read(journal, batch, result) or journal.done:
                    touched.append(journal)
        batch += [(event, process) for process, text in extra if (event := read_event(text)) is not None]
        fold.prepare([event for event, _ in batch])
        for event, process in batch:
            with guarded("fold.event"):  # an event nobody understands costs only itself
                fold.apply(event, process)
        self._bury(fold, touched)
        if sweep:
            self._sweep(fold, store, journals)
        fold.settle()
        settle_run_ids(connection, fold.space, self._claim)
        if batch or fold.space.parts or fold.space.runs or fold.space.processes:
            store.write(fold.space)
        connection.executemany(
            queries.PUT_JOURNAL, [(j.name, j.process, j.offset, j.skipped, j.done) for j in touched]
        )
        result.events = len(batch)
        return result, touched

    def _unfinished(self, connection: sqlite3.Connection) -> list[_Journal]:
        """Return the journals with something to read. A new ledger reads those set aside again."""
        known = {row[0]: row for row in connection.execute(queries.JOURNALS)}
        found: list[_Journal] = []
        aside = reader.done_journals(self._place)
        for path in [*aside, *reader.journals(self._place)]:
            row = known.get(path.name)
            journal = _Journal(path) if row is None else _Journal(path, row[1], row[2], row[3], bool(row[4]))
            if not journal.done or path.parent == self._place.journal:
                found.append(journal)
        return found

    def _read(self, journal: _Journal, batch: list[tuple[Event, str | None]], result: Folded) -> bool:
        """Read what is new in a journal into `batch`; True if there was something."""
        before = (journal.offset, journal.skipped)
        try:
            self._read_chunks(journal, batch, result)
        except FileNotFoundError:
            return False  # set aside by another reader meanwhile
        if journal.skipped != before[1]:
            result.skipped += journal.skipped - before[1]
            _log.event(logging.WARNING, "jobspan.journal.damaged", file=journal.name, skipped=journal.skipped)
        return before != (journal.offset, journal.skipped)

    def _read_chunks(self, journal: _Journal, batch: list[tuple[Event, str | None]], result: Folded) -> None:
        gone = self._is_owner_gone(journal)
        while len(batch) < _BATCH_EVENTS and not journal.done:
            chunk = reader.read(journal.path, journal.offset, _CHUNK_BYTES, owner_gone=gone)
            for payload in chunk.payloads:
                event = read_event(payload)
                if event is None:
                    journal.skipped += 1
                elif event["e"] == "process":
                    self._learn(journal, event)
                    batch.append((event, None))
                else:
                    batch.append((event, journal.process))
            journal.offset = chunk.offset_after
            journal.skipped += chunk.skipped
            journal.owned, journal.at_end = chunk.owned, chunk.at_end
            if chunk.at_end:
                journal.done = not chunk.owned
                return
        result.more = True

    @staticmethod
    def _learn(journal: _Journal, event: Event) -> None:
        journal.process = str(event.get("process"))
        journal.identity = ProcessIdentity.from_dict(event)

    def _is_owner_gone(self, journal: _Journal) -> bool:
        """Whether the owner is dead although a descendant may still hold its lock."""
        if journal.path.parent != self._place.journal:
            return True
        silent_ns = _clock.now_ns() - reader.last_seen_ns(journal.path)
        if silent_ns < _SILENT_NS:
            return False
        return self._is_gone(self._identity(journal), silent_ns)

    def _identity(self, journal: _Journal) -> ProcessIdentity | None:
        if journal.identity is None:
            event = read_event(reader.header(journal.path) or b"")
            if event is not None and event["e"] == "process":
                self._learn(journal, event)
        return journal.identity

    def _is_gone(self, identity: ProcessIdentity | None, silent_ns: int) -> bool:
        gone = None if identity is None else is_gone(identity)
        if gone is None and identity is not None:
            return silent_ns > self._lost_after_ns
        return bool(gone)

    def _bury(self, fold: Fold, touched: list[_Journal]) -> None:
        """Take note of the processes whose last journal was read to its end."""
        for journal in touched:
            if not journal.done or journal.process is None:
                continue
            live_place = journal.path.parent == self._place.journal
            if not live_place or reader.is_writer_dead(journal.path, self._place, self._identity(journal)):
                with contextlib.suppress(FileNotFoundError):
                    fold.gone(journal.process, reader.last_seen_ns(journal.path))

    def _sweep(self, fold: Fold, store: SqliteStore, journals: list[_Journal]) -> None:
        """Find what no journal tells: dead processes without a file, and passed deadlines."""
        now_ns = _clock.now_ns()
        alive = {journal.process for journal in journals if not journal.done}
        for process in store.load_open_processes():
            if process.uid in alive or fold.space.process(process.uid).gone_ns is not None:
                continue
            identity = ProcessIdentity.from_dict(process.about)
            if self._is_gone(identity, now_ns - process.last_ns):
                fold.gone(process.uid, process.last_ns)
        fold.overdue(now_ns, store.load_overdue(now_ns))


def forget_pruned(connection: sqlite3.Connection, place: Place, keep_seconds: float, keep_bytes: int) -> None:
    """Delete old journals set aside, and their rows."""
    reader.prune_done(place, keep_seconds, keep_bytes)
    kept = {path.name for path in [*reader.done_journals(place), *reader.journals(place)]}
    rows: list[Any] = [
        row[0] for row in connection.execute(queries.JOURNALS) if row[4] and row[0] not in kept
    ]
    list(select_many(connection, queries.FORGET_JOURNALS, rows))
