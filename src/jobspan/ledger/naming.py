"""How this ledger knows a job: opened here, named by work here, or only by client runs."""

from __future__ import annotations

from jobspan.ledger import codec, queries
from jobspan.ledger.ledger import Ledger
from jobspan.ledger.transaction import run_of, transact
from jobspan.model.delivery import Naming

BY_RUN_ID = "t"
"""How inside names of jobs begin that calls of `JobTracking` made."""


def naming(ledger: Ledger, job: str) -> Naming:
    """Return how a job is known.

    A job made by calls is this ledger's own if its run id was claimed here; else it was named by a run id
    that came from elsewhere.
    """
    rows = transact(
        ledger, lambda c: c.execute(queries.PARTS_OF_RUN, (job,)).fetchall(), seconds=5.0, writes=False
    )
    parts = [part for part in map(codec.read_part, rows) if part.is_opened and not part.passive]
    if not any(part.of is None for part in parts):
        return "named" if parts else "passing"
    if not job.startswith(BY_RUN_ID):
        return "own"
    run = transact(ledger, lambda c: run_of(c, job), seconds=5.0, writes=False)
    claim = ledger.place.claims / f"id-{run.run_id if run is not None else ''}"
    return "own" if claim.exists() else "named"
