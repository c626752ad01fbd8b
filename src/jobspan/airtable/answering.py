"""Which record of an answer is which row that was sent: by id and run id, not by its place alone."""

from __future__ import annotations

from collections.abc import Sequence

from jobspan.model.delivery import Seen, Write


def in_order(rows: Sequence[Write], found: Sequence[Seen]) -> list[Seen] | None:
    """Return the records in the order of `rows`; None if the answer is not about all of them.

    Were a record taken for another row, every later change would be written to the wrong one.
    """
    left = {seen.remote_id: seen for seen in found}
    taken: dict[int, Seen] = {}
    for matches in (_by_id, _by_run_id, _by_letters):
        for place, row in enumerate(rows):
            if place in taken:
                continue
            seen = next((each for each in left.values() if matches(row, each)), None)
            if seen is not None:
                taken[place] = left.pop(seen.remote_id)
    unclear = [place for place in range(len(rows)) if place not in taken]
    nameless = [seen for seen in left.values() if not seen.run_id]
    if len(unclear) > len(nameless) or any(rows[place].remote_id for place in unclear):
        return None
    if unclear and len(found) != len(rows):
        return None
    taken.update(zip(unclear, nameless, strict=False))
    return [taken[place] for place in range(len(rows))]


def _by_id(row: Write, seen: Seen) -> bool:
    return row.remote_id is not None and row.remote_id == seen.remote_id


def _by_run_id(row: Write, seen: Seen) -> bool:
    return row.remote_id is None and bool(seen.run_id) and seen.run_id == row.cells.get("run_id")


def _by_letters(row: Write, seen: Seen) -> bool:
    """Whether the run ids are the same but for what rich text makes of one."""
    if row.remote_id is not None:
        return False
    letters = _letters(seen.run_id)
    return bool(letters) and letters == _letters(str(row.cells.get("run_id") or ""))


def _letters(text: str) -> str:
    return "".join(char for char in text if char.isalnum())
