"""The background thread of a process: folds journals, gives signs of life, brings the journal to the disk.

Nothing depends on it: without it (a fork, an exit, a fault) the next process folds what was written.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence

from jobspan import _clock
from jobspan._guard import guard, guarded
from jobspan.exceptions import LedgerError
from jobspan.journal.writer import JournalWriter
from jobspan.ledger.ledger import BusyLedgerError, Ledger

_EVERY_SECONDS = 0.5
_HEARTBEAT_SECONDS = 5.0
_SYNC_SECONDS = 1.0
_TIDY_SECONDS = 3600.0
_SLICE_SECONDS = 0.25


class Keeper:
    """Looks after one ledger and journal in the background.

    Args:
        ledger: Folded into.
        journal: This process's own.
        memory_events: Gives events that are in no file.
        also: Done each round, twice a second; short.
    """

    def __init__(
        self,
        ledger: Ledger,
        journal: JournalWriter,
        memory_events: Callable[[], Sequence[tuple[str, str]]],
        also: Callable[[], None] = lambda: None,
    ) -> None:
        self._ledger = ledger
        self._journal = journal
        self._memory_events = memory_events
        self._also = also
        self._stopped = threading.Event()
        self._lock = threading.RLock()
        self.pid = 0
        """The process whose thread is running; 0 when none is. Compared before each job opens."""
        self._position = -1
        self._beat_at = self._sync_at = self._tidy_at = self._swept_at = 0.0

    def start(self) -> None:
        """Start the thread unless this process has it; cheap enough for every opening of a run."""
        if self.pid == os.getpid() or self._stopped.is_set():
            return
        with self._lock, guarded("keeper.start"):
            if self.pid == os.getpid():
                return
            self.pid = os.getpid()
            self._tidy_at = _clock.monotonic() + 60.0
            threading.Thread(target=self._work, name="jobspan-keeper", daemon=True).start()

    def stop(self) -> None:
        """Have the thread end; it is not waited for."""
        self._stopped.set()

    def fold_now(self, timeout: float) -> bool:
        """Fold everything, waiting for other folding processes; True iff nothing is left within `timeout`."""
        until = _clock.monotonic() + timeout
        while True:
            left = max(0.0, until - _clock.monotonic())
            try:
                return self._ledger.fold(seconds=left, busy_seconds=min(left, 1.0), extra=self._memory_events)
            except BusyLedgerError as error:
                if _clock.monotonic() >= until:
                    guard.note("ledger.busy", str(error), level=logging.INFO)
                    return False
            except LedgerError as error:
                guard.note("ledger", str(error))
                return False

    def _work(self) -> None:
        while not self._stopped.wait(_EVERY_SECONDS):
            with guarded("keeper"):
                self._round()
            with guarded("keeper.also"):
                self._also()

    def _round(self) -> None:
        now = _clock.monotonic()
        position = self._journal.position
        moved = position != self._position
        if moved and now >= self._sync_at:
            self._sync_at = now + _SYNC_SECONDS
            self._journal.sync()
        if now >= self._beat_at:
            self._beat_at = now + _HEARTBEAT_SECONDS
            self._journal.touch()
        sweep = now >= self._swept_at
        if moved or sweep or self._journal.buffered:
            self._swept_at = now + _HEARTBEAT_SECONDS if sweep else self._swept_at
            if self._fold(sweep):
                self._position = position
        if now >= self._tidy_at:
            self._tidy_at = now + _TIDY_SECONDS
            self._ledger.tidy()

    def _fold(self, sweep: bool) -> bool:
        try:
            return self._ledger.fold(seconds=_SLICE_SECONDS, extra=self._memory_events, sweep=sweep)
        except BusyLedgerError:
            return True  # another process folds, this one's journal with it
        except LedgerError as error:
            guard.note("ledger", str(error))
            return False
