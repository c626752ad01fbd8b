"""What one transaction of the fold takes from the journals: parts told whole, and all other events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from jobspan._breath import is_in_pieces, paced
from jobspan.model.event import Event, read_objects
from jobspan.model.telling import ToldPart, tell
from jobspan.model.validation import is_applicable

_AT_ONCE = 16
"""Records read without a breath."""
_TOLD_AT_ONCE, _TOLD_IN_A_FLOOD = 32, 512
"""Records searched for parts told whole without a breath: 32 take 0.05 ms, on a busy machine twice that."""

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

        The parts told whole come before all else: the fold gives the same records in any order.
        """
        told, others = tell(payloads, process, _TOLD_AT_ONCE if is_in_pieces() else _TOLD_IN_A_FLOOD, paced)
        rest = [event for event in _objects(others) if event is not None and is_applicable(event)]
        self.told += told
        self.rest += [(event, None if event["e"] == "process" else process) for event in rest]
        added = sum(part.events for part in told) + len(rest)
        self.size += added
        return len(payloads) - added

    def add_one(self, event: Event, process: str | None) -> None:
        """Add an event known to be applicable."""
        self.rest.append((event, process))
        self.size += 1

    def events(self) -> Events:
        """Return all of it as single events."""
        return events_of(self.told) + self.rest


def events_of(told: Iterable[ToldPart]) -> Events:
    """Return the events of parts told whole."""
    return [
        (event, part.process) for part in told for event in read_objects(part.payloads()) if event is not None
    ]


def _objects(payloads: Sequence[bytes]) -> Iterator[Event | None]:
    step = _AT_ONCE if is_in_pieces() else max(1, len(payloads))
    for start in paced(range(0, len(payloads), step)):
        yield from read_objects(payloads[start : start + step])
