"""What commands ask of all deliveries: where runs are shown, which rows are there, which are gone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from jobspan.ledger import delivery_queries, queries
from jobspan.ledger.ledger import Ledger
from jobspan.ledger.transaction import transact

_PATIENCE_SECONDS = 10.0


class ShownRow(NamedTuple):
    """A row that is there: whose it is, and its id there."""

    run: str
    job: str
    kind: str
    remote_id: str


def destinations(ledger: Ledger) -> list[str]:
    """Return the names of all destinations the ledger knows."""
    rows = transact(
        ledger,
        lambda c: c.execute(delivery_queries.DESTINATION_NAMES).fetchall(),
        seconds=_PATIENCE_SECONDS,
        writes=False,
    )
    return [name for (name,) in rows]


def delivered_ns(ledger: Ledger, destination: str) -> int | None:
    """Return when something was delivered last; None: never."""
    row = transact(
        ledger,
        lambda c: c.execute(delivery_queries.DESTINATION, (destination,)).fetchone(),
        seconds=_PATIENCE_SECONDS,
        writes=False,
    )
    return None if row is None else row[2] or None


def count_without_destination(ledger: Ledger) -> int:
    """Return how many jobs are to be shown nowhere."""
    row = transact(
        ledger,
        lambda c: c.execute(queries.COUNT_WITHOUT_DESTINATION).fetchone(),
        seconds=_PATIENCE_SECONDS,
        writes=False,
    )
    return int(row[0])


def shown_rows(ledger: Ledger, destination: str) -> list[ShownRow]:
    """Return the rows that are there, those of the oldest job first."""
    rows = transact(
        ledger,
        lambda c: c.execute(delivery_queries.SHOWN_ROWS, (destination,)).fetchall(),
        seconds=_PATIENCE_SECONDS,
        writes=False,
    )
    return [ShownRow(*row) for row in rows]


def unsettled_jobs(ledger: Ledger, destination: str) -> set[str]:
    """Return the jobs of which something runs, or is not shown as the ledger says."""
    rows = transact(
        ledger,
        lambda c: c.execute(delivery_queries.UNSETTLED_JOBS, (destination,)).fetchall(),
        seconds=_PATIENCE_SECONDS,
        writes=False,
    )
    return {job for (job,) in rows}


def forget_rows(ledger: Ledger, destination: str, runs: Iterable[str]) -> None:
    """Note that the rows of `runs` were deleted there; they come back only if their run changes."""
    places = [(destination, run) for run in runs]
    transact(ledger, lambda c: c.executemany(delivery_queries.FORGET_ROW, places), seconds=_PATIENCE_SECONDS)
