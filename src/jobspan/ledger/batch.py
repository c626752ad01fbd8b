"""What one transaction of the fold takes from the journals: parts told whole, and all other events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from jobspan.model.event import Event
from jobspan.model.telling import ToldPart, told_whole
from jobspan.model.validation import is_applicable

Events = list[tuple[Event, str | None]]
"""Events, each with the process in whose journal it was found; None: it is about the process itself."""


@dataclass(slots=True)
class Batch:
    """Events of some journals, sorted; every one of them can be applied whole."""

    most: int
    """How many events it is meant to hold; the last few may be too many."""
    told: list[ToldPart] = field(default_factory=list[ToldPart])
    rest: Events = field(default_factory=Events)
    size: int = 0
    """How many events it holds."""

    @property
    def is_full(self) -> bool:
        """Whether it holds what it is meant to."""
        return self.size >= self.most

    def add(self, found: list[Event], process: str) -> int:
        """Add what was found in the journal of a process, in its order; return how many are no events."""
        told = {part.uid: part for part in _told(found, process)}
        self.told += told.values()
        rest = [event for event in found if not _is_of(told, event.get("w"))] if told else found
        fit: Events = [(event, process) for event in rest if is_applicable(event)]
        self.rest += fit
        refused = len(rest) - len(fit)
        self.size += len(found) - refused
        return refused

    def add_one(self, event: Event, process: str | None) -> None:
        """Add an event known to be applicable."""
        self.rest.append((event, process))
        self.size += 1

    def events(self) -> Events:
        """Return all of it as single events."""
        told: Events = [(event, part.process) for part in self.told for event in part.story]
        return told + self.rest


def _is_of(told: dict[str, ToldPart], writer: object) -> bool:
    return type(writer) is str and writer in told


def _told(found: Iterable[Event], process: str) -> Iterator[ToldPart]:
    stories: dict[str, list[Event]] = {}
    for event in found:
        writer = event.get("w")
        if type(writer) is not str:
            continue
        story = stories.get(writer)
        if story is None:
            stories[writer] = [event]
        else:
            story.append(event)
    for story in stories.values():
        if len(story) > 1 and (part := told_whole(story, process)) is not None:
            yield part
