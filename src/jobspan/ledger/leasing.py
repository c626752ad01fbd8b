"""Leases: who is the one sender of a destination, told by rows that run out."""

from __future__ import annotations

import sqlite3

from jobspan import _clock
from jobspan.ledger import delivery_queries as queries
from jobspan.ledger.ledger import Ledger
from jobspan.ledger.transaction import transact
from jobspan.model.delivery import Lease


def take_lease(ledger: Ledger, name: str, holder: str, seconds: float) -> Lease | None:
    """Take or renew a lease for `seconds`; None while somebody else holds it.

    The fence stays the same exactly while the lease was never anybody else's in between.
    """

    def take(connection: sqlite3.Connection) -> Lease | None:
        now_ns = _clock.now_ns()
        row = connection.execute(queries.LEASE, (name,)).fetchone()
        held_by, fence, expires_ns = row or ("", 0, 0)
        if held_by != holder and _is_valid(expires_ns, seconds):
            return None
        rested = max(0.0, (now_ns - expires_ns) / 1e9)
        lease = Lease(fence + (held_by != holder), now_ns + round(seconds * 1e9), rested)
        connection.execute(queries.PUT_LEASE, (name, holder, lease.fence, lease.expires_ns))
        return lease

    held = lease_of(ledger, name)
    if held is not None and held[0] != holder and _is_valid(held[2], seconds):
        return None
    return transact(ledger, take, seconds=2.0)


def _is_valid(expires_ns: int, seconds: float) -> bool:
    """Whether a lease still runs; one that would run for much longer was made under another clock."""
    return 0 < expires_ns - _clock.now_ns() <= 4e9 * seconds


def end_lease(ledger: Ledger, name: str, holder: str) -> None:
    """Give a lease back, if it is still `holder`'s."""
    transact(ledger, lambda c: c.execute(queries.END_LEASE, (_clock.now_ns(), name, holder)), seconds=2.0)


def lease_of(ledger: Ledger, name: str) -> tuple[str, int, int] | None:
    """Return (holder, fence, expires at in ns) of a lease; None if nobody ever had it."""
    row: tuple[str, int, int] | None = transact(
        ledger, lambda c: c.execute(queries.LEASE, (name,)).fetchone(), seconds=1.0, writes=False
    )
    return row
