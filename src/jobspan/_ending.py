"""How background threads end with the process: never amid something that must not be broken off.

An interpreter that ends stops each daemon thread where it next asks for the interpreter lock, by unwinding
its stack. Through Python and C that goes well, but that a line half written to stderr may keep its lock for
good. Through Rust that called Python it aborts the process: on CPython 3.11 3 of 200 ended so whose thread
was importing pyairtable, which loads pydantic, and 119 of 120 whose thread was checking models. So threads
say what they are at, and the exit waits for it, as its last thing.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

from jobspan import _clock

_WORK_SECONDS = 0.1
"""An exit waits so long for a piece of work; what lasts longer is Python and C, and may be stopped."""
_LINE_SECONDS = 0.4
_MODULE_SECONDS = 5.0
_LOOK_SECONDS = 0.002


class ProcessEnds(BaseException):
    """Raised in a background thread that is to do nothing more; the thread's own function ends it."""


class Ending:
    """Knows what threads are at, and whether the process ends. It has no lock: a fork may happen anywhere."""

    def __init__(self) -> None:
        self._is_over = False
        self._workers: set[int] = set()
        self._amid: dict[int, float] = {}
        """Threads that are amid something, and for how many seconds an exit waits for it."""
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """Forget the threads of the parent."""
        me = threading.get_ident()
        self._is_over = False
        self._workers &= {me}
        self._amid = {me: self._amid[me]} if me in self._amid else {}

    @contextmanager
    def working(self) -> Generator[None]:
        """Enclose one piece of work of a background thread.

        Raises:
            ProcessEnds: It is not to be begun, or not to be gone on with.
        """
        me = threading.get_ident()
        self._workers.add(me)
        try:
            with self._within(me, _WORK_SECONDS):
                yield
        finally:
            self._workers.discard(me)

    @contextmanager
    def writing(self) -> Generator[None]:
        """Enclose the writing of a line of log; free of charge on threads of the work."""
        me = threading.get_ident()
        if me not in self._workers:
            yield
            return
        with self._within(me, _LINE_SECONDS):
            yield

    @contextmanager
    def loading(self) -> Generator[None]:
        """Enclose the import of a library: an exit ends it before the next of its modules.

        Raises:
            ProcessEnds: On a thread amid work of ours.
        """
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)  # it stays: who takes it away may make another import miss a finder
        with self._within(threading.get_ident(), _MODULE_SECONDS):
            yield

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Find no module; asked before each is loaded, it ends the thread that is to load no more."""
        me = threading.get_ident()
        if self._is_over and self._amid.get(me) == _MODULE_SECONDS:
            self._check(me)

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Enclose a system call amid a piece of work, which an exit does not wait for.

        Raises:
            ProcessEnds: The process has begun to end meanwhile.
        """
        me = threading.get_ident()
        seconds = self._amid.pop(me, None)
        try:
            yield
        finally:
            if seconds is not None:
                self._amid[me] = seconds
                self._check(me)

    @contextmanager
    def _within(self, me: int, seconds: float) -> Generator[None]:
        before = self._amid.get(me)
        self._amid[me] = seconds
        try:
            self._check(me)
            yield
        finally:
            if before is None:
                self._amid.pop(me, None)
            else:
                self._amid[me] = before

    def _check(self, me: int) -> None:
        if self._is_over and me in self._workers:
            raise ProcessEnds

    def settle(self) -> None:
        """Let no thread begin anything, and wait until those amid something are through with it.

        A piece of work is waited for 0.1 s, a line of log 0.4 s, a module that is being loaded 5 s at most.
        """
        self._is_over = True
        me = threading.get_ident()
        begun = _clock.monotonic()
        while True:
            lasted = _clock.monotonic() - begun
            amid = self._amid.copy()
            amid.pop(me, None)
            if all(seconds < lasted for seconds in amid.values()):
                return
            _clock.sleep(_LOOK_SECONDS)


def stay_interrupted() -> None:
    """Let a process that Ctrl-C has ended still die of SIGINT, as its shell expects, once all work is done.

    CPython keeps that in mind by a flag that every `exec` or `eval` of a text takes back, and dataclasses and
    named tuples are made by such: modules loaded at the exit would make it exit code 1. An unhandled
    `KeyboardInterrupt` in a text that is executed sets the flag again. Not in an interactive session.
    """
    if getattr(sys, "last_type", None) is KeyboardInterrupt and not hasattr(sys, "ps1"):
        with suppress(KeyboardInterrupt):
            exec("raise KeyboardInterrupt")


ending = Ending()
"""Of this process."""
