"""Closing rows that other ledgers left Running: a container that is gone took its ledger with it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from jobspan import _clock, _log
from jobspan.ledger.outbox import Outbox
from jobspan.model.delivery import Write
from jobspan.relay.destination import Destination

_FIRST_SECONDS = 60.0
_EVERY_SECONDS = 3600.0


class Reaping:
    """Looks for such rows every hour, and closes those the destination says may be closed.

    Args:
        destination: Where the rows are; it judges them.
        outbox: Knows which rows are shown by this ledger.
        at_once: Look as soon as there is a sender, not after a minute.
    """

    def __init__(self, destination: Destination, outbox: Outbox, *, at_once: bool) -> None:
        self._destination = destination
        self._outbox = outbox
        self._at = _clock.monotonic() + (0.0 if at_once else _FIRST_SECONDS)
        self._kinds: list[str] = []
        self._writes: list[tuple[str, Write]] = []

    def next(self) -> Callable[[], None] | None:
        """Return the next request, None while there is nothing to do; it may raise `DeliveryError`."""
        if _clock.monotonic() >= self._at:
            self._at = _clock.monotonic() + _EVERY_SECONDS
            self._kinds = ["j", "c"]
        if self._writes:
            return self._close
        return self._look if self._kinds else None

    def _look(self) -> None:
        kind = self._kinds.pop(0)
        if self._destination.accepts(kind):
            found = self._destination.abandoned(kind)
            known = self._outbox.known_rows(str(write.remote_id) for write in found)
            self._writes += [(kind, write) for write in found if write.remote_id not in known]

    def _close(self) -> None:
        kind = self._writes[0][0]
        most = self._destination.most_rows
        some = [write for other, write in self._writes if other == kind][:most]
        self._writes = [pair for pair in self._writes if pair[1] not in some]
        self._destination.write(kind, some)
        for write in some:
            _log.event(logging.INFO, "jobspan.row.closed", run_id=write.run_id, reason="another ledger's")
