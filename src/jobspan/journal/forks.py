"""Forks held off for moments, so that no child inherits a descriptor, and with it a lock, unknown to us.

A descriptor is unknown between the system call that made it and the line that writes it down: a child forked
there by another thread would keep the lock of its parent's journal, and hide its parent's death.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager

_PATIENT_SECONDS = 0.25
_FORK_PATIENT_SECONDS = 1.0
"""Other code takes locks before a fork as well: whoever waits in a ring goes on after this time. A child
forked then may hide a death from the journal's lock; the parent's process id and start time still tell."""


class ProcessLock:
    """A lock its thread may enter again (a signal handler does); each process has one of its own.

    So a child that C code forked, which runs no hooks, never waits for a thread it does not have.
    """

    def __init__(self) -> None:
        self._locks: dict[int, threading.RLock] = {}

    def own(self) -> threading.RLock:
        """Return the lock of this process."""
        pid = os.getpid()
        lock = self._locks.get(pid)
        if lock is None:
            lock = self._locks.setdefault(pid, threading.RLock())
            for other in list(self._locks):  # in one step: another thread may add one
                if other != pid:
                    self._locks.pop(other, None)
        return lock


_lock = ProcessLock()
_forking: list[tuple[int, threading.RLock]] = []
"""The lock as often as the thread that holds it is forking, and the number of that thread."""


@contextmanager
def held_off() -> Generator[None]:
    """Hold off the forks of other threads; not those of C code, nor of a signal handler on this thread."""
    lock = _lock.own()
    is_held = lock.acquire(timeout=_PATIENT_SECONDS)
    try:
        yield
    finally:
        if is_held:
            lock.release()


def _before_fork() -> None:
    lock = _lock.own()
    if lock.acquire(timeout=_FORK_PATIENT_SECONDS):
        _forking.append((threading.get_ident(), lock))


def _after_in_parent() -> None:
    if _forking and _forking[-1][0] == threading.get_ident():
        _forking.pop()[1].release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_forking.clear)
