"""The jobs and client runs open in this process, so that they can be canceled from outside of them."""

from __future__ import annotations

import weakref
from typing import Any

from jobspan._guard import guarded
from jobspan.ledger.cancel import Requests


class LiveRuns(dict[str, "weakref.ref[Any]"]):
    """Open runs by the names of their parts, in the order they were opened."""

    def request(self, requests: Requests) -> None:
        """Tell the runs that are to be canceled so."""
        for found in list(self.values()):
            run = found()
            if run is not None:
                run.cancel_requested(requests)

    def close_canceled(self, reason: str) -> None:
        """Close all of them as Canceled, the innermost first."""
        for uid, found in reversed(list(self.items())):
            run = found()
            if run is not None:
                with guarded("cancel"):
                    run.close_canceled(reason)
            self.pop(uid, None)
