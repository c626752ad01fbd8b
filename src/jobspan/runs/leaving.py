"""How a block was left, told from the exception that left it (design, section 4)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jobspan.exceptions import DeadlineExceeded, RunCanceled
from jobspan.model.status import Left

if TYPE_CHECKING:
    from jobspan.runs.handle import RunHandle

_CANCELS = (KeyboardInterrupt, asyncio.CancelledError, RunCanceled)


def left_by(error: BaseException | None, run: RunHandle) -> Left:
    """Return how `run` was left by `error`.

    An ordinary exception is Failed; only a deadline of our own, of this run or one around it, is
    Timed_out: an HTTP library's TimeoutError is not. SystemExit with 0 or None is a normal end.
    """
    if error is None or isinstance(error, GeneratorExit):
        return Left.OK
    if isinstance(error, SystemExit):
        return Left.OK if error.code is None or error.code == 0 else Left.FAILED
    if isinstance(error, _CANCELS):
        return Left.CANCELED
    if isinstance(error, DeadlineExceeded) and run.is_within(error.run_uid):
        return Left.TIMED_OUT
    return Left.FAILED


def is_error(error: BaseException | None) -> bool:
    """Whether an exception counts as an error of the run: cancels and SystemExit don't."""
    return error is not None and not isinstance(error, (*_CANCELS, SystemExit, GeneratorExit))
