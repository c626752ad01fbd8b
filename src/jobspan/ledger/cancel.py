"""Asking a job to stop, from any process of the ledger; and the ledger's own name."""

from __future__ import annotations

from collections.abc import Iterable

from jobspan import _clock
from jobspan.ledger import queries
from jobspan.ledger.ledger import Ledger
from jobspan.ledger.store import select_many
from jobspan.ledger.transaction import transact


def ledger_id(ledger: Ledger) -> str:
    """Return the random name of the ledger, by which destinations tell it from others."""
    row = transact(
        ledger, lambda c: c.execute(queries.FACT, ("ledger",)).fetchone(), seconds=5.0, writes=False
    )
    return str(row[0])


def request_cancel(ledger: Ledger, job: str, by: str) -> None:
    """Ask a job, by its inside name, to stop at its next checkpoint, in whatever process it runs."""
    row = (job, _clock.now_ns(), by)
    transact(ledger, lambda c: c.execute(queries.PUT_CANCEL, row), seconds=5.0)


def cancels(ledger: Ledger, jobs: Iterable[str]) -> dict[str, str]:
    """Return which of `jobs` were asked to stop, and by whom."""
    listed = list(jobs)
    rows = transact(
        ledger, lambda c: list(select_many(c, queries.CANCELS, listed)), seconds=0.5, writes=False
    )
    return {job: by for job, by in rows}
