"""Where the files beside a ledger lie, and who may have made them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from jobspan.exceptions import LedgerError

_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


class Place:
    """The folders beside one ledger file: ``<ledger>.d/journal``, its ``done``, ``<ledger>.d/claims``.

    Nothing is touched until `prepare`. Folders are 0700, files 0600.
    """

    def __init__(self, ledger: Path) -> None:
        self.ledger = ledger = ledger.absolute()  # the process may change its directory
        self.root = ledger.with_name(ledger.name + ".d")
        self.journal = self.root / "journal"
        self.done = self.journal / "done"
        self.claims = self.root / "claims"

    def __repr__(self) -> str:
        return f"Place({str(self.ledger)!r})"

    def prepare(self) -> None:
        """Make the folders that are missing and check them all.

        Raises:
            LedgerError: A folder belongs to somebody else, may be written by everybody, or is none.
            OSError: The system refused to make a folder.
        """
        self.root.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.root, self.journal, self.done, self.claims):
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                _check(folder)


def open_new(path: Path | str, *, append: bool = False) -> int:
    """Create the file `path`, which must not exist, for its owner only; return its fd (read and write).

    Raises:
        FileExistsError: Something of that name is there, if only a dangling link.
        OSError: The system refused.
    """
    return os.open(path, _NEW_FILE | (os.O_APPEND if append else 0), 0o600)


def _check(folder: Path) -> None:
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode):
        raise LedgerError(f"{folder} is not a directory; move it away or choose another JOBSPAN_LEDGER")
    if not hasattr(os, "geteuid"):
        return  # no owners and modes to look at
    if status.st_uid != os.geteuid():
        raise LedgerError(
            f"{folder} belongs to user {status.st_uid}, not to user {os.geteuid()} of this process; "
            "choose a JOBSPAN_LEDGER in a directory of your own"
        )
    if status.st_mode & stat.S_IWOTH:
        raise LedgerError(f"{folder} may be written by everybody; run: chmod 700 {folder}")
