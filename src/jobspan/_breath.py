"""Work in pieces: how a background thread gives the interpreter lock back before the work misses it.

A thread that waits for the lock gets it when the holder sleeps, or after 5 ms (the switch interval); that
the holder gives it up for moments, as each step of SQLite does, is too short for a waiting thread to wake,
and starts its 5 ms anew. So a thread in pieces sleeps, for real, after each piece of its own CPU time.

The price: beside a thread that computes without a pause each breath takes 5 ms, until the lock comes back.
So this is for small amounts of work (`jobspan._keeper` folds a flood in one go); it ends when somebody waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from jobspan import _clock

T = TypeVar("T")

_BREATH_SECONDS = 200e-6
"""A thread that waits for the lock wakes in about 50 µs, on a busy machine not always in 100."""


class _Pieces(threading.local):
    """How the current thread works."""

    length: Callable[[], float] | None = None
    """Gives the seconds of a piece; None: it works without a breath."""
    seconds = 0.0
    begun = 0.0
    """The thread's CPU time when it began the piece."""
    look_at = 0.0
    """The piece is not over before this instant: a look at a clock that costs next to nothing."""


_mine = _Pieces()


@contextmanager
def in_pieces(length: Callable[[], float]) -> Generator[None]:
    """Have the current thread take breath after each piece.

    Args:
        length: Gives the seconds of CPU time of the next piece, asked before each breath; 0: none is due.
    """
    _mine.seconds = length()
    _mine.length = length
    _begin()
    try:
        yield
    finally:
        _mine.length = None


def is_in_pieces() -> bool:
    """Whether the current thread works in pieces."""
    return _mine.length is not None


def breathe() -> None:
    """Let other threads go on, if the current one works in pieces and this one is over."""
    if _mine.length is None or _clock.monotonic() < _mine.look_at:
        return
    left = _mine.begun + _mine.seconds - _clock.thread_seconds()
    if left > 0:  # some of the time it waited
        _mine.look_at = _clock.monotonic() + left
        return
    if seconds := _mine.length():
        _mine.seconds = seconds
        _clock.sleep(_BREATH_SECONDS)
    _begin()


def _begin() -> None:
    _mine.begun = _clock.thread_seconds()
    _mine.look_at = _clock.monotonic() + _mine.seconds


def paced(items: Iterable[T]) -> Iterable[T]:
    """Return `items`, with a breath between them where one is due."""
    return _with_breaths(items) if _mine.length is not None else items


def _with_breaths(items: Iterable[T]) -> Iterator[T]:
    for item in items:
        breathe()
        yield item
