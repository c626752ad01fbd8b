"""The process's own append-only files: write, read, set aside; and the claims of run ids.

Bytes and files only: what an event means is not known here. Nothing else opens files or locks them.
"""

from jobspan.journal.claim import RunIdClaims
from jobspan.journal.frame import Scan, encode, scan
from jobspan.journal.identity import ProcessIdentity, current, is_gone
from jobspan.journal.place import Place
from jobspan.journal.reader import (
    Chunk,
    done_journals,
    header,
    is_owned,
    is_writer_dead,
    journals,
    last_seen_ns,
    prune_done,
    read,
    retire,
    writer_key,
)
from jobspan.journal.writer import JournalWriter

__all__ = [
    "Chunk",
    "JournalWriter",
    "Place",
    "ProcessIdentity",
    "RunIdClaims",
    "Scan",
    "current",
    "done_journals",
    "encode",
    "header",
    "is_gone",
    "is_owned",
    "is_writer_dead",
    "journals",
    "last_seen_ns",
    "prune_done",
    "read",
    "retire",
    "scan",
    "writer_key",
]
