"""The turn of one job type: who has it looks at the jobs there are, and opens one, before anybody else does.

A lock on a file beside the ledger, held for moments: a process that dies lets go of it. What is seen
and opened under it stands in the ledger and the journals alone, so no claim outlives its job.
"""

from __future__ import annotations

import zlib
from contextlib import ExitStack

from jobspan import _clock
from jobspan._composition import Runtime
from jobspan.journal.lock import locked

_PAUSE_SECONDS = 0.005


class Turn:
    """The turn of the type `job_type`: take it, look, open, let go."""

    def __init__(self, owner: Runtime, job_type: str) -> None:
        digest = zlib.crc32(
            job_type.encode("utf-8", "backslashreplace")
        )  # equal ones only wait for each other
        self._place = owner.ledger.place
        self._path = self._place.root / f"open-{digest:08x}.lock"
        self._held = ExitStack()

    def take(self, until: float) -> None:
        """Wait for it until an instant of the monotonic clock.

        Raises:
            TimeoutError: Others have it for all that time.
            OSError: The file cannot be made.
        """
        self._place.prepare()
        while True:
            try:
                self._held.enter_context(locked(self._path))
                return
            except BlockingIOError as error:
                if _clock.monotonic() >= until:
                    raise TimeoutError(
                        "other processes were opening jobs of this type all the time"
                    ) from error
            _clock.sleep(_PAUSE_SECONDS)

    def let_go(self) -> None:
        """Let the next one have it."""
        self._held.close()
