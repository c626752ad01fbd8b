"""Room at the start of a journal file that is reserved on the disk and mapped into memory.

Appending is then one C call that keeps the interpreter lock: no system call, so nothing waits for
the lock to come back (beside one CPU-bound thread `os.write` took 10 ms at the 99th percentile).
What was copied is the file's content at once, for every reader, whatever becomes of this process.

The price is SIGBUS: touching a mapped page that the file does not have, or the disk does not give,
kills the process. So only file systems are used that keep what `posix_fallocate` promised, the promise
is checked, and nothing is ever written outside of it: a full disk, with pages written out and touched
again in between, killed nobody (ext4, tmpfs). What is left: somebody cuts a live journal short (see
`Room.fate`), or a disk cannot read back a page that memory pressure had pushed out.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
from collections.abc import Callable
from pathlib import Path

from jobspan._compiled import native
from jobspan.journal.mount import file_system

_KEEPS_ITS_PROMISE = frozenset({"ext4", "xfs", "tmpfs", "overlay"})
"""File systems that reserve for good and stay coherent; never NFS, SMB, FUSE, nor what copies on write."""

_BLOCK = 512  # the unit of st_blocks

_safe_devices: dict[int, bool] = {}
_stranded: list[mmap.mmap] = []
"""Mappings that cannot be closed without closing a descriptor that other code has taken over."""


class Room:
    """The mapped start of a file. Only the process that made it may write."""

    __slots__ = ("_blocks", "_inner_fd", "_key", "_map", "area", "length", "write")

    def __init__(self, fd: int, mapped: mmap.mmap, inner_fd: int) -> None:
        status = os.fstat(fd)
        self._map = mapped
        self._inner_fd = inner_fd
        self._key = (status.st_dev, status.st_ino)
        self._blocks = status.st_blocks
        self.length = len(mapped)
        self.area = None if native is None else native.Area(mapped)
        """What the compiled road writes to: it keeps account of what is used, in the mapping's place."""
        self.write: Callable[[bytes], object] = mapped.write if self.area is None else self.area.write
        """Copy a record behind all others: reserved and copied in one step for threads and signal handlers.

        Raises ValueError, having done nothing, when it does not fit or the room is closed.
        """

    @property
    def used(self) -> int:
        """Bytes written; 0 once closed."""
        try:
            used = self._map.tell()
        except ValueError:
            return 0
        return used if self.area is None else self.area.used

    def fate(self, status: os.stat_result) -> str:
        """Return "" while the file, whose status is given, has all its room; else what became of it.

        A truncation between two looks can only be noticed too late: the next event beyond the new end
        kills the process. Asking before each event would cost more than the mapping saves, and
        the answer would be old as well.
        """
        if self._inner_fd >= 0 and _key_of(self._inner_fd) != self._key:
            return "its descriptor was closed by other code"
        if status.st_size < self.length or status.st_blocks < self._blocks:
            return "it was cut short"
        return ""

    def close(self) -> bool:
        """Take the mapping away, and with it its hold on the file's lock; False if it has to stay.

        It stays when other code closed the descriptor inside the mapping and took its number.
        """
        if not self._map.closed:
            if self._inner_fd >= 0 and _key_of(self._inner_fd) != self._key:
                _stranded.append(self._map)
                return False
            if self.area is not None:
                self.area.release()
            self._map.close()
        return True


def reserve(fd: int, length: int) -> Room | None:
    """Reserve and map the first `length` bytes of a new, empty file; None, the file empty, where it fails."""
    try:
        os.posix_fallocate(fd, 0, length)
        status = os.fstat(fd)
        if status.st_size == length and status.st_blocks * _BLOCK >= length:
            for _ in range(3):
                if (room := _map(fd, length)) is not None:
                    return room
    except (OSError, ValueError):
        pass  # full, over quota, larger than allowed, not supported: then by system calls
    with contextlib.suppress(OSError):
        os.ftruncate(fd, 0)
    return None


def is_safe(folder: Path) -> bool:
    """Tell whether files in `folder` can be mapped without risk, and `mmap.write` is one step here."""
    if sys.platform != "linux" or sys.implementation.name != "cpython" or not _has_interpreter_lock():
        return False
    try:
        device = os.stat(folder).st_dev
        if device not in _safe_devices:
            _safe_devices[device] = _is_safe_device(folder, device)
        return _safe_devices[device]
    except OSError:
        return False


def _has_interpreter_lock() -> bool:
    """Without it two threads could be given the same place by `mmap.write`."""
    asked = getattr(sys, "_is_gil_enabled", None)
    return asked is None or bool(asked())


def _is_safe_device(folder: Path, device: int) -> bool:
    kind = file_system(device)
    # An overlay answers with the numbers of what lies below; btrfs, which copies on write, has no inodes.
    return kind in _KEEPS_ITS_PROMISE and (kind != "overlay" or os.statvfs(folder).f_files > 0)


def _map(fd: int, length: int) -> Room | None:
    if sys.version_info >= (3, 13):
        return Room(fd, mmap.mmap(fd, length, trackfd=False), -1)
    # The mapping keeps a copy of the descriptor, at a low number that careless code may close and take
    # over; closing the mapping would then close what is theirs. So that number must be known.
    free = os.dup(fd)
    os.close(free)
    mapped = mmap.mmap(fd, length)
    status = os.fstat(fd)
    if _key_of(free) != (status.st_dev, status.st_ino):  # another thread was given that number
        mapped.close()
        return None
    return Room(fd, mapped, free)


def _key_of(fd: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return (status.st_dev, status.st_ino)
