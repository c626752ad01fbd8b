"""What of this process's journal is in no file: its first record, and what waits in memory."""

from __future__ import annotations

from collections.abc import Sequence

from jobspan.journal.identity import current as current_process
from jobspan.journal.writer import JournalWriter
from jobspan.model.event import write_event


class Backlog:
    """The events of this process that wait in memory, as the ledger takes them."""

    def __init__(self, journal: JournalWriter) -> None:
        self._journal = journal

    def events(self) -> list[tuple[str, str]]:
        """Return (process uid, payload) of each, after one that says which process that is."""
        if not self._journal.buffered:
            return []
        process = current_process().uid
        return [(process, text) for text in [header(), *self._journal.buffered_payloads()]]

    def forget(self, events: Sequence[tuple[str, str]]) -> None:
        """Let go of events that are in the ledger now."""
        self._journal.forget([payload for _, payload in events[1:]])


def header() -> str:
    """Return the first record of a journal: who writes it."""
    process = current_process()
    return write_event({"e": "process", "process": process.uid, "v": 1, **process.as_dict()})
