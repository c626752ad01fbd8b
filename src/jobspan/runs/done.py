"""What other jobs of the same type have done of late: `done_within`.

The ledger is asked for at most 2 s. Where it cannot be read, nothing counts as done: the work runs, a note
and `health()` say so, and the same job asks again only after a minute.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from jobspan import _clock
from jobspan._guard import guard, guarded
from jobspan.exceptions import LedgerError
from jobspan.runs.job import JobRun
from jobspan.runs.option import Duration, seconds_of, whole_number

if TYPE_CHECKING:
    from jobspan.ledger.history import DoneClient
    from jobspan.runs.handle import RunHandle
    from jobspan.runs.kinds import ClientRun

_READ_SECONDS = 2.0
_PAUSE_SECONDS = 60.0
_ASKING = guarded("done_within")
_unreadable: WeakKeyDictionary[JobRun, float] = WeakKeyDictionary()
"""When the ledger could not be read for a job."""


class DoneOfLate:
    """The clients that loops with ``done_within=`` leave out."""

    def __init__(self, job: JobRun, within: Duration, min_items: int) -> None:
        self._job = job
        self._within = within
        self._seconds = seconds_of(within, "done_within")
        self._least = whole_number(min_items, "min_items", 0)
        self._done: dict[str, DoneClient] | None = None
        self._left_out = 0
        self._lock = threading.Lock()

    def read(self) -> None:
        """Read the ledger, if that was not done yet; any thread may."""
        with self._lock:
            if self._done is None:
                self._done = _done_clients(self._job, self._job, self._seconds, self._least, None)

    def leaves_out(self, run: ClientRun) -> bool:
        """Whether a client is left out; it is counted."""
        self.read()
        with self._lock:
            is_done = bool(run.name) and run.name in (self._done or ())
            self._left_out += is_done
        return is_done

    def tell(self) -> None:
        """Say in the notes of the job how many were left out."""
        count, self._left_out = self._left_out, 0
        if count:
            text = f"with at least {self._least:,} posts, leads and items, " if self._least else ""
            self._job.note(f"{count:,} clients were left out: Completed {text}within {self._within}")


def done_within(run: ClientRun, within: Duration, min_items: int) -> bool:
    """Do what `ClientRun.done_within` promises."""
    seconds, least = seconds_of(within, "done_within"), whole_number(min_items, "min_items", 0)
    return bool(run.name) and run.name in _done_clients(run.job, run, seconds, least, run.name)


def _done_clients(
    job: JobRun, run: RunHandle, seconds: float, least: int, client: str | None
) -> dict[str, DoneClient]:
    if not job.job_uid or _clock.monotonic() - _unreadable.get(job, -_PAUSE_SECONDS) < _PAUSE_SECONDS:
        return {}
    with _ASKING:
        try:
            with job.owner_runtime.reading(_READ_SECONDS) as reader:
                since_ns = _clock.now_ns() - round(seconds * 1e9)
                return reader.history.done_clients(job.job_uid, since_ns, least, client)
        except LedgerError as error:
            _unreadable[job] = _clock.monotonic()
            guard.note("done_within", str(error))
            told = run if run.is_recording else job
            told.note(f"done_within: the ledger cannot be read, so the work runs: {error}")
    return {}
