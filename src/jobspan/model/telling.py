r"""Parts told whole: all their events stand in one journal, and nothing has to be weighed.

Nearly all client runs are such: an open event, additions, a normal close. Their rows follow from these
events alone. They are known by their text, which must be exactly as our handles write it: to find it by one
expression takes a fifth of the time it takes to read it as JSON and to look at every value. What is not
exactly so, were it by a blank between two tokens, is left to the fold, which takes any history; for these
it gives the same rows (`tests/model/test_telling.py` compares the two).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from jobspan.model.numbers import Sums, add_sums
from jobspan.model.settled import WholePart

_AT_ONCE = 64
"""Records searched at once; it holds the interpreter for 0.1 ms."""


def _line(*members: str) -> str:
    return r"\{" + ",".join(members) + r"\}\n"


_PLAIN = r"[ !#-\[\]-~]"
_NAME = f"{_PLAIN}+"
_PAIR = r"d[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}"
_CODE = rf"u(?:(?!00[0-7])[0-9a-ce-f][0-9a-f]{{3}}|d[0-7][0-9a-f]{{2}}|{_PAIR})"
_TEXT = rf'(?!"){_PLAIN}*(?:\\(?:["\\]|{_CODE}){_PLAIN}*)*'
"""What stands between the quotes of a JSON string: not empty, no control character, no surrogate alone."""
_INSTANT = "[1-8][0-9]{18}"
"""Nanoseconds since the epoch, from 2001 to 2255: of equal length, so their texts sort as they do."""
_LANE = "(?:0|-?[1-9][0-9]{0,17})"
_COUNT = rf'"(?!errors"){_TEXT}":(?:0|[1-9][0-9]{{0,14}})'
_COUNTS = rf"\{{{_COUNT}(?:,{_COUNT})*\}}"

_OPEN = _line(
    f'"e":"open","w":"({_NAME})","q":0,"t":({_INSTANT}),"lane":({_LANE}),"parent":"({_NAME})"',
    rf'"kind":"c","job":"({_NAME})","name":"({_TEXT})","client":"\7"(?:,"part":"({_TEXT})","attempt":1)?',
)
_ADD = _line(rf'"w":"\2","q":1,"t":({_INSTANT}),"e":"add","c":({_COUNTS})')
_LATER_ADD = _line(rf'"w":"\2","q":[0-9]+,"t":{_INSTANT},"e":"add","c":{_COUNTS}')
_CLOSE = _line(rf'"w":"\2","q":([0-9]+),"t":({_INSTANT}),"e":"close","how":"ok","lane":({_LANE})')
_STORY = f"({_OPEN}(?:{_ADD}((?:{_LATER_ADD})*))?{_CLOSE})"
"""The events of one writer (\\2)."""
_STORY_OR_LINE = re.compile(f"{_STORY}|(.+\n)")
_ONE_STORY = re.compile(_STORY)
_ADDED = re.compile(_line(f'"w":"{_NAME}","q":([0-9]+),"t":({_INSTANT}),"e":"add","c":({_COUNTS})'))
_WRITER = re.compile(rf'\{{(?:"e":"open",)?"w":"({_NAME})"')


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

    def whole(self) -> WholePart:
        """Return what its run takes from it."""
        start_ns, end_ns = int(self.start_ns), int(self.end_ns)
        return WholePart(json.loads(self.counts or "{}"), start_ns, max(start_ns, end_ns))

    def payloads(self) -> list[bytes]:
        """Return its events as they stand in the journal."""
        return self.story.encode().splitlines()


def tell(
    payloads: Sequence[bytes], process: str, paced: Callable[[Iterable[int]], Iterable[int]] = iter
) -> tuple[list[ToldPart], list[bytes]]:
    """Return the parts told whole in records of the journal of a process, and all other records.

    Events of one part mostly stand side by side. Where those of several threads alternate, they are sorted.

    Args:
        payloads: The records.
        process: Whose they are.
        paced: May wait between the items it gives back.
    """
    told: list[ToldPart] = []
    others: list[str] = []
    for start in paced(range(0, len(payloads), _AT_ONCE)):
        text = b"\n".join(payloads[start : start + _AT_ONCE]).decode("latin-1") + "\n"
        for found in _STORY_OR_LINE.findall(text):
            part = None if found[-1] else _part(found, process)
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
        found = _ONE_STORY.fullmatch("".join(story)) if 2 <= len(story) <= _AT_ONCE else None
        part = _part((*found.groups(""), ""), process) if found else None
        if part is None:
            rest += story
        else:
            told.append(part)
    return [line[:-1].encode("latin-1") for line in rest]


def _part(found: tuple[str, ...], process: str) -> ToldPart | None:
    """Return the part of a match of `_STORY`; None if its events are not numbered one after the other."""
    label = found[6]
    last_ns, counts, later, last = found[8:12]
    added = 1 if counts else 0
    if later:
        adds = _ADDED.findall(found[0])
        if [seq for seq, _, _ in adds] != [str(seq) for seq in range(1, len(adds) + 1)]:
            return None
        added, last_ns, counts = len(adds), max(at_ns for _, at_ns, _ in adds), _sum(adds)
    if last != str(added + 1):
        return None
    client = json.loads(f'"{label}"') if "\\" in label else label
    return ToldPart._make((process, client, added + 2, *found[:8], last_ns or "0", counts, *found[12:14]))


def _sum(adds: Sequence[tuple[str, str, str]]) -> str:
    sums: Sums = {}
    for _, _, counts in adds:
        add_sums(sums, json.loads(counts))
    return json.dumps(sums, separators=(",", ":"))
