"""One sender per destination: the lease as a relay holds it."""

from __future__ import annotations

import threading

from jobspan import _clock
from jobspan.exceptions import LedgerError
from jobspan.ledger.leasing import end_lease, lease_of, take_lease
from jobspan.ledger.ledger import Ledger
from jobspan.model.delivery import Lease
from jobspan.relay.pace import Timing


class HeldLease:
    """Takes, renews and gives back the lease on a name. The renewing thread may be another one.

    Args:
        ledger: Where leases are kept.
        name: What is leased.
        holder: Who takes it; differs between any two senders.
        timing: How long it is good without a renewal.
    """

    def __init__(self, ledger: Ledger, name: str, holder: str, timing: Timing) -> None:
        self._ledger = ledger
        self._name = name
        self._holder = holder
        self._timing = timing
        self._lease: Lease | None = None
        self._renew_at = 0.0
        self._lock = threading.Lock()

    @property
    def fence(self) -> int:
        """The number of the lease in hand; 0: none."""
        return self._lease.fence if self._lease is not None else 0

    @property
    def rested(self) -> float:
        """Seconds for which nobody had the lease before it was taken last; 0: none is in hand."""
        return self._lease.rested if self._lease is not None else 0.0

    def take(self) -> bool:
        """Have the lease, taking or renewing it when that is due; False while somebody else has it."""
        lease = self._lease
        if lease is not None and _clock.monotonic() < self._renew_at and _clock.now_ns() < lease.expires_ns:
            return True
        with self._lock:
            taken = take_lease(self._ledger, self._name, self._holder, self._timing.lease)
            self._lease = taken
            self._renew_at = _clock.monotonic() + self._timing.renew
            return taken is not None

    def others_seconds(self) -> float:
        """Return for how long somebody else's lease is good if it is not renewed."""
        held = lease_of(self._ledger, self._name)
        return 0.0 if held is None else max(0.0, (held[2] - _clock.now_ns()) / 1e9)

    def renew(self) -> None:
        """Give a sign of life if one is due; for a thread that goes on while a request hangs."""
        if not self.fence or _clock.monotonic() < self._renew_at:
            return
        with self._lock:
            if self.fence:
                self._lease = take_lease(self._ledger, self._name, self._holder, self._timing.lease)
                self._renew_at = _clock.monotonic() + self._timing.renew

    def is_still(self, fence: int) -> bool:
        """Whether nobody else had the lease since it was taken as number `fence`.

        Where the ledger cannot say, the answer is no.
        """
        lease = self._lease
        if lease is not None and lease.fence == fence and _clock.now_ns() < lease.expires_ns:
            return True
        try:
            return self.take() and self.fence == fence
        except LedgerError:
            return False

    def give_back(self) -> None:
        """Let another sender have it at once."""
        with self._lock:
            if self._lease is not None:
                self._lease = None
                end_lease(self._ledger, self._name, self._holder)
