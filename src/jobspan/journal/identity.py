"""Which process this is, in words that another process can check later.

A pid alone says little: it is reused. Together with the boot of the machine, the pid namespace and
the instant the process started it names one process for ever.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

_UNKNOWN = "?"


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process: what `is_gone` needs to find out whether it still lives."""

    uid: str
    """Random, 16 hex digits: differs between any two processes, a forked child's included."""
    pid: int
    start: int
    """When the process started: clock ticks since boot on Linux, elsewhere µs since the epoch; 0: unknown."""
    boot_id: str
    pid_namespace: str
    host: str
    python: str
    platform: str

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as values JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> ProcessIdentity | None:
        """Return the identity `as_dict` gave; None if `fields` are none. Unknown keys are ignored."""
        try:
            return cls(
                uid=str(fields["uid"]),
                pid=int(fields["pid"]),
                start=int(fields["start"]),
                boot_id=str(fields["boot_id"]),
                pid_namespace=str(fields["pid_namespace"]),
                host=str(fields.get("host", "")),
                python=str(fields.get("python", "")),
                platform=str(fields.get("platform", "")),
            )
        except (KeyError, TypeError, ValueError):
            return None


_current: ProcessIdentity | None = None


def current() -> ProcessIdentity:
    """Return the identity of this process; a forked child gets one of its own."""
    global _current
    identity, pid = _current, os.getpid()
    if identity is None or identity.pid != pid:
        identity = ProcessIdentity(
            uid=os.urandom(8).hex(),
            pid=pid,
            start=_start_of(pid) or 0,
            boot_id=_boot_id(),
            pid_namespace=_pid_namespace(),
            host=_host(),
            python=".".join(map(str, sys.version_info[:3])),
            platform=sys.platform,
        )
        _current = identity
    return identity


def is_gone(identity: ProcessIdentity) -> bool | None:
    """Tell whether the process has ended: True, False, or None where that cannot be known from here.

    It can be known in the same boot of the same machine and the same pid namespace. A process that
    replaced its program by exec counts as alive: its lock tells.
    """
    if not _is_in_sight(identity):
        return None
    started = _start_of(identity.pid)
    if started is None:
        return _is_free(identity.pid)
    return started != identity.start


def _is_in_sight(identity: ProcessIdentity) -> bool:
    if not identity.start or identity.pid <= 0 or identity.platform != sys.platform:
        return False
    if _UNKNOWN in (identity.boot_id, identity.pid_namespace):
        return False
    return identity.boot_id == _boot_id() and identity.pid_namespace == _pid_namespace()


def _is_free(pid: int) -> bool | None:
    """Return True if no process has this pid; None if one has, of which nothing may be read."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return None
    return True if _state_of(pid) == "Z" else None


def _start_of(pid: int) -> int | None:
    """Return when the living process `pid` started, None if it does not live or may not be read."""
    if sys.platform == "linux":
        fields = _stat_of(pid)
        if not fields or (fields[0] in "ZXx" and int(fields[17]) <= 1):
            return None
        return int(fields[19])
    return _start_elsewhere(pid)


def _state_of(pid: int) -> str:
    fields = _stat_of(pid) if sys.platform == "linux" else []
    return fields[0] if fields else ""


def _stat_of(pid: int) -> list[str]:
    """Return /proc/<pid>/stat from the state on (proc_pid_stat(5), field 3); empty if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read().decode("ascii", "replace")
    except OSError:
        return []
    fields = text[text.rfind(")") + 1 :].split()  # the name before may hold spaces and brackets
    return fields if len(fields) > 19 else []


def _start_elsewhere(pid: int) -> int | None:
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return round(process.create_time() * 1e6)
    except psutil.Error:
        return None


@cache
def _boot_id() -> str:
    try:
        if sys.platform == "linux":
            with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
                return file.read().strip() or _UNKNOWN
        if sys.platform == "darwin":
            return _sysctl(b"kern.bootsessionuuid") or _UNKNOWN
    except (OSError, AttributeError, ValueError):
        pass
    return _UNKNOWN


def _sysctl(name: bytes) -> str:
    import ctypes

    library = ctypes.CDLL(None)
    room = ctypes.create_string_buffer(256)
    size = ctypes.c_size_t(len(room))
    if library.sysctlbyname(name, room, ctypes.byref(size), None, ctypes.c_size_t(0)) != 0:
        return ""
    return room.value.decode("ascii", "replace")


def _pid_namespace() -> str:
    if sys.platform != "linux":
        return ""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return _UNKNOWN


def _host() -> str:
    uname = getattr(os, "uname", None)
    return str(uname().nodename) if uname else os.environ.get("COMPUTERNAME", "")
