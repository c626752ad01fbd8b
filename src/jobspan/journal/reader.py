"""Reads, sets aside and clears away journals, those of other processes included.

Readers never take the exclusive lock an owner holds: they test it with a shared one, on their own
descriptor, so that any number of readers never look like an owner to each other.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from jobspan import _clock
from jobspan.journal.frame import Scan, scan
from jobspan.journal.identity import ProcessIdentity, is_gone
from jobspan.journal.place import Place
from jobspan.journal.segment import HIDDEN_SUFFIX, SUFFIX

if sys.platform != "win32":
    import fcntl

_READ = (
    os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
)
_WEEK_SECONDS = 7 * 24 * 3600
_TRIM_BYTES = 64 * 1024
_LEFTOVER_SECONDS = 3600
"""A hidden file of this age was left by a process that died while opening it."""


class Chunk(NamedTuple):
    """Some events of one journal."""

    payloads: list[bytes]
    offset_after: int
    """Where to go on."""
    skipped: int
    """Invalid records stepped over."""
    owned: bool
    """Somebody may still write to this journal."""
    at_end: bool
    """There is nothing more to read now; for good if it is not owned."""


def journals(place: Place) -> list[Path]:
    """Return the journals not yet set aside, oldest first; live ones and dead ones."""
    return _listed(place.journal)


def done_journals(place: Place) -> list[Path]:
    """Return the journals set aside by `retire`, oldest first."""
    return _listed(place.done)


def writer_key(path: Path) -> str:
    """Return what the segments of one writer have in common: pid, start and random part of the name."""
    return path.name.removesuffix(SUFFIX).rpartition("-")[0]


def last_seen_ns(path: Path) -> int:
    """Return when its owner last wrote or gave a sign of life, in nanoseconds since the epoch.

    Raises:
        OSError: The journal is not there.
    """
    return os.stat(path).st_mtime_ns


def within(path: Path, offset: int) -> int:
    """Return `offset`, or 0 where somebody cut the journal `path` short: events read again are known.

    Raises:
        OSError: The journal is not there.
    """
    return offset if offset <= os.stat(path).st_size else 0


def read(path: Path, offset: int, limit_bytes: int, *, owner_gone: bool = False) -> Chunk:
    """Return the events from `offset` on, out of about `limit_bytes` bytes (more for a larger event).

    An owned journal is read up to the first record that is invalid or not complete yet; one without
    an owner to its end, stepping over invalid records.

    Args:
        path: One of `journals` or `done_journals`.
        offset: 0, or `offset_after` of an earlier chunk.
        limit_bytes: How much to read at once.
        owner_gone: The owner is known to be dead (`is_gone` of the identity in its header), although
            a descendant it forked may still hold the lock.

    Raises:
        FileNotFoundError: Another reader set it aside or cleared it away since it was listed.
        OSError: It cannot be read.
    """
    fd = _open(path)
    try:
        owned = not owner_gone and _is_owned(fd)  # asked before reading: then "not owned" is final
        size = os.fstat(fd).st_size
        length = max(limit_bytes, 1)
        while True:
            data = _pread(fd, length, offset)
            reaches_end = offset + len(data) >= size or len(data) < length or (owned and _is_room(data))
            found = scan(data, sealed=not owned, more=not reaches_end)
            if found.consumed or found.blocked or reaches_end:
                break
            length *= 4  # an event larger than the limit
        return _chunk(found, offset, owned, reaches_end)
    finally:
        os.close(fd)


def header(path: Path) -> bytes | None:
    """Return the first record of a journal, None if it is not there, cannot be read or is torn."""
    try:
        fd = _open(path)
    except OSError:
        return None
    try:
        length = 16 * 1024
        while True:
            data = _pread(fd, length, 0)
            if (found := scan(data, sealed=False)).payloads:
                return found.payloads[0]
            if found.blocked or len(data) < length or _is_room(data):
                return None
            length *= 4
    except OSError:
        return None
    finally:
        os.close(fd)


def is_owned(path: Path) -> bool:
    """Tell whether a process still holds the lock of this journal; False if it is not there."""
    try:
        fd = _open(path)
    except OSError:
        return False
    try:
        return _is_owned(fd)
    finally:
        os.close(fd)


def is_writer_dead(path: Path, place: Place, identity: ProcessIdentity | None = None) -> bool:
    """Tell whether the writer that began the segment `path` has ended.

    It has when its process is gone, or when no segment of it is locked. (One unlocked segment only
    says that its writer went on to the next.)
    """
    if identity is not None and is_gone(identity):
        return True
    key, seen = writer_key(path), None
    while True:
        segments = [segment for segment in journals(place) if writer_key(segment) == key]
        if segments == seen:
            return True  # a writer makes its next segment visible before it lets go of the last
        if any(is_owned(segment) for segment in segments):
            return False
        seen = segments


def retire(path: Path, place: Place, *, owner_gone: bool = False) -> bool:
    """Set aside a journal that was read to its end; True if it is set aside now, by whomever.

    False while it has an owner or the system refuses. Two readers may do it at the same time. Room
    that a dead owner reserved and did not use is given back.
    """
    target = place.done / path.name
    try:
        fd = _open(path)
    except FileNotFoundError:
        return target.exists()
    except OSError:
        return False
    try:
        if not owner_gone and _is_owned(fd):
            return False
        place.prepare()
        os.rename(path, target)
        if not _is_owned(fd):  # no lock, no mapping: cutting it short can kill nobody
            with contextlib.suppress(OSError):
                _trim(target)
    except FileNotFoundError:
        return target.exists()
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def prune_done(
    place: Place,
    keep_seconds: float = _WEEK_SECONDS,
    keep_bytes: int = 256 * 1024 * 1024,
    *,
    spare: Callable[[Path], bool] = lambda path: False,
) -> list[Path]:
    """Delete journals set aside longer ago than `keep_seconds`, then the oldest beyond `keep_bytes`.

    Those `spare` says yes to are kept: nobody has read them yet.

    Returns:
        The deleted ones. Leftovers of processes that died while opening a journal go as well.
    """
    now_ns = _clock.now_ns()
    for path in _hidden(place.journal):
        with contextlib.suppress(OSError):
            if now_ns - _set_aside_ns(path)[0] > _LEFTOVER_SECONDS * 1e9 and not is_owned(path):
                path.unlink()
    ages: list[tuple[int, int, Path]] = []
    for path in done_journals(place):
        with contextlib.suppress(OSError):
            ages.append((*_set_aside_ns(path), path))
    kept_bytes = 0
    deleted: list[Path] = []
    for since_ns, size, path in sorted(ages, reverse=True):
        kept_bytes += size
        if spare(path):
            continue
        if now_ns - since_ns > keep_seconds * 1e9 or kept_bytes > keep_bytes:
            with contextlib.suppress(OSError):
                path.unlink()
                deleted.append(path)
    return deleted


def _chunk(found: Scan, offset: int, owned: bool, reaches_end: bool) -> Chunk:
    return Chunk(
        payloads=found.payloads,
        offset_after=offset + found.consumed,
        skipped=found.skipped,
        owned=owned,
        at_end=reaches_end or found.blocked,
    )


def _open(path: Path) -> int:
    fd = os.open(path, _READ)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(f"{path} is not a regular file")
    return fd


def _trim(path: Path) -> None:
    """Cut off the zero bytes at the end of a journal nobody writes to; its time of last change stays."""
    fd = os.open(path, _READ | os.O_RDWR)
    try:
        status = os.fstat(fd)
        used = status.st_size
        while used:
            start = max(0, used - _TRIM_BYTES)
            part = _pread(fd, used - start, start).rstrip(b"\0")
            used = start + len(part)
            if part:
                break
        if used < status.st_size:
            os.ftruncate(fd, used)
            os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))
    finally:
        os.close(fd)


def _is_room(data: bytes) -> bool:
    """Tell whether `data` ends in room reserved, but not used yet: then its owner wrote nothing behind it."""
    return data.endswith(b"\0")


def _pread(fd: int, length: int, offset: int) -> bytes:
    parts: list[bytes] = []
    while length > 0 and (part := os.pread(fd, length, offset)):
        parts.append(part)
        length -= len(part)
        offset += len(part)
    return b"".join(parts)


def _is_owned(fd: int) -> bool:
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def _listed(folder: Path) -> list[Path]:
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    found = [folder / name for name in names if name.endswith(SUFFIX) and not name.startswith(".")]
    return sorted(found, key=age_order)


def _hidden(folder: Path) -> list[Path]:
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [folder / name for name in names if name.startswith(".") and name.endswith(HIDDEN_SUFFIX)]


def age_order(path: Path) -> tuple[int, str]:
    """Return what sorts journals by the start of their writers, the oldest first."""
    parts = path.name.split("-")
    started = parts[1] if len(parts) > 1 else ""
    return (int(started) if started.isdecimal() and started.isascii() else 0, path.name)


def _set_aside_ns(path: Path) -> tuple[int, int]:
    """Return when a file was last changed or moved (a move changes st_ctime), and its size."""
    status = os.stat(path)
    return (max(status.st_mtime_ns, status.st_ctime_ns), status.st_size)
