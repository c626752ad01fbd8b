"""A run that has ended, as far as it is still needed: to take what comes late."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from jobspan import _clock
from jobspan.journal import process
from jobspan.runs.naming import key_of, names_text

if TYPE_CHECKING:
    from jobspan._composition import Runtime
    from jobspan.runs.budget import Budget
    from jobspan.spans.roster import Names

_writers = count().__next__


class Departed:
    """The home of LLM calls that end after their run; small, for thousands are kept."""

    __slots__ = ("_runtime", "budget", "job_uid", "level", "top_uid", "trace_id", "uid")

    def __init__(
        self,
        runtime: Runtime,
        level: str,
        uid: str,
        top_uid: str,
        job_uid: str,
        trace_id: int,
        budget: Budget | None,
    ) -> None:
        self._runtime = runtime
        self.level = level
        self.uid = uid
        self.top_uid = top_uid
        self.job_uid = job_uid
        self.trace_id = trace_id
        self.budget = budget

    @property
    def is_known(self) -> bool:
        """Whether it is recorded at all."""
        return True

    @property
    def client_key(self) -> str:
        """Empty: nothing is guessed to belong to it."""
        return ""

    def book(self, body: str) -> None:
        """Write one event of the run, by a writer of its own; `body` is JSON text without braces."""
        runtime = self._runtime
        writer = f"{self.uid}.{runtime.uid_prefix(process.pid())}d{_writers():x}"
        runtime.append(f'{{"w":"{writer}","p":"{self.uid}","q":0,"t":{_clock.now_ns()},{body}}}')

    def clean_names(self, names: Names) -> Names:
        """Return the names of scopes, models and providers without secrets."""
        return names_text(self._runtime, names)

    def clean_key(self, key: str) -> str:
        """Return an id without secrets."""
        return key_of(self._runtime, key)
