"""The folder: reads journals and folds them into the ledger, each event exactly once.

How far a journal was read is stored in the same transaction as what it brought. Any process may
fold, one at a time (SQLite's own write lock decides); who finds it taken leaves it to the other one.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jobspan import _clock
from jobspan._breath import breathe, is_in_pieces, paced
from jobspan._guard import guard, guarded
from jobspan.journal import reader
from jobspan.journal.given import GivenIds
from jobspan.journal.identity import ProcessIdentity, is_gone
from jobspan.journal.place import Place
from jobspan.ledger import queries
from jobspan.ledger.batch import Batch
from jobspan.ledger.connection import check_version
from jobspan.ledger.folding import fold_batch, resolve_usage
from jobspan.ledger.run_ids import settle_run_ids
from jobspan.ledger.store import SqliteStore, select_many
from jobspan.model.event import Event, read_event
from jobspan.model.fold import Fold
from jobspan.model.part import Part

_BATCH_EVENTS = 12_000
_CHUNK_BYTES = 128 * 1024
_PIECE_BYTES = 12 * 1024
"""Read between two breaths."""
_SILENT_NS = 15_000_000_000
"""A live process touches its journal every 5 s; past this its pid is looked at."""
_LATE_NS = 60_000_000_000
"""How long past its deadline a run of a process out of sight may take to end by itself."""
LOST_AFTER_SECONDS = 15 * 60
"""A process that cannot be looked at (another host) is given up after this silence."""

_Mark = tuple[sqlite3.Connection, int]


@dataclass(slots=True)
class _Journal:
    """What is known of one journal file."""

    path: Path
    process: str | None = None
    offset: int = 0
    skipped: int = 0
    done: bool = False
    identity: ProcessIdentity | None = None
    is_lost: bool = False
    """Its owner holds the lock, out of sight, silent for too long: dead until it writes again."""

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
    is_applied: bool = True
    """Whether what was given, and read, is in the ledger now; else it was thrown away."""
    retired: list[Path] = field(default_factory=list[Path])


@dataclass(slots=True)
class _Reading:
    """What was read of the journals; nothing of it is in the ledger yet."""

    only: str | None
    batch: Batch
    journals: list[_Journal]
    """Those with something to read, or that may be."""
    known: dict[str, tuple[int, bool]]
    """Of these, what the ledger said when they were read: how far it had them."""
    touched: list[_Journal] = field(default_factory=list[_Journal])
    """Those with something new."""
    skipped: int = 0
    damaged: list[str] = field(default_factory=list[str])
    """What is to be said of records skipped."""
    more: bool = False


class Folder:
    """Folds the journals of one place into an open ledger.

    Args:
        place: Where the journals are.
        ids: Gives a job with a provisional id a real one.
        lost_after_seconds: Silence after which a process out of sight is given up.
    """

    def __init__(
        self,
        place: Place,
        ids: GivenIds,
        *,
        lost_after_seconds: float = LOST_AFTER_SECONDS,
    ) -> None:
        self._place = place
        self._ids = ids
        self._lost_after_ns = round(lost_after_seconds * 1e9)
        self._aside_seen: _Mark | None = None
        self._ahead: _Reading | None = None

    def fold(
        self,
        connection: sqlite3.Connection,
        *,
        extra: Sequence[tuple[str, str]] = (),
        sweep: bool = True,
        retire: bool = True,
        events: int | None = None,
        only: str | None = None,
    ) -> Folded:
        """Fold a batch in one transaction.

        A thread that works in pieces reads before the transaction, so that nobody waits for its breaths.
        Where another process was quicker, what was read is thrown away; there is more, then.

        Args:
            connection: An open ledger, outside a transaction.
            extra: Events that are in no file: (process uid, payload).
            sweep: Also look for dead processes and passed deadlines.
            retire: Set aside the journals read to their end.
            events: How many make a batch.
            only: Leave the journals of live processes to them, but for this writer's (`reader.writer_key`).

        Raises:
            sqlite3.Error: As SQLite says; then nothing was changed.
            LedgerError: A newer jobspan has taken the ledger over.
        """
        most = events or _BATCH_EVENTS
        reading = self._read_ahead(connection, most, only) if is_in_pieces() else None
        connection.execute("BEGIN IMMEDIATE")
        self._ahead = None
        try:
            check_version(connection, self._place.ledger)
            if reading is None:
                reading = self._read(self._unfinished(connection, only), most, only)
            elif not self._is_current(connection, reading):
                connection.execute("ROLLBACK")
                return Folded(more=True, is_applied=False)
            self._fold_in_transaction(connection, reading, extra, sweep)
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # it may be over, or the connection closed by a fork
                connection.execute("ROLLBACK")
            raise
        for text in reading.damaged:
            guard.note("journal.damaged", text)
        result = Folded(reading.batch.size, reading.skipped, reading.more)
        for journal in reading.touched:
            if retire and journal.done and journal.path.parent == self._place.journal:
                reader.retire(journal.path, self._place, owner_gone=True)
                result.retired.append(journal.path)
        return result

    def _fold_in_transaction(
        self, connection: sqlite3.Connection, reading: _Reading, extra: Sequence[tuple[str, str]], sweep: bool
    ) -> None:
        batch, touched = reading.batch, reading.touched
        for process, text in extra:
            if (event := read_event(text)) is not None:
                batch.add_one(event, process)
        fold_batch(connection, batch, self._ids)
        self._look_for_the_dead(connection, reading.journals, touched, sweep)
        if sweep and not reading.more:
            resolve_usage(connection)
        connection.executemany(
            queries.PUT_JOURNAL, [(j.name, j.process, j.offset, j.skipped, j.done) for j in touched]
        )

    def _read_ahead(self, connection: sqlite3.Connection, most: int, only: str | None) -> _Reading:
        """Read a batch outside of a transaction; what was read before the ledger was found locked is kept.

        Raises:
            sqlite3.Error: Somebody folds now: it is not even begun.
        """
        connection.execute("BEGIN IMMEDIATE")
        try:
            check_version(connection, self._place.ledger)
            if self._ahead is not None and self._ahead.only == only:
                self._ahead.more = True  # written since
                return self._ahead
            journals = self._unfinished(connection, only)
        finally:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        self._ahead = self._read(journals, most, only)
        return self._ahead

    def _read(self, journals: list[_Journal], most: int, only: str | None) -> _Reading:
        known = {journal.name: (journal.offset, journal.done) for journal in journals}
        reading = _Reading(only, Batch(most), journals, known)
        for journal in paced(journals):
            if reading.batch.is_full:
                reading.more = True
                break
            with guarded("ledger.journal"):
                if self._take_in(journal, reading) or journal.done:
                    reading.touched.append(journal)
        return reading

    @staticmethod
    def _is_current(connection: sqlite3.Connection, reading: _Reading) -> bool:
        """Whether the ledger has no more of the journals read than it had then."""
        rows = select_many(connection, queries.JOURNALS, [journal.name for journal in reading.touched])
        now = {row[0]: (row[2], bool(row[4])) for row in rows}
        return all(reading.known[j.name] == now.get(j.name, (0, False)) for j in reading.touched)

    def _unfinished(self, connection: sqlite3.Connection, only: str | None) -> list[_Journal]:
        """Return the journals with something to read. A new ledger reads those set aside again."""
        aside, mark = self._aside(connection)
        paths = {path.name: path for path in [*reader.journals(self._place), *aside]}
        known = {row[0]: row for row in select_many(connection, queries.JOURNALS, paths)}
        found: list[_Journal] = []
        is_folded = True
        for path in paced(sorted(paths.values(), key=reader.age_order)):
            row = known.get(path.name)
            journal = _Journal(path) if row is None else _Journal(path, row[1], row[2], row[3], bool(row[4]))
            is_aside = path.parent != self._place.journal
            if not is_aside and only and reader.writer_key(path) != only and reader.is_owned(path):
                continue
            if not journal.done or not is_aside:
                found.append(journal)
            is_folded = is_folded and (journal.done or not is_aside)
        self._aside_seen = mark if is_folded else None
        return found

    def _aside(self, connection: sqlite3.Connection) -> tuple[list[Path], _Mark | None]:
        """Return the journals set aside, unless this ledger had them all and none has come since."""
        try:
            mark = (connection, self._place.done.stat().st_mtime_ns)
        except OSError:
            return [], None
        return ([] if mark == self._aside_seen else reader.done_journals(self._place)), mark

    def _take_in(self, journal: _Journal, reading: _Reading) -> bool:
        """Read what is new in a journal; True if there was something."""
        before = (journal.offset, journal.skipped)
        try:
            if not journal.done and journal.path.parent == self._place.journal:
                journal.offset = reader.within(journal.path, journal.offset)
            self._read_chunks(journal, reading)
        except FileNotFoundError:
            return False  # set aside by another reader meanwhile
        if journal.skipped != before[1]:
            skipped = journal.skipped - before[1]
            reading.skipped += skipped
            reading.damaged.append(
                f"{skipped} records of {journal.name} are no events this version knows; it is kept 7 days"
            )
        return before != (journal.offset, journal.skipped)

    def _read_chunks(self, journal: _Journal, reading: _Reading) -> None:
        batch, limit = reading.batch, _PIECE_BYTES if is_in_pieces() else _CHUNK_BYTES
        gone = not journal.done and self._is_owner_gone(journal)
        found: list[bytes] = []
        while batch.size + len(found) < batch.most and not journal.done:
            breathe()
            chunk = reader.read(journal.path, journal.offset, limit, owner_gone=gone)
            found += chunk.payloads
            journal.offset = chunk.offset_after
            journal.skipped += chunk.skipped
            if chunk.at_end:
                journal.done = not chunk.owned
                break
        else:
            reading.more = reading.more or not journal.done
        if found:
            if journal.process is None:
                _identity(journal)
            journal.process = journal.process or reader.writer_key(journal.path)
            journal.skipped += batch.add(found, journal.process)

    def _is_owner_gone(self, journal: _Journal) -> bool:
        """Whether the owner is dead although a descendant may still hold its lock."""
        if journal.path.parent != self._place.journal:
            return True
        silent_ns = _clock.now_ns() - reader.last_seen_ns(journal.path)
        if silent_ns < _SILENT_NS:
            return False
        identity = _identity(journal)
        gone = None if identity is None else is_gone(identity)
        journal.is_lost = gone is None and identity is not None and silent_ns > self._lost_after_ns
        return bool(gone)

    def _look_for_the_dead(
        self, connection: sqlite3.Connection, journals: list[_Journal], touched: list[_Journal], sweep: bool
    ) -> None:
        store = SqliteStore(connection)
        fold = Fold(store)
        for journal in touched:
            if journal.done and self._is_writer_dead(journal):
                self._bury(fold, journal)
        if sweep:
            for journal in journals:
                if journal.is_lost and not journal.done:
                    self._bury(fold, journal)
            self._sweep(fold, store, journals)
            settle_run_ids(connection, fold.space, self._ids)
        if fold.space.parts or fold.space.runs or fold.space.processes:
            fold.settle(exact=False)
            store.write(fold.space)

    def _is_writer_dead(self, journal: _Journal) -> bool:
        if journal.path.parent != self._place.journal:
            return True
        return reader.is_writer_dead(journal.path, self._place, _identity(journal))

    @staticmethod
    def _bury(fold: Fold, journal: _Journal) -> None:
        """Take note that the process of a journal is dead: since its last event or sign of life."""
        if journal.process is None:
            return
        with contextlib.suppress(FileNotFoundError):
            seen_ns = reader.last_seen_ns(journal.path)
            process = fold.space.process(journal.process)
            if process.gone_ns is None or process.gone_ns < max(seen_ns, process.last_ns):
                fold.gone(journal.process, seen_ns)

    def _sweep(self, fold: Fold, store: SqliteStore, journals: list[_Journal]) -> None:
        """Find what no journal tells: dead processes without a file, and passed deadlines."""
        now_ns = _clock.now_ns()
        watched = {journal.process for journal in journals if not journal.done}
        for process in store.load_open_processes():
            if process.uid in watched or fold.space.process(process.uid).is_gone:
                continue
            identity = ProcessIdentity.from_dict(process.about)
            gone = None if identity is None else is_gone(identity)
            if gone or (gone is None and now_ns - process.last_ns > self._lost_after_ns):
                fold.gone(process.uid, process.last_ns)
        late = store.load_overdue(now_ns)
        fold.overdue(now_ns, [part for part in late if _is_given_up(fold, part, now_ns)])


def _is_given_up(fold: Fold, part: Part, now_ns: int) -> bool:
    """Whether an open part past its deadline is closed: one of a live process here ends by itself."""
    if part.process is None or part.deadline_ns is None:
        return True
    identity = ProcessIdentity.from_dict(fold.space.process(part.process).about)
    gone = None if identity is None else is_gone(identity)
    return gone is None and now_ns - part.deadline_ns > _LATE_NS


def _learn(journal: _Journal, event: Event) -> None:
    journal.process = str(event.get("process"))
    journal.identity = ProcessIdentity.from_dict(event)


def _identity(journal: _Journal) -> ProcessIdentity | None:
    if journal.identity is None:
        event = read_event(reader.header(journal.path) or b"")
        if event is not None and event["e"] == "process":
            _learn(journal, event)
    return journal.identity
