"""What a job that goes on knows of its earlier attempts, and which part of them a client run is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobspan.ledger.history import EarlierJob, EarlierPart
    from jobspan.runs.kinds import ClientRun

_MADE_UP = re.compile(r"(?:map|delivery) [0-9a-f]{12} \d+")
"""The names `map` and deliveries give parts: they mean nothing to another attempt of the job."""


class Resumption:
    """The earlier attempts of a job.

    The first entering of a client is another attempt of what was its first entering before, the second
    of its second, and so on, whatever kind of entry they are; one with a ``part=`` of that part.
    """

    def __init__(self, earlier: EarlierJob) -> None:
        self.earlier = earlier
        self.left_out: list[str] = []
        """The clients that were not entered again."""
        self._entered: dict[str, list[object]] = {}
        self._numbers: dict[tuple[str, str], int] = {}

    def assign(self, run: ClientRun) -> None:
        """Tell a fresh client run which part of the earlier attempts it tries again, if any."""
        before = self._before(run)
        if before is not None:
            run.try_again(before.uid, before.attempts)
            run.is_done = before.is_done

    def leave_out(self, run: ClientRun) -> None:
        """Count a client run that is not entered again."""
        self.left_out.append(run.name)

    def is_done(self, client: str, part: str) -> bool:
        """Whether the next entering of a client would be one that is Completed."""
        parts = self.earlier.clients.get(client, [])
        if part:
            return any(before.is_done for before in parts if before.name == part)
        unnamed = [before for before in parts if is_unnamed(before.name)]
        number = len(self._entered.get(client, ()))
        return number < len(unnamed) and unnamed[number].is_done

    def _before(self, run: ClientRun) -> EarlierPart | None:
        parts = self.earlier.clients.get(run.name, [])
        if run.part and not _MADE_UP.fullmatch(run.part):
            return next((before for before in parts if before.name == run.part), None)
        number = self._number(run)
        unnamed = [before for before in parts if is_unnamed(before.name)]
        return unnamed[number] if number < len(unnamed) else None

    def _number(self, run: ClientRun) -> int:
        """Return how often its client was entered before; retries in `map` count once."""
        known = self._numbers.get((run.name, run.part)) if run.part else None
        if known is not None:
            return known
        entered, mine = self._entered.setdefault(run.name, []), object()
        entered.append(mine)
        number = entered.index(mine)  # two threads that enter one client get different numbers
        if run.part:
            self._numbers[run.name, run.part] = number
        return number


def is_unnamed(name: str) -> bool:
    """Whether a part has no name that means anything to another attempt."""
    return not name or _MADE_UP.fullmatch(name) is not None
