"""The status table: the six words, how a block can be left, and how a status is derived.

A status is never asserted, always derived (design, section 4): from how the block was left, then
from the parts below it. The order in which parts finished never matters, only what they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Status(StrEnum):
    """What a record says of its run; the values are the words Airtable shows."""

    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    COMPLETED_WITH_ERRORS = "Completed_with_errors"
    CANCELED = "Canceled"
    TIMED_OUT = "Timed_out"

    @property
    def is_terminal(self) -> bool:
        """Whether the run has ended."""
        return self is not Status.RUNNING


class Left(StrEnum):
    """How a block was left."""

    OK = "ok"
    WITH_ERRORS = "with_errors"
    FAILED = "failed"
    CANCELED = "canceled"
    TIMED_OUT = "timed_out"
    VANISHED = "vanished"


_OWN_STATUS: Mapping[Left, Status] = {
    Left.FAILED: Status.FAILED,
    Left.CANCELED: Status.CANCELED,
    Left.TIMED_OUT: Status.TIMED_OUT,
    Left.VANISHED: Status.FAILED,
}

_SUCCESS_RANK: Mapping[tuple[Status, bool], int] = {
    (Status.COMPLETED, False): 4,
    (Status.COMPLETED_WITH_ERRORS, False): 3,
    (Status.FAILED, False): 2,
    (Status.TIMED_OUT, False): 2,
    (Status.CANCELED, False): 2,
    (Status.FAILED, True): 1,
}

LEFT_BY_STATUS: Mapping[Status, Left] = {
    Status.COMPLETED: Left.OK,
    Status.COMPLETED_WITH_ERRORS: Left.WITH_ERRORS,
    Status.FAILED: Left.FAILED,
    Status.CANCELED: Left.CANCELED,
    Status.TIMED_OUT: Left.TIMED_OUT,
}
"""How a part was left when a person completes it by hand with a status."""

EXIT_CODES: Mapping[Status, int] = {
    Status.COMPLETED: 0,
    Status.FAILED: 1,
    Status.COMPLETED_WITH_ERRORS: 2,
    Status.TIMED_OUT: 124,
    Status.CANCELED: 130,
}


def success_rank(status: Status, *, vanished: bool = False) -> int:
    """Return the place of a status in the order of success; more is better, an open one is 0.

    Completed > Completed_with_errors > Failed = Timed_out = Canceled > vanished > open.
    """
    return _SUCCESS_RANK.get((status, vanished), 0)


def combine(left: Left | None, below: Iterable[Status], *, errors: bool) -> Status:
    """Derive the status of something that has ended.

    Args:
        left: How its own block was left; None if it has no block of its own (a client run, whose
            parts are all below it).
        below: The statuses of what stands below it, without the skipped ones. All terminal.
        errors: Whether any error was recorded in it (of winning attempts).
    """
    if left is not None and left is not Left.OK and left in _OWN_STATUS:  # whose hash is a call
        return _OWN_STATUS[left]
    distinct = set(below)
    with_errors = errors or left is Left.WITH_ERRORS or (distinct and distinct - {Status.COMPLETED})
    if distinct and not distinct & {Status.COMPLETED, Status.COMPLETED_WITH_ERRORS}:
        return distinct.pop() if len(distinct) == 1 else Status.FAILED
    return Status.COMPLETED_WITH_ERRORS if with_errors else Status.COMPLETED


def parse_status(text: str) -> Status:
    """Return the status a person wrote, whatever its case and separators.

    Raises:
        ValueError: The text is none of the six words.
    """
    wanted = text.strip().lower().replace(" ", "_").replace("-", "_")
    for status in Status:
        if status.value.lower() == wanted:
            return status
    raise ValueError(f"unknown status {text!r}; one of: {', '.join(Status)}")
