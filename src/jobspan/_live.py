"""The jobs and client runs open in this process, so that they can be canceled from outside of them."""

from __future__ import annotations

from typing import Any

from jobspan._guard import guarded
from jobspan.ledger.cancel import Requests
from jobspan.spans.roster import roster


class LiveRuns:
    """Those of one runtime."""

    def __init__(self, runtime: object) -> None:
        self._runtime = runtime

    def __bool__(self) -> bool:
        return bool(self._found())

    def _found(self) -> list[Any]:
        """Return them in the order they were opened."""
        homes: list[Any] = [home for home in roster.open() if home.level != "operation"]
        return [home for home in homes if home.owner_runtime is self._runtime]

    def request(self, requests: Requests) -> None:
        """Tell the runs that are to be canceled so."""
        for run in self._found():
            run.cancel_requested(requests)

    def close_canceled(self, reason: str) -> None:
        """Close all of them as Canceled, the innermost first."""
        for run in reversed(self._found()):
            with guarded("cancel"):
                run.close_canceled(reason)
