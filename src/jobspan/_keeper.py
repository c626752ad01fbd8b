"""The background thread of a process: folds journals, gives signs of life, brings the journal to the disk.

Nothing depends on it: without it (a fork, an exit, a fault) the next process folds what was written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext, suppress

from jobspan import _clock
from jobspan._breath import in_pieces
from jobspan._ending import ProcessEnds, ending
from jobspan._guard import guard, guarded
from jobspan.exceptions import LedgerError
from jobspan.journal import process, reader
from jobspan.journal.writer import JournalWriter
from jobspan.ledger.cancel import Requests, requests
from jobspan.ledger.gate import fork_gate
from jobspan.ledger.ledger import BusyLedgerError, Ledger

_EVERY_SECONDS = 0.5
_HEARTBEAT_SECONDS = 5.0
_SYNC_SECONDS = 1.0
_TIDY_SECONDS = 3600.0
_SLICE_SECONDS = 0.4
_FEW_EVENTS = 3_000
_BUSY_SECONDS = 0.1
"""How long a fold waits for that of another process."""
_SOON_SECONDS = 0.02
"""When it goes on with a fold that was not through."""
_PIECE_SECONDS = 150e-6
"""So long the thread keeps the interpreter lock from the work, while it keeps up with it."""
_PIECE_EVENTS = 900
_PATIENT_SECONDS = 0.5
"""A ledger behind for so long is in a flood."""
_FLOOD_SECONDS = 30.0
"""So long the fold takes no breath then: pieces cost twice the CPU, and thousands of them hit more blocks."""
_LONGEST_PAUSE_SECONDS = 4.0
_STUCK_SECONDS = 2.0
"""A ledger locked for so long, into which nobody commits, is not held by a folding process."""


class Keeper:
    """Looks after one ledger and journal in the background.

    Args:
        ledger: Folded into.
        journal: This process's own.
        also: Done each round, twice a second; short.
        after: Called when everything is folded.
        cancel: Given the requests to cancel runs, if any; those of other processes are among them.
        has_runs: Whether runs are open that could be.
    """

    def __init__(
        self,
        ledger: Ledger,
        journal: JournalWriter,
        *,
        also: Callable[[], None],
        after: Callable[[], None],
        cancel: Callable[[Requests], None],
        has_runs: Callable[[], bool],
    ) -> None:
        self._cancel, self._has_runs = cancel, has_runs
        self._ledger = ledger
        self._after = after
        self._journal = journal
        self._also = also
        self._stopped = threading.Event()
        self._starters: dict[int, object] = {}
        self.pid = 0
        """The process whose thread is running; 0 when none is. Compared before each run opens."""
        self._position = -1
        self._beat_at = self._sync_at = self._tidy_at = self._swept_at = self._fold_at = 0.0
        self._pause_seconds = 0.0
        self._behind_since: float | None = None
        self._flood_until = 0.0
        self._contention = Contention(ledger)

    def start(self) -> None:
        """Start the thread unless this process has it; cheap enough for every opening of a run."""
        pid = process.pid()
        if self.pid == pid or self._stopped.is_set():
            return
        mine = object()
        if self._starters.setdefault(pid, mine) is not mine:  # no lock: a fork would inherit it held
            return
        self.pid = pid
        self._tidy_at = _clock.monotonic() + 60.0
        with guarded("keeper.start"):
            try:
                threading.Thread(target=self._work, name="jobspan-keeper", daemon=True).start()
            except RuntimeError as error:  # no more threads, or the interpreter ends
                guard.note("keeper.start", f"{error}; the next process folds what this one records")

    def stop(self) -> None:
        """Have the thread end; it is not waited for."""
        self._stopped.set()

    def fold_now(self, timeout: float, *, punctual: bool = False) -> bool:
        """Fold everything, waiting for other folding processes; True iff nothing is left within `timeout`.

        Args:
            timeout: Seconds.
            punctual: Little at a time, so that it ends when it is to end.
        """
        events = _FEW_EVENTS if punctual else None
        until = _clock.monotonic() + timeout
        contention = Contention(self._ledger)
        while True:
            left = max(0.0, until - _clock.monotonic())
            try:
                return self._ledger.fold(seconds=left, busy_seconds=min(left, 0.5), events=events)
            except BusyLedgerError as error:
                contention.met()
                if _clock.monotonic() >= until:
                    if not contention.has_moved:
                        guard.note("ledger.busy", str(error))
                    return False
            except LedgerError as error:
                guard.note("ledger", str(error))
                return False

    def _work(self) -> None:
        with suppress(ProcessEnds):
            self._work_on()

    def _work_on(self) -> None:
        while not self._stopped.wait(self._rest_seconds()):
            with ending.working():
                with guarded("keeper"):
                    self._round()
                with guarded("keeper.also"):
                    self._also()

    def _rest_seconds(self) -> float:
        """Return when to go on: soon where a fold in pieces was not through."""
        is_through = self._behind_since is None or _clock.monotonic() < self._flood_until
        return _EVERY_SECONDS if is_through else _SOON_SECONDS

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
        is_behind = self._behind_since is not None
        if now >= self._fold_at and (moved or sweep or is_behind or self._journal.buffered):
            self._swept_at = now + _HEARTBEAT_SECONDS if sweep else self._swept_at
            if self._fold(sweep):
                self._position = position
                self._after()
        if self._has_runs():
            with suppress(LedgerError):  # busy: half a second later it is asked again
                if asked := requests(self._ledger):
                    self._cancel(asked)
        if now >= self._tidy_at:
            self._tidy_at = now + _TIDY_SECONDS
            self._ledger.tidy()

    def _fold(self, sweep: bool) -> bool:
        """Fold for a while; True if there is no need to come back before something is written."""
        is_patient = self._is_patient()
        try:
            with in_pieces(self._piece) if is_patient else nullcontext():
                is_all = self._ledger.fold(
                    seconds=_SLICE_SECONDS,
                    busy_seconds=_BUSY_SECONDS,
                    sweep=sweep,
                    events=_PIECE_EVENTS if is_patient else None,
                    only=None if sweep else self._writer(),
                )
        except BusyLedgerError as error:
            self._contention.met()
            if self._contention.is_stuck:
                guard.note("ledger.busy", str(error))
            return False
        except LedgerError as error:
            guard.note("ledger", str(error))
            # Folding in vain costs the work its interpreter lock: try less and less often.
            self._pause_seconds = min(_LONGEST_PAUSE_SECONDS, 2 * self._pause_seconds + _EVERY_SECONDS)
            self._fold_at = _clock.monotonic() + self._pause_seconds
            return False
        self._pause_seconds = 0.0
        self._contention = Contention(self._ledger)
        if is_all:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = _clock.monotonic()
        return is_all

    def _is_patient(self) -> bool:
        """Whether to fold in pieces: not in a flood, which they cannot keep up with."""
        now = _clock.monotonic()
        if self._behind_since is not None and now - self._behind_since > _PATIENT_SECONDS:
            self._flood_until = now + _FLOOD_SECONDS
        return now >= self._flood_until

    def _piece(self) -> float:
        return 0.0 if fork_gate.is_wanted or self._stopped.is_set() else _PIECE_SECONDS

    def _writer(self) -> str | None:
        path = self._journal.path
        return None if path is None else reader.writer_key(path)


class Contention:
    """Tells a ledger in which another process folds from one that somebody just keeps locked."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._count: int | None = None
        self._since: float | None = None
        self.has_moved = False
        """Somebody has committed meanwhile."""

    def met(self) -> None:
        """Take note that the ledger is locked now."""
        count = self._ledger.change_count()
        if self._since is None:
            self._since = _clock.monotonic()
        elif count != self._count:
            self._since, self.has_moved = _clock.monotonic(), True
        self._count = count

    @property
    def is_stuck(self) -> bool:
        """Whether it has been locked for long and nobody commits."""
        return self._since is not None and _clock.monotonic() - self._since > _STUCK_SECONDS
