"""Parts told whole: all their events stand in a row in one journal, and nothing has to be weighed.

Nearly all client runs are such: an open event, additions, a normal close. Their rows follow from these
events alone. What is not exactly so is left to the fold, which takes any history; for these it gives the
same rows (`tests/model/test_telling.py` compares the two).
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any, NamedTuple

from jobspan.model.event import Event
from jobspan.model.numbers import Sums
from jobspan.model.settled import WholePart
from jobspan.model.validation import MAX_COUNT, MAX_INSTANT

# Events are as our handles write them: with these members, all of them, and no other. Each is then looked at
# once, in C; asking member by member took half of the time of a fold.
_OPEN = itemgetter("e", "kind", "q", "w", "job", "parent", "name", "client", "t", "lane")
_OPEN_TYPES = (str, str, int, str, str, str, str, str, int, int)
_ADD = itemgetter("e", "q", "t", "c")
_ADD_TYPES = (str, int, int, dict)
_CLOSE = itemgetter("e", "how", "q", "t", "lane")
_CLOSE_TYPES = (str, str, int, int, int)
_WRITER = 1
"""Of an add event and a close: the member by which they were found to be of this part."""


class ToldPart(NamedTuple):
    """A part told whole; see `jobspan.model.part.Part`. `story` are its events."""

    story: list[Event]
    process: str
    uid: str
    job: str
    client: str
    label: str
    parent: str
    lane: int
    name: str
    last_ns: int
    closed_ns: int
    end_lane: int
    whole: WholePart


def told_whole(story: list[Any], process: str) -> ToldPart | None:
    """Return the part that the events of one writer tell whole; they are checked as any others are."""
    opening, closing = story[0], story[-1]
    try:
        opened: tuple[Any, ...] = _OPEN(opening)
        ended: tuple[Any, ...] = _CLOSE(closing)
    except KeyError:
        return None
    if ended[:3] != ("close", "ok", len(story) - 1) or not _are_sound(opened, ended):
        return None
    name = "" if len(opening) == len(opened) else _part_name(opening)
    added = _added(story)
    if name is None or added is None or len(closing) != len(ended) + _WRITER:
        return None
    _, _, _, uid, job, parent, label, client, start_ns, lane = opened
    end_ns, end_lane = ended[3:]
    counts, last_ns = added
    whole = WholePart(counts, start_ns, max(start_ns, end_ns))
    return ToldPart(
        story, process, uid, job, client, label, parent, lane, name, last_ns, end_ns, end_lane, whole
    )


def _are_sound(opened: tuple[Any, ...], ended: tuple[Any, ...]) -> bool:
    """Whether the open event of a client run and its close have values of the right types and bounds."""
    if tuple(map(type, opened)) != _OPEN_TYPES or tuple(map(type, ended)) != _CLOSE_TYPES:
        return False
    kind, of, seq, uid, job, _, label, client, start_ns, lane = opened
    end_ns, end_lane = ended[3:]
    return (
        (kind, of, seq) == ("open", "c", 0)
        and bool(uid and job and label and client)
        and 0 <= start_ns <= MAX_INSTANT
        and 0 <= end_ns <= MAX_INSTANT
        and -MAX_INSTANT <= lane <= MAX_INSTANT
        and -MAX_INSTANT <= end_lane <= MAX_INSTANT
    )


def _part_name(opening: Event) -> str | None:
    """Return how the first attempt of a named part is called; None where more than that is told of it."""
    name, attempt = opening.get("part"), opening.get("attempt")
    is_first = type(attempt) is int and attempt == 1 and len(opening) == len(_OPEN_TYPES) + 2
    return name if is_first and type(name) is str and name else None


def _added(story: list[Any]) -> tuple[Sums, int] | None:
    """Return what the events between the first and the last add up to, and when the latest of them was."""
    counts: Sums = {}
    last_ns = 0
    for seq in range(1, len(story) - 1):
        event = story[seq]
        try:
            kind, number, at_ns, added = found = _ADD(event)
        except KeyError:
            return None
        if tuple(map(type, found)) != _ADD_TYPES or kind != "add" or number != seq:
            return None
        if len(event) != len(found) + _WRITER or not 0 <= at_ns <= MAX_INSTANT:
            return None
        for name, value in added.items():
            if type(value) is not int or not 0 <= value <= MAX_COUNT or name == "errors":
                return None
            counts[name] = counts.get(name, 0) + value
        last_ns = max(last_ns, at_ns)
    return counts, last_ns
