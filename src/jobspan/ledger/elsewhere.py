"""Which jobs another ledger may know, too: it may have written rows of them before this one does."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from jobspan.ledger import delivery_queries as queries
from jobspan.ledger.ledger import Ledger
from jobspan.ledger.naming import BY_RUN_ID, naming
from jobspan.ledger.transaction import transact

_MOST_NAMED = 1_000


class Elsewhere:
    """What this ledger knows of others at one destination.

    Args:
        ledger: The ledger.
        destination: The destination's name.
    """

    def __init__(self, ledger: Ledger, destination: str) -> None:
        self._ledger = ledger
        self._destination = destination
        self._named: dict[str, str | None] = {}

    def not_own(self, jobs: Iterable[str]) -> set[str]:
        """Return those of `jobs` whose rows were another ledger's first."""
        return {job for (job,) in self._ask(queries.NOT_OWN_JOBS, jobs)}

    def handed_out(self, runs: Iterable[str]) -> set[str]:
        """Return the jobs of those of `runs` that work elsewhere can name, or that are named here.

        A run that was detached is found by its token or the id given then; one of `JobTracking` by its run
        id; and a part here that goes on with another's was named here.
        """
        return {job for (job,) in self._ask(queries.HANDED_OUT_JOBS, runs)}

    def run_id_named(self, job: str) -> str | None:
        """Return the run id of a job that calls here name, and that another ledger may have made."""
        if not job.startswith(BY_RUN_ID):
            return None
        if job not in self._named:
            if len(self._named) >= _MOST_NAMED:
                self._named.clear()
            is_named = naming(self._ledger, job) == "named"
            self._named[job] = self.run_ids([job]).get(job) if is_named else None
        return self._named[job]

    def run_ids(self, jobs: Iterable[str]) -> dict[str, str]:
        """Return the run ids of `jobs`, by inside name."""
        return dict(self._ask(queries.RUN_IDS, jobs))

    def _ask(self, query: str, names: Iterable[str]) -> list[Any]:
        values = {"destination": self._destination, "names": json.dumps(list(names))}
        return transact(
            self._ledger, lambda c: c.execute(query, values).fetchall(), seconds=5.0, writes=False
        )
