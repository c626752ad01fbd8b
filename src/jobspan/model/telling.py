r"""Parts told whole: all their events stand in one journal, and nothing has to be weighed.

Nearly all client runs are such: an open event, additions, notes, calls booked by their numbers, a normal
close. Their rows follow from these events alone. They are known by their text, which must be exactly as our
handles write it: to find it by one expression takes a fifth of the time it takes to read it as JSON and to
look at every value. What is not exactly so, were it by a blank between two tokens, is left to the fold,
which takes any history; for these it gives the same rows (`tests/model/test_telling.py` compares the two).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from jobspan.model.numbers import Sums
from jobspan.model.settled import WholePart


def _line(*members: str) -> str:
    return r"\{" + ",".join(members) + r"\}\n"


_PLAIN = r"[ !#-\[\]-~]"
_NAME = f"{_PLAIN}+"
_PAIR = r"d[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}"
_CODE = rf"u(?:(?!00[0-7])[0-9a-ce-f][0-9a-f]{{3}}|d[0-7][0-9a-f]{{2}}|{_PAIR})"
_TEXT = rf'(?>(?!"){_PLAIN}*(?:\\(?:["\\]|{_CODE}){_PLAIN}*)*)'
"""What stands between the quotes of a JSON string: not empty, no control character, no surrogate alone.

