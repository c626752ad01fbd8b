"""The key that signs tokens where no `JOBSPAN_TOKEN_KEY` is set: random, beside the ledger, for its owner."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from jobspan.journal.place import Place, open_new

_BYTES = 32


def ledger_key(place: Place) -> bytes:
    """Return the key of the ledger at `place`; it is made when there is none.

    Raises:
        OSError: It can be neither read nor made.
        LedgerError: The folder beside the ledger cannot be trusted.
    """
    path = place.root / "token-key"
    known = _read(path)
    if known is not None:
        return known
    place.prepare()
    draft = path.with_name(f"token-key.{os.urandom(6).hex()}")
    file = open_new(draft)
    try:
        os.write(file, os.urandom(_BYTES))
    finally:
        os.close(file)
    try:
        with contextlib.suppress(FileExistsError):  # another process was first: its key holds
            os.link(draft, path)
    finally:
        draft.unlink()
    made = _read(path)
    if made is None:
        raise OSError(f"{path} holds no key; delete it")
    return made


def _read(path: Path) -> bytes | None:
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        return None
    return key if len(key) == _BYTES else None
