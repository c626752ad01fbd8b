"""The ledger's own name."""

from __future__ import annotations

from jobspan.ledger import queries
from jobspan.ledger.ledger import Ledger
from jobspan.ledger.transaction import transact


def ledger_id(ledger: Ledger) -> str:
    """Return the random name of the ledger, by which destinations tell it from others."""
    row = transact(
        ledger, lambda c: c.execute(queries.FACT, ("ledger",)).fetchone(), seconds=5.0, writes=False
    )
    return str(row[0])
