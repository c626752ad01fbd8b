"""Asks Apify again for the cost of runs that have ended: the first figure is preliminary.

On a daemon thread of its own, never on the caller's path. What the end of the process finds unasked stays
in the ledger: the next process that uses the integration with a client asks, or `refresh`.
"""

from __future__ import annotations

import asyncio
import atexit
import heapq
import inspect
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from jobspan import _clock
from jobspan._guard import guard, guarded
from jobspan.integrations.apify import asking
from jobspan.integrations.apify.asking import LeftOpen
from jobspan.integrations.apify.reading import read_run
from jobspan.integrations.apify.resource import client_of
from jobspan.integrations.patch import unpatched
from jobspan.runs.handle import RunHandle

_AFTER_SECONDS = (10.0, 60.0)
"""After the end of a run; the second time for what takes Apify longer."""
_MOST = 1_000
_RECALL_SECONDS = 600.0
"""How often a process that goes on using the integration looks what others have left."""
_numbers = count()


@dataclass(order=True, slots=True)
class _Question:
    due: float
    number: int
    run_id: str = field(compare=False)
    handle: RunHandle = field(compare=False)
    client: Any = field(compare=False)
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
        self._recalled: float | None = None
        self._recalling: Any = None

    def later(self, handle: RunHandle, run_id: str, client: Any) -> None:
        """Ask for a run again when its figures are final, and book its cost."""
        if self._pid != os.getpid():  # a fork has neither the thread nor the questions of its parent
            self._forget()
        with self._changed:
            if run_id in self._known:
                return
            asking.leave(handle, run_id)
            if len(self._known) < _MOST:
                first, *more = self.after_seconds
                due = self.clock() + first
                question = _Question(due, next(_numbers), run_id, handle, client, tuple(more))
                heapq.heappush(self._waiting, question)
                self._known.add(run_id)
            now = self.clock()
            if self._recalled is None or now - self._recalled > _RECALL_SECONDS:
                self._recalled, self._recalling = now, client
            self._changed.notify()
            if not self._has_thread:
                self._has_thread = True
                threading.Thread(target=self._work, name="jobspan-apify", daemon=True).start()

    def _work(self) -> None:
        while True:
            client = question = None
            with self._changed:
                if self._recalling is not None:
                    client, self._recalling = self._recalling, None
                elif not self._waiting:
                    self._changed.wait()
                elif (left := self._waiting[0].due - self.clock()) > 0:
                    self._changed.wait(min(left, 1.0))
                else:
                    question = heapq.heappop(self._waiting)
            if question is not None:
                self._ask(question)
            elif client is not None:
                with guarded("apify.refetch"):
                    self._recall(client)

    def _recall(self, client: Any) -> None:
        """Ask for what other processes have left, once these have had their time."""
        old_ns = _clock.now_ns() - round(2e9 * sum(self.after_seconds))
        self.ask_all(client, (left for left in asking.left_open_quietly() if left.at_ns < old_ns))

    def ask_all(self, client: Any, left: Iterable[LeftOpen]) -> int:
        """Ask for runs at once; return how many Apify told of."""
        told = 0
        settled_ns = _clock.now_ns() - round(1e9 * self.after_seconds[-1])
        for each in left:
            with self._changed:
                if each.run_id in self._known:
                    continue
            told += self._tell(each.handle, each.run_id, client, is_final=each.at_ns <= settled_ns)
        return told

    def _tell(self, handle: RunHandle, run_id: str, client: Any, *, is_final: bool) -> bool:
        """Ask for a run, and book what it cost; False where Apify does not tell."""
        try:
            found = _fetch(client, run_id)
        except Exception as error:  # noqa: BLE001 - whatever the client raises: it is only a better figure
            guard.note("apify.refetch", f"an Apify run could not be asked again: {type(error).__name__}")
            return False
        if found is None:
            return False
        with guarded("apify.refetch"):
            book_cost(handle, read_run(found))
            if is_final:
                asking.settle(handle, run_id)
            handle.owner_runtime.keeper.start()
        return True

    def _ask(self, question: _Question) -> None:
        self._tell(question.handle, question.run_id, question.client, is_final=not question.later)
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
                why = "when the process ended; it is asked for later"
                question.handle.note(f"the cost of Apify run {question.run_id} was preliminary {why}")
        self._waiting.clear()


def book_cost(handle: RunHandle, run: Any) -> None:
    """Book the cost of a run; one that is not known is left blank."""
    if run.cost_usd is not None:
        handle.record_cost("apify", usd=str(run.cost_usd), id=run.id)


def refresh(client: Any) -> int:
    """Ask Apify now for the costs that were preliminary when their process ended; return how many it told.

    Any process with an `ApifyClient` or `ApifyClientAsync` may call it, say one that a cron starts. The
    integration does it by itself, in the background, wherever it is used with a client. Asked for are runs
    of jobs that began in the last 7 days, at most 200; each until an answer a minute after its end.

    Raises:
        LedgerError: The ledger cannot be read within 2 s.
    """
    return refetching.ask_all(client, asking.left_open())


async def arefresh(client: Any) -> int:
    """Do what `refresh` does, on a thread."""
    return await asyncio.to_thread(refresh, client)


def _fetch(client: Any, run_id: str) -> Any:
    client = client_of(client)
    get = unpatched(client, "run")(run_id).get
    if not inspect.iscoroutinefunction(get):
        return get()
    return asyncio.run(_twin(client).run(run_id).get())


def _twin(client: Any) -> Any:
    """Return a client like an asynchronous one: its connections belong to the loop they were made in."""
    base = getattr(client, "_base_url", None) or getattr(client, "base_url", "https://api.apify.com/v2")
    return type(client)(client.token, api_url=str(base).removesuffix("/v2"))


refetching = Refetching()
atexit.register(refetching.end)  # runs before jobspan's own, which was registered earlier