There is one way to read it (`?>`): to remember others takes 300 bytes of memory for each escape.
"""
_SAID = _TEXT.replace(r'["\\]', r'["\\nrt]')
"""The same of several lines."""
_INSTANT = "[1-8][0-9]{18}"
"""Nanoseconds since the epoch, from 2001 to 2255: of equal length, so their texts sort as they do."""
_SEQ = "[0-9]{1,18}"
_LANE = "(?:0|-?[1-9][0-9]{0,17})"
_COUNT = rf'"(?!errors"){_TEXT}":(?:0|[1-9][0-9]{{0,14}})'
_COUNTS = rf"\{{{_COUNT}(?:,{_COUNT})*\}}"

_OPEN = _line(
    f'"w":"(?P<uid>{_NAME})","q":0,"t":({_INSTANT}),"e":"open","lane":({_LANE}),"parent":"({_NAME})"',
    rf'"kind":"c","job":"({_NAME})","name":"(?P<label>{_TEXT})","client":"(?P=label)"(?:,"part":"({_TEXT})","attempt":1)?',
)
_ADD = _line(rf'"w":"(?P=uid)","q":1,"t":({_INSTANT}),"e":"add","c":({_COUNTS})')
_LATER_ADD = _line(rf'"w":"(?P=uid)","q":{_SEQ},"t":{_INSTANT},"e":"add","c":{_COUNTS}')
_CLOSE = _line(f'"w":"{{writer}}","q":({_SEQ}),"t":({_INSTANT}),"e":"close","how":"ok","lane":({_LANE})')
_CLOSE_BY = _CLOSE.replace("{writer}", "(?P=uid)")
_NUMBER = "(?:0|[1-9][0-9]{0,14})"
_USAGE = (
    r'\{"t":"[0-9a-f]{32}","s":"","b":0,"e":0,"p":"[0-9a-f]{16}"'
    rf',"in":{_NUMBER},"out":{_NUMBER}(?:,"cr":{_NUMBER})?(?:,"re":{_NUMBER})?'
    rf',"sc":"{_TEXT}"(?:,"m":"{_TEXT}")?(?:,"pr":"{_TEXT}")?,"h":true\}}'
)
"""A call booked by hand of which only numbers and names are known (`jobspan.runs.usage.plain_usage`)."""
_LATER = rf'"w":"(?P=uid)","q":{_SEQ},"t":{_INSTANT}'
_LATER_NOTE = _line(_LATER, f'"e":"note","text":"{_SAID}"')
_LATER_USAGE = _line(_LATER, f'"e":"usage","u":{_USAGE}')
_STORY = f"({_OPEN}(?:{_ADD})?((?:{_LATER_ADD}|{_LATER_NOTE}|{_LATER_USAGE})*){_CLOSE_BY})"
"""The events of one writer, side by side."""
_STORY_OR_LINE = re.compile(f"{_STORY}|(.+\n)")
_OPENED = re.compile(_OPEN)
_ADDED = re.compile(_line(f'"w":"{_NAME}","q":({_SEQ}),"t":({_INSTANT}),"e":"add","c":({_COUNTS})'))
_NOTED = re.compile(_line(f'"w":"{_NAME}","q":({_SEQ}),"t":({_INSTANT}),"e":"note","text":"({_SAID})"'))
_USED = re.compile(_line(f'"w":"{_NAME}","q":({_SEQ}),"t":({_INSTANT}),"e":"usage","u":({_USAGE})'))
_CLOSED = re.compile(_CLOSE.replace("{writer}", _NAME))
_WRITER = re.compile(rf'\{{"w":"({_NAME})"')


class Said(NamedTuple):
    """A note or a call in a part told whole, in the texts of its journal."""

    seq: str
    at_ns: str
    text: str


class ToldPart(NamedTuple):
    """A part told whole, in the texts of its journal (JSON without quotes); see `jobspan.model.part.Part`."""

    process: str
    client: str
    """As it is, not as JSON."""
    events: int
    """How many it is told by."""
    story: str
    """Its events, a line each."""
    uid: str
    start_ns: str
    lane: str
    parent: str
    job: str
    label: str
    name: str
    last_ns: str
    """When something was added last; 0: never."""
    counts: str
    """What was added, as a JSON object; empty: nothing."""
    end_ns: str
    end_lane: str
    notes: tuple[Said, ...]
    """Their texts are JSON without quotes."""
    usages: tuple[Said, ...]
    """Their texts are the JSON objects of usage facts."""

    def whole(self) -> WholePart:
        """Return what its run takes from it."""
        start_ns, end_ns = int(self.start_ns), int(self.end_ns)
        return WholePart(json.loads(self.counts or "{}"), start_ns, max(start_ns, end_ns))

    def payloads(self) -> list[bytes]:
        """Return its events as they stand in the journal."""
        return self.story.encode().splitlines()


def tell(
    payloads: Sequence[bytes],
    process: str,
    at_once: int = 32,
    paced: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> tuple[list[ToldPart], list[bytes]]:
    """Return the parts told whole in records of the journal of a process, and all other records.

    Events of one part mostly stand side by side. Where those of several threads alternate, they are sorted.

    Args:
        payloads: The records.
        process: Whose they are.
        at_once: How many are searched together; a part on a border between two such takes longer.
        paced: May wait between the items it gives back.
    """
    told: list[ToldPart] = []
    others: list[str] = []
    for start in paced(range(0, len(payloads), at_once)):
        text = b"\n".join(payloads[start : start + at_once]).decode("latin-1") + "\n"
        for found in _STORY_OR_LINE.findall(text):
            part = None if found[-1] else _side_by_side(found, process)
            if part is not None:
                told.append(part)
            else:
                others += [found[-1]] if found[-1] else found[0].splitlines(keepends=True)
    return told, _left_over(others, process, told) if others else []


def _left_over(lines: list[str], process: str, told: list[ToldPart]) -> list[bytes]:
    """Add the parts told whole in scattered lines to `told`; return the records of all others."""
    stories: dict[str, list[str]] = {}
    for line in lines:
        named = _WRITER.match(line)
        stories.setdefault(named[1] if named else "", []).append(line)
    rest: list[str] = []
    for story in stories.values():
        part = _line_by_line(story, process) if len(story) > 1 else None
        if part is None:
            rest += story
        else:
            told.append(part)
    return [line[:-1].encode("latin-1") for line in rest]


def _side_by_side(found: tuple[str, ...], process: str) -> ToldPart | None:
    """Return the part of a match of `_STORY`."""
    story, last_ns, counts, later, last = found[0], *found[8:12]
    if later:
        notes, usages = (tuple(map(Said._make, kind.findall(later))) for kind in (_NOTED, _USED))
        return _part(process, story, found[1:8], _ADDED.findall(story), found[11:14], notes, usages)
    if last != ("2" if counts else "1"):
        return None
    return _made(process, story, found[1:8], int(last) - 1, last_ns or "0", counts, found[12:14])


def _line_by_line(story: list[str], process: str) -> ToldPart | None:
    """Return the part told by the lines of one writer, however many they are."""
    opened, closed = _OPENED.fullmatch(story[0]), _CLOSED.fullmatch(story[-1])
    if opened is None or closed is None:
        return None
    adds: list[tuple[str, ...]] = []
    notes: list[Said] = []
    usages: list[Said] = []
    for line in story[1:-1]:
        if (added := _ADDED.fullmatch(line)) is not None:
            adds.append(added.groups())
        elif (noted := _NOTED.fullmatch(line)) is not None:
            notes.append(Said._make(noted.groups()))
        elif (used := _USED.fullmatch(line)) is not None:
            usages.append(Said._make(used.groups()))
        else:
            return None
    return _part(process, "".join(story), opened.groups(""), adds, closed.groups(), notes, usages)


def _part(
    process: str,
    story: str,
    opened: Sequence[str],
    adds: Sequence[tuple[str, ...]],
    closed: Sequence[str],
    notes: Sequence[Said] = (),
    usages: Sequence[Said] = (),
) -> ToldPart | None:
    """Return the part these members tell of; None if its events are not numbered one after the other."""
    between = [*adds, *notes, *usages]
    numbers = [seq for seq, _, _ in between]
    if notes or usages:
        numbers.sort(key=int)  # the kinds take turns; the journal has them in order
    if [*numbers, closed[0]] != [str(seq) for seq in range(1, len(between) + 2)]:
        return None
    last_ns = max((at_ns for _, at_ns, _ in between), default="0")
    counts = _sum(adds) if adds else ""
    return _made(process, story, opened, len(between), last_ns, counts, closed[1:], notes, usages)


def _made(
    process: str,
    story: str,
    opened: Sequence[str],
    between: int,
    last_ns: str,
    counts: str,
    ended: Sequence[str],
    notes: Sequence[Said] = (),
    usages: Sequence[Said] = (),
) -> ToldPart:
    label = opened[5]
    client = json.loads(f'"{label}"') if "\\" in label else label
    told = (process, client, between + 2, story, *opened, last_ns, counts, *ended)
    return ToldPart._make((*told, tuple(notes), tuple(usages)))


def _sum(adds: Sequence[tuple[str, ...]]) -> str:
    sums: Sums = {}
    for text, times in Counter([counts for _, _, counts in adds]).items():
        for name, value in json.loads(text).items():
            sums[name] = sums.get(name, 0) + value * times
    return json.dumps(sums, separators=(",", ":"))
