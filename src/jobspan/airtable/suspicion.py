"""Finds by halves the cell for which a row is refused, where the refusal names no column."""

from __future__ import annotations

from dataclasses import dataclass, field

from jobspan.model.delivery import Write

_KEY = "run_id"
_NOTES = "system_notes"
_MOST_CONVICTED = 3
"""A row refused for more cells than that is refused for another reason."""


@dataclass(slots=True)
class _Search:
    trying: list[str]
    held: list[str] = field(default_factory=list[str])
    convicted: list[str] = field(default_factory=list[str])


class Suspicion:
    """What is being tried, by table and run id. A cell held back is sent once the others are known good."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], _Search] = {}
        self._given_up: set[tuple[str, str]] = set()

    def clear(self) -> None:
        """Forget everything: the schema was read anew."""
        self._open.clear()
        self._given_up.clear()

    def holds(self, kind: str, field: str, run_id: str) -> bool:
        """Whether a cell is held back for now, or was found to be refused."""
        search = self._open.get((kind, run_id))
        return search is not None and (field in search.held or field in search.convicted)

    def owes(self, kind: str, run_id: str) -> bool:
        """Take note that a row was written; True if cells of it are still to be tried."""
        search = self._open.get((kind, run_id))
        if search is None:
            return False
        if not search.held:
            del self._open[kind, run_id]
            return False
        search.trying, search.held = search.held, []
        return True

    def refused(self, kind: str, row: Write) -> tuple[bool, str | None]:
        """Take note that a row was refused by itself.

        Returns:
            Whether to send it again, with what is not held back; the field found to be to blame, if any.
        """
        place = (kind, row.run_id)
        if place in self._given_up:
            return False, None
        needed = {_KEY} if row.claim is None else {_KEY, _NOTES}
        sent = [name for name in row.cells if name not in needed]
        search = self._open.setdefault(place, _Search(sent))
        suspects = [name for name in search.trying if name in row.cells]
        if len(suspects) > 1:
            half = len(suspects) // 2
            search.trying, search.held = suspects[:half], suspects[half:] + search.held
            return True, None
        guilty = next(iter(suspects or [name for name in (_NOTES, _KEY) if name in row.cells]), None)
        if guilty is None or len(search.convicted) >= _MOST_CONVICTED:
            del self._open[place]
            self._given_up.add(place)
            return False, None
        search.convicted.append(guilty)
        search.trying, search.held = search.held, []
        return True, guilty
