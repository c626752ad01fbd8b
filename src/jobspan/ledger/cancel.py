"""Asking a job or client run to stop, from any process of the ledger.

A request is one fact in the ledger, whoever asked: a command, or a person in a destination. The
background thread of each process reads it (`requests`) and tells the runs open there.
"""

from __future__ import annotations

import os
import sqlite3

from jobspan import _clock
from jobspan.ledger import queries
from jobspan.ledger.ledger import Ledger
from jobspan.ledger.transaction import transact
from jobspan.model.event import Event

Requests = dict[str, tuple[int, str]]
"""Which runs are to be canceled: inside name -> (since when, why)."""


def request_cancel(ledger: Ledger, uid: str, reason: str, *, seconds: float = 5.0) -> None:
    """Ask a run to stop at its next checkpoint, in whatever processes it is worked on.

    What was left open of it for others (detached parts, and parts a job expects) is Canceled at once.

    Args:
        ledger: Where it is recorded.
        uid: The inside name of the job or client run.
        reason: Why, for its record.
        seconds: How long to wait for the ledger.

    Raises:
        LedgerError: The ledger can be neither read nor written.
    """
    now_ns = _clock.now_ns()
    ending = {"e": "close", "how": "canceled", "type": "RunCanceled", "message": reason, "t": now_ns}

    def put(connection: sqlite3.Connection) -> None:
        from jobspan.ledger.folding import fold_events  # no process needs it to look for requests

        connection.execute(queries.PUT_CANCEL, (uid, now_ns, reason))
        waiting = ledger.records(connection).waiting_parts(uid)
        events: list[Event] = [{**ending, "w": f"{p}.{os.urandom(8).hex()}", "p": p, "q": 0} for p in waiting]
        fold_events(connection, [(event, None) for event in events], ledger.ids)

    transact(ledger, put, seconds=seconds)


def requests(ledger: Ledger) -> Requests:
    """Return all requests; waits for nobody.

    Raises:
        LedgerError: The ledger cannot be read now.
    """
    with ledger.using(gate_seconds=0.0) as connection:
        return {run: (at_ns, reason) for run, at_ns, reason in connection.execute(queries.CANCELS)}
