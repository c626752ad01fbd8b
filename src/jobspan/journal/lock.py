"""A lock on a file, for work that two processes must not do at the same time. Held only for moments."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Generator
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


@contextlib.contextmanager
def locked(path: Path) -> Generator[int]:
    """Hold the lock of the file `path`, which is made when it is missing; gives its descriptor.

    Raises:
        BlockingIOError: Somebody else holds it.
        OSError: The file cannot be made.
    """
    fd = os.open(path, _FLAGS, 0o600)
    try:
        if sys.platform != "win32":
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield fd
        finally:
            if sys.platform != "win32":
                fcntl.flock(fd, fcntl.LOCK_UN)  # a child forked meanwhile would keep it for good
    finally:
        os.close(fd)
