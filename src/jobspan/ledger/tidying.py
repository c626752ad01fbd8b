"""What is deleted after a while: journals set aside that were read, requests to cancel what has ended."""

from __future__ import annotations

import sqlite3

from jobspan import _clock
from jobspan.journal import reader
from jobspan.journal.place import Place
from jobspan.ledger import queries
from jobspan.ledger.store import select_many


def forget_cancels(connection: sqlite3.Connection, keep_seconds: float) -> None:
    """Delete requests to cancel what does not run any more, after a while."""
    connection.execute(queries.FORGET_CANCELS, (_clock.now_ns() - round(keep_seconds * 1e9),))


def forget_pruned(connection: sqlite3.Connection, place: Place, keep_seconds: float, keep_bytes: int) -> None:
    """Delete old journals set aside that this ledger has read to their end, and their rows."""
    aside = [path.name for path in reader.done_journals(place)]
    read = {row[0] for row in select_many(connection, queries.JOURNALS, aside) if row[4]}
    deleted = reader.prune_done(place, keep_seconds, keep_bytes, spare=lambda path: path.name not in read)
    list(select_many(connection, queries.FORGET_JOURNALS, [path.name for path in deleted]))
