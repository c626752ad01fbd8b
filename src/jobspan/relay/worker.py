"""The relay: a thread, or a process of its own, that has the lease and lets its sender send."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

from jobspan import _clock, _log
from jobspan._ending import ProcessEnds, ending
from jobspan._guard import guard, guarded
from jobspan.exceptions import LedgerError
from jobspan.journal.identity import current as current_process
from jobspan.ledger.ledger import BusyLedgerError, Ledger
from jobspan.ledger.outbox import Outbox
from jobspan.relay.destination import Destination
from jobspan.relay.lease import HeldLease
from jobspan.relay.pace import Pace, Timing
from jobspan.relay.polling import CancelPoll
from jobspan.relay.sender import Sender

_LAST_WORD_SECONDS = 0.25
_COUNTED = 100_000
"""At exit rows are counted up to this."""
_BUSY_SECONDS = 0.2
_SOON_SECONDS = 0.02
_TROUBLE_SECONDS = 5.0
_LOADING_SECONDS = 0.3


class Relay:
    """Sends for one destination while it has the lease; waits for it otherwise.

    Args:
        ledger: Where rows and lease are.
        outbox: The destination's.
        make: Builds the destination; called once, on the relay's own thread, when there is something
            to send (that loads pyairtable). Its requests leave at the pace it is given.
        timing: All waits.
        budget: Calls of a month; None: no limit.
        cancel_poll: Whether to look for canceled jobs.
        cancel: Told the inside name of a job a person canceled there.
        adopts: Close at once what other ledgers left Running.
        shared: Other ledgers can read the tokens of runs here.
    """

    def __init__(
        self,
        ledger: Ledger,
        outbox: Outbox,
        make: Callable[[Pace], Destination],
        *,
        timing: Timing,
        budget: int | None,
        cancel_poll: bool,
        cancel: Callable[[str], None],
        adopts: bool = False,
        shared: bool = False,
    ) -> None:
        self._ledger = ledger
        self.outbox = outbox
        self._make = make
        self._timing = timing
        self._budget = budget
        self._cancel_poll = cancel_poll
        self._cancel = cancel
        self._foreign = {"adopts": adopts, "shared": shared}
        self._sender: Sender | None = None
        self._destination: Destination | None = None
        self._awake = threading.Event()
        self._stopped = threading.Event()
        self._done = threading.Event()
        self._lock = threading.RLock()
        self._busy = False
        self._asked = False
        """A person waits for something that could not be shown."""
        self.pid = 0
        """The process whose thread is running; 0 when none is."""
        self._lease: HeldLease | None = None
        self._load_until = float("inf")
        """No libraries are loaded after that: the process ends."""

    # --- the thread

    def start(self) -> None:
        """Start the thread unless this process has it; cheap enough for every opening of a job."""
        if self.pid == os.getpid() or self._stopped.is_set():
            return
        with self._lock, guarded("relay.start"):
            if self.pid == os.getpid():
                return
            self._fresh()
            self.pid = os.getpid()
            threading.Thread(target=self._work, name="jobspan-relay", daemon=True).start()

    def _fresh(self) -> None:
        """Forget what belongs to another process: after a fork connections and events are the parent's."""
        self._sender = self._destination = None
        self._awake, self._stopped, self._done = threading.Event(), threading.Event(), threading.Event()
        holder = f"{current_process().uid}-{os.urandom(4).hex()}"
        self._lease = HeldLease(self._ledger, self.outbox.destination, holder, self._timing)

    def stop(self) -> None:
        """Have the thread end after the request it is at, if any; it is not waited for."""
        self._stopped.set()
        self._awake.set()

    def wake(self) -> None:
        """Look at once for something to send."""
        self._awake.set()

    def renew(self) -> None:
        """Give a sign of life while a request hangs; called from another thread now and then."""
        if self.pid == os.getpid() and self._lease is not None:
            with guarded("relay.renew"), suppress(LedgerError):  # busy: half a second later it is tried again
                self._lease.renew()

    def _work(self) -> None:
        with suppress(ProcessEnds):
            self._work_on(self._done)

    def _work_on(self, done: threading.Event) -> None:
        try:
            self.rest(self._timing.poll)  # no libraries are loaded beside a program's first half second
            while not self._stopped.is_set():
                seconds = _TROUBLE_SECONDS
                with ending.working(), guarded("relay"):
                    seconds = self._turn()
                self.rest(seconds)
            with ending.working(), guarded("relay.end"):
                self._give_back()
        finally:
            done.set()

    def rest(self, seconds: float) -> bool:
        """Sleep until woken, at most `seconds`; True if the relay is to stop."""
        if seconds > 0:
            self._awake.wait(seconds)
        self._awake.clear()
        return self._stopped.is_set()

    def _sleep(self, seconds: float) -> bool:
        with ending.waiting():
            return self._stopped.wait(seconds)

    def _turn(self) -> float:
        """Do one thing; return how long to rest."""
        try:
            return self._turn_at_ledger()
        except BusyLedgerError:  # this process, or another, folds: that is over in a moment
            return _BUSY_SECONDS
        except LedgerError as error:
            guard.note("relay.ledger", str(error), level=logging.INFO)
            return _TROUBLE_SECONDS if self._sender is None else 1.0

    def _turn_at_ledger(self) -> float:
        sender = self._sender
        if sender is not None and self._is_stopped(sender):
            self._asked = False
            self._give_back()  # another process may have a better token
            return min(sender.answers.resume_in, self._timing.poll * 4)
        is_late = _clock.monotonic() > self._load_until
        if sender is None and (is_late or not self._has_work()):
            return self._timing.poll
        assert self._lease is not None
        if not self._lease.take():
            self._asked = False
            return min(1.0, self._timing.lease / 10, self._lease.others_seconds() + _SOON_SECONDS)
        if sender is None:
            sender = self._new_sender()
        if self._asked:
            sender.asked = True
        self._busy = True
        try:
            rest = sender.step(self._sleep)
        finally:
            self._busy = False
            self._asked = self._asked and sender.asked
        return min(rest, 1.0)

    def _is_stopped(self, sender: Sender) -> bool:
        return sender.answers.stopped is not None and sender.answers.resume_in > self._timing.poll

    def _has_work(self) -> bool:
        return self._asked or self.outbox.is_waiting()

    def _new_sender(self) -> Sender:
        lease = self._lease
        assert lease is not None
        pace = Pace(self._timing, lease.rested)  # loading the libraries is part of the first wait
        with ending.loading():
            self._destination = destination = self._make(pace)
        poll = CancelPoll(
            self._timing,
            self._budget,
            enabled=self._cancel_poll,
            is_canceled=destination.is_canceled,
            cancel=self._cancel,
            polls=Outbox(self._ledger, f"{self.outbox.destination}#cancel_poll"),
        )
        self._sender = Sender(
            destination, self.outbox, self._timing, self._budget, poll, lease, pace, **self._foreign
        )
        return self._sender

    def _give_back(self) -> None:
        if self._lease is not None and not self._busy:
            with guarded("relay.lease"):
                self._lease.give_back()

    @property
    def trouble(self) -> str | None:
        """Why this process's sender can send nothing at all now: token, base, rights; None: it can."""
        return None if self._sender is None else self._sender.answers.stopped

    # --- waiting for it

    def flush(self, timeout: float, jobs: Iterable[str] | None = None, *, asked: bool = True) -> bool:
        """Have everything that waits now delivered, by whoever sends; True iff that was done in time.

        Gives up early where no attempt will be made in time, or only refused rows are left.

        Args:
            timeout: Seconds.
            jobs: Only rows of these jobs, by inside name; None: all.
            asked: A person waits for it: the schema is looked at again if something could not be shown.
        """
        until = _clock.monotonic() + timeout
        until_ns = _clock.now_ns()
        with guarded("relay.hurry"):
            self.outbox.hurry(jobs, limit=self._sendable(timeout), seconds=max(0.1, min(timeout, 10.0)))
            self._asked = asked and bool(self.outbox.quarantined())
        self.wake()
        while True:
            left = until - _clock.monotonic()
            may_ask = not self._is_being_asked() or left <= 0
            if may_ask and self._is_waiting(until_ns, jobs, refused=False) is False:
                return self._is_waiting(until_ns, jobs) is False
            if left <= 0 or self._silent_seconds() > left:
                return False
            threading.Event().wait(min(0.05, left))

    def _is_being_asked(self) -> bool:
        """Whether this process's own sender is about to look at the schema."""
        return self._asked and self.pid == os.getpid()

    def _sendable(self, seconds: float) -> int:
        """Return how many rows can be sent at most in so many seconds."""
        return min(50_000, 100 + round(10 * seconds / max(0.01, self._timing.spacing)))

    def rows_waiting(self) -> int:
        """Return how many rows are not as the ledger says; 0 where the ledger cannot say."""
        with guarded("relay.waiting"), suppress(LedgerError):
            return self.outbox.waiting().rows
        return 0

    def _is_waiting(
        self, until_ns: int = 2**62, jobs: Iterable[str] | None = None, *, refused: bool | None = None
    ) -> bool | None:
        """Whether something waits; None where the ledger cannot say."""
        with guarded("relay.waiting"), suppress(LedgerError):
            return self.outbox.is_waiting(until_ns, jobs, refused=refused)
        return None

    def _silent_seconds(self) -> float:
        """Return how long no attempt will be made for sure."""
        sender = self._sender
        if sender is not None and sender.answers.resume_in > 0:
            return sender.answers.resume_in
        blocked_ns, _ = self.outbox.blocked()
        return (blocked_ns - _clock.now_ns()) / 1e9

    def end(self, timeout: float, jobs: Iterable[str] | None = None) -> None:
        """Deliver what can be delivered in `timeout` seconds, say what is left, and let go."""
        until = _clock.monotonic() + timeout
        is_sending = self.pid == os.getpid()
        self._load_until = until - _LOADING_SECONDS
        if is_sending and timeout > 0:
            self.flush(timeout, jobs, asked=False)
        if is_sending and timeout > 0:  # else not even a count is waited for: another thread may be folding
            self._say_what_is_left()
        self.stop()
        if is_sending:
            self._done.wait(max(0.0, min(0.2, until - _clock.monotonic())))

    def _say_what_is_left(self) -> None:
        waiting = 0
        with guarded("relay.waiting"), suppress(LedgerError):
            waiting = self.outbox.count_waiting(_COUNTED, seconds=_LAST_WORD_SECONDS)
        if waiting:
            _log.event(
                logging.WARNING,
                "jobspan.delivery.postponed",
                waiting=waiting if waiting < _COUNTED else f"{waiting} or more",
                destination=self.outbox.destination,
                reason="the next process, or `jobspan sync`, delivers them",
            )

    # --- a process of its own

    def run(self, *, until_empty: bool) -> bool:
        """Send on the calling thread until stopped, or until nothing waits.

        Args:
            until_empty: Return when nothing is left that can be delivered now.

        Returns:
            True iff nothing waits.
        """
        self._fresh()
        self.pid = os.getpid()
        try:
            while not self._stopped.is_set():
                rest = 1.0
                with guarded("relay"):
                    rest = self._turn()
                if until_empty and self._is_over():
                    break
                self.rest(rest)
        finally:
            self._give_back()
        return not self.outbox.is_waiting()

    def _is_over(self) -> bool:
        stopped = self._sender is not None and self._sender.answers.stopped is not None
        return stopped or self._is_waiting(refused=False) is False


__all__ = ["Relay"]
