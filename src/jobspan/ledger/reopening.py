"""What a job that is begun anew leaves behind."""

from __future__ import annotations

from jobspan.ledger import queries
from jobspan.ledger.ledger import Ledger
from jobspan.ledger.transaction import transact


def forget_cancel(ledger: Ledger, job: str, seconds: float) -> None:
    """Forget that a job, or a client run in it, was asked to stop: it is begun anew.

    Raises:
        LedgerError: The ledger cannot be written.
    """
    transact(ledger, lambda c: c.execute(queries.FORGET_CANCEL, {"job": job}), seconds=seconds)
