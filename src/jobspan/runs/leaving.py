"""How a block was left, told from the exception that left it (design, section 4)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from jobspan.exceptions import DeadlineExceeded, RunCanceled
from jobspan.model.status import Left
from jobspan.runs.counting import is_group, leaves

if TYPE_CHECKING:
    from jobspan.runs.handle import RunHandle

_CANCELS = (KeyboardInterrupt, RunCanceled)
_NO_ERRORS = (*_CANCELS, SystemExit, GeneratorExit)


def left_by(error: BaseException | None, run: RunHandle | None = None) -> Left:
    """Return how `run` was left by `error`.

    An ordinary exception is Failed; only a deadline of our own is Timed_out: an HTTP library's
    TimeoutError is not. SystemExit with 0 or None is a normal end, unless it leaves an operation of what
    was canceled before: then it is how the cancel came here. A group is what its members are; of several
    ways Failed goes before Timed_out, and that before Canceled.
    """
    if error is None or isinstance(error, GeneratorExit):
        return Left.OK
    if isinstance(error, SystemExit):
        if _is_in_canceled(run):
            return Left.CANCELED
        return Left.OK if _is_zero(error.code) else Left.FAILED
    if isinstance(error, _CANCELS) or _is_task_cancel(error):
        return Left.CANCELED
    if isinstance(error, DeadlineExceeded):
        return Left.TIMED_OUT
    if is_group(error):
        ways = {left_by(member) for member in leaves(error)}
        return next((way for way in (Left.FAILED, Left.TIMED_OUT, Left.CANCELED) if way in ways), Left.OK)
    return Left.FAILED


def is_error(error: BaseException | None) -> bool:
    """Whether an exception counts as an error of the run: cancels and SystemExit don't."""
    if is_group(error):
        return any(is_error(member) for member in leaves(error))
    return error is not None and not isinstance(error, _NO_ERRORS) and not _is_task_cancel(error)


def _is_task_cancel(error: BaseException) -> bool:
    """Tell asyncio's CancelledError; where asyncio was never loaded (it takes long) there is none."""
    loaded = sys.modules.get("asyncio.exceptions")
    return loaded is not None and isinstance(error, loaded.CancelledError)


def _is_in_canceled(run: RunHandle | None) -> bool:
    while run is not None and run.kind == "operation":
        run = run.parent
        if run is not None and run.way_left is Left.CANCELED:
            return True
    return False


def _is_zero(code: object) -> bool:
    """Tell whether the interpreter would end with 0; any object but an int is printed, and is 1."""
    return code is None or (isinstance(code, int) and int.__index__(code) == 0)
