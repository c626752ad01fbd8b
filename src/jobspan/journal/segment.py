"""One journal file that this process owns and writes.

Its lock is the sign of life: it is taken before the file gets its visible name and ends only when
the last descriptor and the mapping close. So a visible file without a lock is one that nobody will
ever write to. Where it can be, the file is mapped (`mapping`); zero bytes then lie behind the events
until it is closed. Elsewhere, and when its room was to be given up, it is written by `os.write`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobspan.journal import forks, mapping
from jobspan.journal.place import open_new

if sys.platform != "win32":
    import fcntl

SUFFIX = ".j"
HIDDEN_SUFFIX = ".new"

_HIGH_FD = 640
"""New descriptors take the lowest free number: up here, a number that foreign code closed under us is
hardly ever given to a file of its own, into which we would then write."""


_open_segments: weakref.WeakSet[Segment] = weakref.WeakSet()


class TornError(OSError):
    """Part of a record got in: the disk is full, or the file may not grow."""

    def __init__(self) -> None:
        super().__init__(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullError(ValueError):
    """The file has reached its size: what a mapping says by a ValueError of its own."""


class _File:
    """The descriptor, apart from its segment, so that the segment can hold `write` without a cycle."""

    __slots__ = ("fd", "limit", "size")

    def __init__(self, fd: int, limit: int) -> None:
        self.fd = fd
        self.size = 0
        """Bytes written, near enough for what hangs on it (threads may overwrite each other's sum)."""
        self.limit = limit

    def write(self, record: bytes) -> None:
        if self.size >= self.limit:
            raise FullError
        if self.write_some(record) != len(record):
            raise TornError

    def write_some(self, records: bytes) -> int:
        written = os.write(self.fd, records)
        self.size += written
        return written


class Segment:
    """An open journal file. Whoever writes holds a reference; the last one to let go closes the file."""

    __slots__ = ("__weakref__", "_file", "_is_entered", "_key", "_room", "path", "pid", "write")

    def __init__(
        self,
        path: Path,
        fd: int,
        room: mapping.Room | None = None,
        *,
        pid: int = -1,
        limit: int = sys.maxsize,
    ) -> None:
        self.path = path
        self.pid = pid
        """The process that may write; an inherited descriptor is left alone."""
        self._file = _File(fd, limit)
        self._key = _key_of(fd) if fd >= 0 else None
        self._is_entered = False  # its name is known to be on the disk
        self._room = room
        self.write: Callable[[bytes], object] = room.write if room else self._file.write
        """Write a record behind everything that is there.

        Raises ValueError, having done nothing, when the segment is full (or its room was given up), OSError
        when the system refuses, TornError when part of the record got in.
        """
        if fd >= 0:
            _open_segments.add(self)

    @classmethod
    def create(cls, path: Path, header: bytes, *, room: int = 0, limit: int = sys.maxsize) -> Segment:
        """Create the journal `path` with the record `header`, locked before anybody can see it.

        Args:
            path: Its visible name.
            header: Its first record.
            room: Bytes to reserve and map, at least the header's; 0 to write by `os.write`.
            limit: Bytes after which it is full where it is not mapped.

        Raises:
            OSError: The system refused; nothing is left behind.
        """
        hidden = path.with_name(f".{path.name}{HIDDEN_SUFFIX}")
        pid = os.getpid()
        with forks.held_off():
            fd = _raised(open_new(hidden, append=True))
            reserved = mapping.reserve(fd, room) if room else None
            segment = cls(path, fd, reserved, pid=pid, limit=limit)
        is_visible = False
        try:
            segment._show(hidden, header)
            is_visible = True
            return segment
        finally:
            if not is_visible:
                segment.close()
                if pid == os.getpid():
                    with contextlib.suppress(OSError):
                        os.unlink(hidden)

    def _show(self, hidden: Path, header: bytes) -> None:
        """Lock the new file, write its first record, give it its visible name.

        Raises:
            OSError: The system refused; or this is a child that a signal handler forked meanwhile.
        """
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.write(header)
        except ValueError:  # closed: by the hook that runs in a child, or by nobody
            if self.pid == os.getpid():
                raise
        if self.pid != os.getpid():
            raise OSError(errno.ECHILD, "forked while it was made", str(self.path))
        os.rename(hidden, self.path)

    @property
    def fd(self) -> int:
        """The descriptor, -1 once closed."""
        return self._file.fd

    @property
    def area(self) -> Any:
        """What the compiled road writes to; None: it is not to be used here."""
        return None if self._room is None else self._room.area

    @property
    def is_mapped(self) -> bool:
        """Whether `write` copies into reserved room; it may turn false, never true."""
        return self._room is not None

    def unmap(self) -> None:
        """Give up the room not used and go on by `os.write`, while other threads may be writing.

        From then on it is never full.

        Raises:
            OSError: The system refused; only another segment will do.
        """
        self._file.limit = sys.maxsize
        room = self._room
        if room is None:
            return
        before = room.used
        with forks.held_off():
            is_closed = room.close()  # from here on nobody writes there
        if not is_closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), str(self.path))
        rest = os.pread(self.fd, room.length - before, before) if before < room.length else b""
        self._file.size = before + len(rest.rstrip(b"\0"))
        os.ftruncate(self.fd, self._file.size)
        self.write = self._file.write
        self._room = None

    def fate(self) -> str:
        """Return "" while the file is in its place, else what became of it."""
        size = self._file.size  # before the look: other threads write meanwhile
        try:
            status = os.fstat(self.fd)
        except OSError:
            return "its descriptor was closed by other code"
        if (status.st_dev, status.st_ino) != self._key:
            return "its descriptor was closed and taken by other code"
        if not status.st_nlink:
            return "it was deleted"
        if self._room is not None:
            if fate := self._room.fate(status):
                return fate
        elif status.st_size < size:
            return "it was cut short"
        try:
            there = os.stat(self.path, follow_symlinks=False)
        except FileNotFoundError:
            return "it was moved"
        except OSError:
            return ""  # not to be known now
        return "" if (there.st_dev, there.st_ino) == self._key else "it was replaced"

    def write_some(self, records: bytes) -> int:
        """Write several records at once, by the system; return how many bytes got in.

        Raises:
            OSError: The system refused.
        """
        return self._file.write_some(records)

    @property
    def size(self) -> int:
        """Bytes written, near enough."""
        return self._file.size if self._room is None else self._room.used

    def written(self) -> int:
        """Return the bytes in the file, exactly, without room not used; 0 if it is lost."""
        if (room := self._room) is not None:
            return room.used
        try:
            return os.fstat(self.fd).st_size
        except OSError:
            return 0

    def touch(self) -> None:
        """Set the file's time of last change to now: a sign of life.

        Raises:
            OSError: The system refused.
        """
        os.utime(self.fd)

    def sync(self) -> None:
        """Bring everything written to the disk, the file's name included (mapped pages are the file's own).

        Raises:
            OSError: The disk did not take it.
        """
        if sys.platform == "darwin":
            fcntl.fcntl(self.fd, fcntl.F_FULLFSYNC)  # fsync alone stops at the drive's cache
        else:
            os.fdatasync(self.fd)
        if not self._is_entered:
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
            self._is_entered = True

    def close(self) -> None:
        """Close the file, without the room not used.

        It is not unlocked, for a forked child shares the lock with its parent.
        """
        with forks.held_off():
            fd, self._file.fd = self._file.fd, -1
            if fd >= 0:
                self._close(fd)

    def _close(self, fd: int) -> None:
        is_ours = _key_of(fd) == self._key
        if (room := self._room) is not None:
            used = room.used
            is_unmapped = room.close()
            if is_ours and self.pid == os.getpid():
                with contextlib.suppress(OSError):
                    if os.fstat(fd).st_size > used:
                        os.ftruncate(fd, used)
                    if not is_unmapped:  # the mapping holds on to the lock; no child has come to share it
                        fcntl.flock(fd, fcntl.LOCK_UN)
        if is_ours:
            with contextlib.suppress(OSError):
                os.close(fd)

    def __del__(self) -> None:
        if self.fd >= 0:
            self.close()


NOWHERE = Segment(Path(), -1)
"""Stands for "no segment": its pid is nobody's."""


def close_inherited() -> None:
    """Close what a fork inherited, so that the parent's death can be seen while this child lives.

    By name, not by letting go: threads that the fork left behind hold their references for ever.
    """
    pid = os.getpid()
    for segment in list(_open_segments):
        if segment.pid != pid:
            segment.close()


def _key_of(fd: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return (status.st_dev, status.st_ino)


def _raised(fd: int) -> int:
    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH_FD)
    except OSError:
        return fd  # the process may not have so many
    os.close(fd)
    return high


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=close_inherited)
