"""What kind of file system a folder is on: some promise less than a disk of the machine itself."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MOUNTS = "/proc/self/mountinfo"
_NETWORK = ("nfs", "cifs", "smb", "9p", "ceph", "gluster", "lustre", "afs", "beegfs", "fuse.", "virtiofs")
_LOCAL_FUSE = ("fuse.fuse-overlayfs", "fuse.mergerfs", "fuse.gocryptfs", "fuse.encfs")


def file_system(device: int) -> str:
    """Return the kind of file system of a device, ``ext4`` say; empty if it is not known.

    Raises:
        OSError: The list of mounts cannot be read: not on this system.
    """
    kind = ""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    with open(MOUNTS, encoding="utf-8", errors="replace") as mounts:
        for line in mounts:
            fields = line.split(" ")
            if fields[2] == wanted:
                kind = fields[fields.index("-", 6) + 1]
    return kind


def network_file_system(folder: Path) -> str:
    """Return the kind of file system of a folder if other machines may write to it; else an empty text."""
    with suppress(OSError, ValueError, IndexError):
        kind = file_system(os.stat(folder).st_dev)
        if kind.startswith(_NETWORK) and kind not in _LOCAL_FUSE:
            return kind
    return ""
