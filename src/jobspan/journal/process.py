"""Which process this is, asked for with each event, also right after a fork that ran no hook.

`os.getpid` is a system call (0.6 µs on a virtual machine, up to nine times a run). On Linux a page is
set apart that holds the id and that the kernel wipes in a forked child, whoever forked (`MADV_WIPEONFORK`,
Linux 4.14; a child's page is wiped in its own children too). Elsewhere the system is asked each time.
"""

from __future__ import annotations

import mmap
import os
import sys

_MADV_WIPEONFORK = 18  # of Linux; the standard library does not name it


def wiped_on_fork() -> mmap.mmap | None:
    """Return a page that every forked child finds zeroed; None where the system has no such thing."""
    if sys.platform != "linux":
        return None
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page.madvise(_MADV_WIPEONFORK)
    except (OSError, ValueError):
        return None
    return page


class _Asked:
    """Stands for the page where there is none."""

    def __getitem__(self, place: int) -> int:
        return os.getpid()

    def __setitem__(self, place: int, value: int) -> None:
        pass


_page = wiped_on_fork()
told = _Asked() if _page is None else memoryview(_page).cast("i")
"""At place 0 the id of this process; 0 before `pid` was asked in it, so that no id known is like it."""


def pid() -> int:
    """Return the id of this process."""
    return told[0] or _ask()


def _ask() -> int:
    while told[0] != os.getpid():  # again: a signal handler may have forked before it was written
        told[0] = os.getpid()
    return told[0] or _ask()


pid()
