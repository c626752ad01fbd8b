"""Which runs this process knows, found by the span of theirs: for telling what an LLM call belongs to."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from jobspan.model.usage.fact import UsageFact

_KEPT_CLOSED = 4_096

Names = tuple[str | None, ...]
Remains = tuple[Any, ...]
"""What is kept of a run that ended: what makes a small home of it, and that call's arguments."""


class Purse(Protocol):
    """What limits the usage of a run."""

    def take(self, home: Home, fact: UsageFact, by: str = "") -> None:
        """Take a fact that was booked on a run; `by` says how the run was guessed."""
        ...

    def void(self, home: Home, trace_id: str, span_id: str) -> None:
        """Take away a fact that turned out to belong elsewhere."""
        ...


class Home(Protocol):
    """A run as this module needs it. What is booked after its end is kept."""

    @property
    def level(self) -> str:
        """Its kind: job, client_run or operation."""
        ...

    @property
    def uid(self) -> str:
        """The uid of its part."""
        ...

    @property
    def trace_id(self) -> int:
        """The trace of its span; 0: none."""
        ...

    @property
    def budget(self) -> Purse | None:
        """What takes the usage that is booked, where it is limited."""
        ...

    @property
    def is_known(self) -> bool:
        """Whether it is recorded at all."""
        ...

    @property
    def job_uid(self) -> str:
        """The uid of its job."""
        ...

    @property
    def top_uid(self) -> str:
        """The uid of the job's or client run's part it stands in, or is."""
        ...

    @property
    def client_key(self) -> str:
        """What is equal for the parts of one client run."""
        ...

    def book(self, body: str) -> None:
        """Write one event of this run; `body` is its own part, as JSON text without braces."""
        ...

    def clean_names(self, names: Names) -> Names:
        """Return the names of scopes, models and providers without secrets."""
        ...

    def clean_key(self, key: str) -> str:
        """Return an id without secrets."""
        ...


def _nowhere() -> Home | None:
    return None


class Roster:
    """The open runs of this process, and those that closed of late. Bounded; no lock: single dict calls."""

    def __init__(self) -> None:
        self.live: Callable[[], Home | None] = _nowhere
        """Gives the innermost run of the context of the caller; set by who keeps that context."""
        self.bucket: Callable[[], Home | None] = _nowhere
        """Gives the job for calls that could be of several jobs; set by who opens jobs."""
        self.is_empty = True
        """Whether no run was opened here so far; set by who writes `opened`."""
        self.is_asked = False
        """Whether a span processor is there that looks for the runs spans belong to."""
        self.opened: dict[int, weakref.ref[Any]] = {}
        """The runs that are open, by the ids of their spans, in order; written as a run opens.

        Weak: a run that was abandoned without being left must not stay open here for ever.
        """
        self._closed: dict[int, Remains] = {}
        self._closed_before: dict[int, Remains] = {}

    def closed(self, span_id: int, remains: Remains) -> None:
        """Note that a run closed; spans that end later still find it for a while, made anew of `remains`."""
        if self.opened.pop(span_id, None) is None:
            return
        closed = self._closed
        if len(closed) >= _KEPT_CLOSED:
            self._closed_before, closed = closed, {}
            self._closed = closed
        closed[span_id] = remains

    def open(self) -> list[Home]:
        """Return the runs that are open, in the order they were opened; forget those that were abandoned."""
        homes: list[Home] = []
        for span_id, known in list(self.opened.items()):
            home = known()
            if home is None:
                self.opened.pop(span_id, None)
            else:
                homes.append(home)
        return homes

    def forget(self) -> None:
        """Forget all runs."""
        self.opened.clear()
        self._closed, self._closed_before = {}, {}
        self.is_empty = True

    def by_span(self, span_id: int) -> Home | None:
        """Return the run whose own span this is."""
        known = self.opened.get(span_id)
        home: Home | None = None if known is None else known()
        if home is not None:
            return home
        remains = self._closed.get(span_id) or self._closed_before.get(span_id)
        if remains is None:
            return None
        departed: Home = remains[0](*remains[1:])
        return departed

    def last_resort(self) -> tuple[Home | None, str]:
        """Return where a call goes that no run can be found for: the bucket, if any job is open here."""
        if any(home.level == "job" for home in self.open()):
            return self.bucket(), "job"
        return None, ""

    def guess(self) -> tuple[Home | None, str]:
        """Return where a call without any context goes: the only open client run, else the only job.

        With it, how that was found: "only" or "job". None where several jobs are open (then there is the
        `bucket`), or none is.
        """
        homes = self.open()
        clients = {home.client_key: home for home in homes if home.level == "client_run"}
        if len(clients) == 1:
            return next(iter(clients.values())), "only"
        jobs = {home.uid: home for home in homes if home.level == "job"}
        owners = {home.job_uid for home in clients.values()} or jobs.keys()
        return (jobs.get(next(iter(owners))) if len(owners) == 1 else None), "job"


roster = Roster()
"""Of this process. One for all: a user's tracer provider outlives any `configure`."""
