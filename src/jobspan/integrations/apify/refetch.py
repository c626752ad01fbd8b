"""Asks Apify again for the cost of runs that have ended: the first figure is preliminary.

On a daemon thread of its own, never on the caller's path. What the end of the process finds unasked is
said in the notes of its run.
"""

from __future__ import annotations

import asyncio
import atexit
import heapq
import inspect
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from jobspan import _clock
from jobspan._guard import guard, guarded
from jobspan.runs.handle import RunHandle

_AFTER_SECONDS = (10.0, 60.0)
"""After the end of a run; the second time for what takes Apify longer."""
_MOST = 1_000
_numbers = count()


@dataclass(order=True, slots=True)
class _Question:
    due: float
    number: int
    run_id: str = field(compare=False)
    handle: RunHandle = field(compare=False)
    client: Any = field(compare=False)
    tell: Callable[[Any], None] = field(compare=False)
    later: tuple[float, ...] = field(compare=False)


class Refetching:
    """The questions of this process that wait to be asked, and the thread that asks them."""

    def __init__(self, after_seconds: tuple[float, ...] = _AFTER_SECONDS) -> None:
        self.after_seconds = after_seconds
        self.clock: Callable[[], float] = _clock.monotonic
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._waiting: list[_Question] = []
        self._known: set[str] = set()
        self._changed = threading.Condition()
        self._has_thread = False

    def later(self, handle: RunHandle, run_id: str, client: Any, tell: Callable[[Any], None]) -> None:
        """Ask for a run again when its figures are final, and `tell` what was found."""
        if self._pid != os.getpid():  # a fork has neither the thread nor the questions of its parent
            self._forget()
        with self._changed:
            if run_id in self._known:
                return
            if len(self._known) >= _MOST:
                handle.note(f"the cost of Apify run {run_id} is preliminary: too many wait to be asked again")
                return
            first, *more = self.after_seconds
            due = self.clock() + first
            question = _Question(due, next(_numbers), run_id, handle, client, tell, tuple(more))
            heapq.heappush(self._waiting, question)
            self._known.add(run_id)
            self._changed.notify()
            if not self._has_thread:
                self._has_thread = True
                threading.Thread(target=self._work, name="jobspan-apify", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                left = self._waiting[0].due - self.clock()
                if left > 0:
                    self._changed.wait(min(left, 1.0))
                    continue
                question = heapq.heappop(self._waiting)
            self._ask(question)

    def _ask(self, question: _Question) -> None:
        try:
            found = _fetch(question.client, question.run_id)
        except Exception as error:  # noqa: BLE001 - whatever the client raises: it is only a better figure
            guard.note("apify.refetch", f"an Apify run could not be asked again: {type(error).__name__}")
        else:
            with guarded("apify.refetch"):
                if found is not None:
                    question.tell(found)
                question.handle.owner_runtime.keeper.start()
        with self._changed:
            if question.later:
                question.due += question.later[0] - self.after_seconds[0]
                question.later = question.later[1:]
                heapq.heappush(self._waiting, question)
            else:
                self._known.discard(question.run_id)

    def end(self) -> None:
        """Say in the notes which costs nobody has asked for again."""
        if self._pid != os.getpid():
            return
        for question in list(self._waiting):
            if len(question.later) == len(self.after_seconds) - 1:  # not even once
                why = "the process ended before it was final"
                text = f"the cost of Apify run {question.run_id} is preliminary: {why}"
                question.handle.note(text)
        self._waiting.clear()


def _fetch(client: Any, run_id: str) -> Any:
    get = client.run(run_id).get
    if not inspect.iscoroutinefunction(get):
        return get()
    return asyncio.run(_twin(client).run(run_id).get())


def _twin(client: Any) -> Any:
    """Return a client like an asynchronous one: its connections belong to the loop they were made in."""
    base = getattr(client, "_base_url", None) or getattr(client, "base_url", "https://api.apify.com/v2")
    return type(client)(client.token, api_url=str(base).removesuffix("/v2"))


refetching = Refetching()
atexit.register(refetching.end)  # runs before jobspan's own, which was registered earlier
