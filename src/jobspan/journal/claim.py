"""Claims of run ids: one exclusive file per second, so that no two runs of a ledger share an id."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from itertools import count

from jobspan import _clock
from jobspan.journal.place import Place, open_new

_AHEAD_SECONDS = 3600
_PAUSE_SECONDS = 30.0
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9~_-]{0,79}", re.ASCII)


class RunIdClaims:
    """Claims seconds, and the ids made of them, below `place`. No locks: safe anywhere.

    Args:
        place: Where; its folders are made when needed.
        budget_seconds: How long one claim may look for a free second.
    """

    def __init__(self, place: Place, *, budget_seconds: float = 0.05) -> None:
        self._place = place
        self._budget_seconds = budget_seconds
        self._taken = (0, -1)  # seconds known to be taken, first and last
        self._pause_until = float("-inf")

    def claim(self, second: int, render: Callable[[int], str]) -> str | None:
        """Return the id of `second`, or of the next free second up to an hour ahead, now claimed.

        Both the second (UTC, since the epoch) and the rendered text are claimed: a text can come
        again when clocks are set back, or from a process with another zone.

        Returns:
            None when it cannot be had (the folder is not writable, too slow, an hour is full), and
            then None at once for 30 s.
        """
        started = _clock.monotonic()
        if started < self._pause_until:
            return None
        try:
            run_id = self._search(second, render, started + self._budget_seconds)
        except OSError:
            run_id = None
        if run_id is None:
            self._pause_until = _clock.monotonic() + _PAUSE_SECONDS
        return run_id

    def prune(self, older_than_seconds: float) -> int:
        """Delete claims made longer ago; return how many."""
        limit_ns = _clock.now_ns() - round(older_than_seconds * 1e9)
        pruned = 0
        with contextlib.suppress(OSError), os.scandir(self._place.claims) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime_ns < limit_ns:
                        os.unlink(entry.path)
                        pruned += 1
        return pruned

    def _search(self, second: int, render: Callable[[int], str], deadline: float) -> str | None:
        first, last = self._taken
        start = last + 1 if first <= second <= last else second
        for candidate in range(start, second + _AHEAD_SECONDS + 1):
            if candidate > start and _clock.monotonic() > deadline:
                self._taken = (first if start != second else second, candidate - 1)
                return None
            if self._take(f"{candidate}"):
                run_id = render(candidate)
                if self._take(_file_name(run_id)):
                    self._taken = (first if start != second else second, candidate)
                    return run_id
        return None

    def _take(self, name: str) -> bool:
        """Create the claim `name`; False if somebody has it.

        Raises:
            OSError: The system refused.
        """
        path = f"{self._place.claims}/{name}"
        try:
            fd = open_new(path)
        except FileExistsError:
            return False
        except FileNotFoundError:
            self._place.prepare()
            try:
                fd = open_new(path)
            except FileExistsError:
                return False
        os.close(fd)
        return True


def _file_name(run_id: str) -> str:
    """Return a name of our own alphabet for the text of an id; never what names a second."""
    if _FILE_NAME.fullmatch(run_id):
        return f"id-{run_id}"
    import hashlib  # costly to import, hardly ever needed

    return "id-" + hashlib.sha256(run_id.encode("utf-8", "surrogatepass")).hexdigest()


_provisionals: dict[int, Iterator[int]] = {}


def next_provisional() -> int:
    """Return 24 bits for a provisional id, from a random place on: one process never repeats itself.

    Drawn one by one they would collide: 1,000 ids in 3 of 100 cases.
    """
    pid = os.getpid()
    numbers = _provisionals.get(pid)
    if numbers is None:
        numbers = _provisionals.setdefault(pid, count(int.from_bytes(os.urandom(3), "big")))
    return next(numbers) % (1 << 24)
