"""Threads that work off what one thread gives them: a pool without a future, and its locks, for each call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

Task = tuple[int, Callable[[], Any]]
Done = tuple[int, Any, BaseException | None]


class Workers:
    """At most `size` threads, started as they are needed; used by one thread.

    As with a ThreadPoolExecutor, the end of the process waits for calls under way.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._started = 0
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        self._done: SimpleQueue[Done] = SimpleQueue()

    def give(self, place: int, function: Callable[[], Any]) -> None:
        """Have `function` called by one of the threads.

        Raises:
            RuntimeError: Not one thread could be started.
        """
        self._tasks.put((place, function))
        if self._started < self._size:
            thread = threading.Thread(
                target=_work, args=(self._tasks, self._done), name=f"{self._name}_{self._started}"
            )
            try:
                thread.start()
            except RuntimeError:  # no more threads, or the interpreter ends
                if not self._started:
                    raise
                self._size = self._started
            else:
                self._started += 1

    def take(self) -> tuple[int, Any]:
        """Wait for a call to end; return its place and what it returned, or raise what it raised."""
        place, value, error = self._done.get()
        if error is not None:
            raise error
        return place, value

    def close(self) -> None:
        """Let the threads end when what was given is done."""
        self._tasks.put(None)  # handed on: an interrupted start may have left more threads than are counted

    def drop(self) -> None:
        """Take back what no thread has begun."""
        try:
            while True:
                self._tasks.get_nowait()
        except Empty:
            return


def _work(tasks: SimpleQueue[Task | None], done: SimpleQueue[Done]) -> None:
    while (task := tasks.get()) is not None:
        place, function = task
        answer: Done
        try:
            answer = (place, function(), None)
        except BaseException as error:  # noqa: BLE001 - it is raised where results are taken
            answer = (place, None, error)
        done.put(answer)
        del task, function, answer  # a thread that waits holds on to nothing
    tasks.put(None)
