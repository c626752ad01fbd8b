"""What one transaction of the fold takes from the journals: parts told whole, and all other events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from jobspan.model.event import Event, read_objects
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

    def add(self, payloads: Sequence[bytes], process: str) -> int:
        """Add the records found in the journal of a process, in their order; return how many are no events.

        Of each writer all events come together: the fold gives the same records in any order.
        """
        stories: defaultdict[str, list[Event]] = defaultdict(list)
        others: list[Event] = []
        refused = 0
        for event in read_objects(payloads):
            if event is None:
                refused += 1
            elif type(writer := event.get("w")) is str:
                stories[writer].append(event)
            else:
                others.append(event)
        refused += self._add_rest(others, process)
        for story in stories.values():
            part = told_whole(story, process) if len(story) > 1 else None
            if part is None:
                refused += self._add_rest(story, process)
            else:
                self.told.append(part)
        self.size += len(payloads) - refused
        return refused

    def _add_rest(self, events: list[Event], process: str) -> int:
        fit = [event for event in events if is_applicable(event)]
        self.rest += [(event, None if event["e"] == "process" else process) for event in fit]
        return len(events) - len(fit)

    def add_one(self, event: Event, process: str | None) -> None:
        """Add an event known to be applicable."""
        self.rest.append((event, process))
        self.size += 1

    def events(self) -> Events:
        """Return all of it as single events."""
        told: Events = [(event, part.process) for part in self.told for event in part.story]
        return told + self.rest
