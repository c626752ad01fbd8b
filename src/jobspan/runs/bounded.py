"""Calls that are given up at a deadline: each runs on a daemon thread, which may be left behind.

Python cannot stop a thread. At the deadline the call is left to itself: the end of the process does not
wait for it, and another thread takes its place.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

from jobspan.model.status import Left
from jobspan.runs.deadline import first_deadline, seconds_left
from jobspan.runs.handle import RunHandle

_FINISHING_SECONDS = 1.0
"""A call that ends just at its deadline is given so long to tell its result."""

Answer = tuple[Any, BaseException | None]
Answers = SimpleQueue[Answer]
Task = tuple[Callable[[], Any], Answers]


class Threads:
    """Threads that call functions, one call at a time each; as many as there are callers."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._idle: list[_Thread] = []
        self._waiting: dict[Answers, RunHandle] = {}

    def call(self, function: Callable[[], Any], run: RunHandle) -> Any:
        """Return what `function` returns, called in this context; raise what it raises.

        At the first deadline of `run`, or of one around it, `run` is closed with that deadline's error.

        Raises:
            DeadlineExceeded: The deadline has passed. The function goes on, unheard.
        """
        try:
            thread = self._idle.pop()
        except IndexError:
            thread = _Thread(self._name)
        answers: Answers = SimpleQueue()
        context = contextvars.copy_context()
        self._waiting[answers] = run
        thread.tasks.put((lambda: context.run(function), answers))
        try:
            value, error = _answer(answers, run)
        except BaseException as late:  # a deadline, or an interrupt
            run.finish(late)
            raise
        finally:
            self._waiting.pop(answers, None)
        self._idle.append(thread)
        if error is not None:
            raise error
        return value

    def stop(self, error: Callable[[], BaseException]) -> None:
        """Close the runs of all calls with an error now, and have them raise it; threads are left behind."""
        for answers, run in list(self._waiting.items()):
            why = error()
            run.finish(why)
            answers.put((None, why))

    def close(self) -> None:
        """Let the idle threads end."""
        while self._idle:
            self._idle.pop().tasks.put(None)


def _answer(answers: Answers, run: RunHandle) -> Answer:
    first = first_deadline(run)
    if first is None:
        return answers.get()
    try:
        return answers.get(timeout=seconds_left(first))
    except Empty:
        late = first.deadline_error()
    if run.way_left is None:
        run.note("its thread cannot be stopped and may go on; what it still records is added")
        run.finish(late)
    if run.way_left not in (None, Left.TIMED_OUT):
        try:  # it ended at that very moment
            return answers.get(timeout=_FINISHING_SECONDS)
        except Empty:
            pass
    raise late


class _Thread:
    """A daemon thread that does one task after the other, until it is given None."""

    def __init__(self, name: str) -> None:
        self.tasks: SimpleQueue[Task | None] = SimpleQueue()
        threading.Thread(target=_work, args=(self.tasks,), name=name, daemon=True).start()


def _work(tasks: SimpleQueue[Task | None]) -> None:
    while (task := tasks.get()) is not None:
        function, answers = task
        answer: Answer
        try:
            answer = (function(), None)
        except BaseException as error:  # noqa: BLE001 - it is raised where the call was made
            answer = (None, error)
        answers.put(answer)
        del task, function, answers, answer  # a thread that waits holds on to nothing
