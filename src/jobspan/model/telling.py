"""Parts told whole: all their events stand in a row in one journal, and nothing has to be weighed.

Nearly all client runs are such: an open event, additions, a normal close. Their rows follow from these
events alone. What is not exactly so is left to the fold, which takes any history; for these it gives the
same rows (`tests/model/test_telling.py` compares the two).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jobspan.model.event import Event
from jobspan.model.numbers import Sums
from jobspan.model.settled import WholePart
from jobspan.model.validation import MAX_COUNT, MAX_INSTANT, is_object

_OPEN = frozenset(("e", "w", "q", "t", "lane", "parent", "kind", "job", "name", "client"))
_CLOSE = frozenset(("e", "w", "q", "t", "how", "lane"))
_ADD_LENGTH = 5  # e, w, q, t, c


class ToldPart(NamedTuple):
    """A part told whole; see `jobspan.model.part.Part`. `story` are its events."""

    story: list[Event]
    process: str
    uid: str
    job: str
    client: str
    label: str
    parent: str | None
    lane: int
    last_ns: int
    end_lane: int
    whole: WholePart


def told_whole(story: list[Any], process: str) -> ToldPart | None:
    """Return the part that the events of one writer tell whole; they are checked as any others are."""
    opening, closing = story[0], story[-1]
    if opening.get("kind") != "c" or closing.get("how") != "ok" or not _is_framed(opening, closing, story):
        return None
    counts: Sums = {}
    last_ns = 0
    for seq in range(1, len(story) - 1):
        event = story[seq]
        at_ns, added = event.get("t"), event.get("c")
        if event.get("e") != "add" or len(event) != _ADD_LENGTH or not is_object(added):
            return None
        if event.get("q") != seq or type(event["q"]) is not int or not _is_instant(at_ns):
            return None
        for name, value in added.items():
            if type(value) is not int or not 0 <= value <= MAX_COUNT or name == "errors":
                return None
            counts[name] = counts.get(name, 0) + value
        last_ns = max(last_ns, at_ns)
    start_ns = opening["t"]
    return ToldPart(
        story,
        process,
        opening["w"],
        opening["job"],
        opening["client"],
        opening["name"],
        opening.get("parent"),
        opening.get("lane") or 0,
        last_ns,
        closing.get("lane") or 0,
        WholePart(counts, start_ns, max(start_ns, closing["t"])),
    )


def _is_framed(opening: dict[str, Any], closing: dict[str, Any], story: list[Any]) -> bool:
    """Whether the first and last event are an ordinary open event and close, numbered as they should be."""
    if opening.get("e") != "open" or closing.get("e") != "close":
        return False
    if not (opening.keys() <= _OPEN and closing.keys() <= _CLOSE):
        return False
    first, last = opening.get("q"), closing.get("q")
    if first != 0 or last != len(story) - 1 or type(first) is not int or type(last) is not int:
        return False
    parent = opening.get("parent")
    return (
        _is_name(opening["w"])
        and _is_name(opening.get("job"))
        and _is_name(opening.get("client"))
        and _is_name(opening.get("name"))
        and (parent is None or type(parent) is str)
        and _is_instant(opening.get("t"))
        and _is_instant(closing.get("t"))
        and _is_lane(opening.get("lane"))
        and _is_lane(closing.get("lane"))
    )


def _is_name(value: object) -> bool:
    return type(value) is str and value != ""


def _is_instant(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_INSTANT


def _is_lane(value: Any) -> bool:
    return value is None or (type(value) is int and -MAX_INSTANT <= value <= MAX_INSTANT)
