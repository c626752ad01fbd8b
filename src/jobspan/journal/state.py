"""What a journal writer keeps for one process, and the words it has for trouble."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading

from jobspan import _clock
from jobspan._guard import guard
from jobspan.exceptions import LedgerError
from jobspan.journal import process
from jobspan.journal.backlog import Backlog
from jobspan.journal.segment import FullError, Segment

FIRST_ROOM_BYTES = 512 * 1024
"""A process that says little reserves little; each segment that fills up is followed by a larger one."""


class WriterState:
    """What belongs to one process; a forked child starts with a new one."""

    def __init__(self, pid: int, buffer_bytes: int) -> None:
        self._pid = pid
        self.lock = threading.RLock()  # a signal handler may come in again
        self.backlog = Backlog(buffer_bytes)
        self.segment: Segment | None = None
        self.is_spoiled = False  # a record was torn, or the file is lost: only a new segment will do
        self.unsynced: list[Segment] = []
        self.keeps_unsynced = False
        self.retry_at = self.opened_at = 0.0
        self.trouble: str | None = None
        self.is_told = False  # that there is trouble, in the log
        self.news: list[str] = []
        self.lost_files = 0
        self.room_bytes = FIRST_ROOM_BYTES  # what the next segment reserves
        self.stem = f"{pid}-{_clock.now_ns()}-{os.urandom(4).hex()}"
        self.numbers = itertools.count(1)

    def is_own(self) -> bool:
        """Tell whether this process is the one it belongs to."""
        return self._pid == process.pid()


def is_foreign(error: OSError | ValueError) -> bool:
    """Tell whether `error` is no failure of the disk, but raised by a signal handler meanwhile.

    A handler's ``TimeoutError("too slow")`` is an OSError too, without the number the system gives; the
    ValueError of a mapping comes from C, not out of a frame below the one that caught it.
    """
    if isinstance(error, FullError):
        return False
    if isinstance(error, ValueError):
        return error.__traceback__ is not None and error.__traceback__.tb_next is not None
    return error.errno is None and not isinstance(error, LedgerError)


def tell(state: WriterState) -> None:
    """Log what happened, outside of the lock: a logging handler may itself be slow, or append."""
    while state.news:
        with contextlib.suppress(IndexError):
            guard.note("journal", state.news.pop(0))
