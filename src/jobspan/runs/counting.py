"""One exception object is one error: which run has booked it is remembered on the exception itself.

The mark goes with the exception to other processes, wherever it is pickled with its attributes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, KeysView
from typing import Any, TypeGuard, cast

_MARK = "__jobspan_counted__"
_KEPT = 64
"""An exception that is raised again and again, as some modules do with one object, keeps so many uids."""
_MAX_MEMBERS = 1_000


def uncounted(error: BaseException, uids: Collection[str]) -> list[BaseException]:
    """Return what of `error` none of the runs `uids` has booked yet: an operation and what it stands in.

    A group is one error; where some of its members were booked in this run before, only the others are
    left, each for itself.
    """
    if not _marks(error).isdisjoint(uids):
        return []
    if not is_group(error):
        return [error]
    members = list(leaves(error))
    left = [member for member in members if _marks(member).isdisjoint(uids)]
    return [error] if len(left) == len(members) else left


def mark_counted(error: BaseException, uids: Iterable[str]) -> None:
    """Remember that `error`, and what it consists of, is booked in the runs `uids`."""
    booked = tuple(uids)
    for each in (error, *leaves(error)) if is_group(error) else (error,):
        known = tuple(uid for uid in _marks(each) if uid not in booked)
        with contextlib.suppress(AttributeError, TypeError):  # an exception that takes no attributes
            object.__setattr__(each, _MARK, (*known, *booked)[-_KEPT:])


def is_group(error: BaseException | None) -> TypeGuard[BaseExceptionGroup[BaseException]]:
    """Whether an exception is a group of others."""
    return isinstance(error, BaseExceptionGroup)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions a group consists of, through groups in groups; any other one as itself."""
    waiting, given = [error], 0
    while waiting and given < _MAX_MEMBERS:
        each = waiting.pop()
        if is_group(each):
            waiting.extend(reversed(each.exceptions))
        else:
            given += 1
            yield each


def _marks(error: BaseException) -> KeysView[str]:
    try:
        marks: Any = object.__getattribute__(error, _MARK)  # whatever its class makes of attributes
    except AttributeError:
        marks = ()
    known = cast("tuple[str, ...]", marks) if isinstance(marks, tuple) else ()
    return dict.fromkeys(known).keys()
