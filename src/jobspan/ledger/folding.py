"""Folds a batch of events into an open ledger: the short way first, then the fold; what fails, by halves."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from jobspan._breath import paced
from jobspan._guard import guarded
from jobspan.journal.given import GivenIds
from jobspan.ledger.batch import Batch, Events, events_of
from jobspan.ledger.price import price_of
from jobspan.ledger.run_ids import settle_run_ids
from jobspan.ledger.store import SqliteStore
from jobspan.ledger.whole import write_told
from jobspan.model.fold import Fold


def fold_batch(connection: sqlite3.Connection, batch: Batch, ids: GivenIds) -> None:
    """Fold a batch and write what it changed. What this version cannot fold costs only itself.

    Raises:
        sqlite3.Error: As SQLite says; the transaction is to be rolled back.
    """
    if not batch.size or _is_saved(connection, lambda: _fold_sorted(connection, batch, ids)):
        return
    fold_events(connection, batch.events(), ids)


def fold_events(connection: sqlite3.Connection, events: Events, ids: GivenIds) -> None:
    """Fold events one by one; where some cannot be folded, the halves of them, and so on.

    Raises:
        sqlite3.Error: As SQLite says; the transaction is to be rolled back.
    """
    if not events or _is_saved(connection, lambda: _fold_all(connection, events, ids)) or len(events) < 2:
        return
    half = len(events) // 2
    fold_events(connection, events[:half], ids)
    fold_events(connection, events[half:], ids)


def _is_saved(connection: sqlite3.Connection, work: Callable[[], None]) -> bool:
    """Do a part of a transaction; False if it failed, and nothing of it is left.

    Raises:
        sqlite3.Error: As SQLite says.
    """
    connection.execute("SAVEPOINT events")
    trouble: sqlite3.Error | None = None
    is_folded = False
    with guarded("fold.events"):
        try:
            work()
            is_folded = True
        except sqlite3.Error as error:  # no fault of the events
            trouble = error
    if trouble is not None:
        raise trouble
    if not is_folded:
        connection.execute("ROLLBACK TO events")
    connection.execute("RELEASE events")
    return is_folded


def _fold_sorted(connection: sqlite3.Connection, batch: Batch, ids: GivenIds) -> None:
    store = SqliteStore(connection)
    fold = Fold(store, price_of)
    others = write_told(connection, store, fold, batch.told) if batch.told else []
    _fold_into(connection, store, fold, events_of(others) + batch.rest, ids)


def _fold_all(connection: sqlite3.Connection, events: Events, ids: GivenIds) -> None:
    store = SqliteStore(connection)
    _fold_into(connection, store, Fold(store, price_of), events, ids)


def _fold_into(
    connection: sqlite3.Connection, store: SqliteStore, fold: Fold, events: Events, ids: GivenIds
) -> None:
    fold.prepare([event for event, _ in events])
    for event, process in paced(events):
        fold.apply(event, process)
    fold.settle(exact=False)
    settle_run_ids(connection, fold.space, ids)
    store.write(fold.space)


def resolve_usage(connection: sqlite3.Connection) -> None:
    """Resolve the calls of large runs, left for later while their facts came in."""
    store = SqliteStore(connection)
    if store.load_unresolved():
        fold = Fold(store)
        fold.settle()
        store.write(fold.space)
