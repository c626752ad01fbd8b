"""Two stores behind the fold: dictionaries, and SQLite in memory; and how a history is folded in passes."""

from __future__ import annotations

import copy
import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import Any

from jobspan.ledger.migrations import MIGRATIONS
from jobspan.ledger.reading import LedgerReader
from jobspan.ledger.store import SqliteStore
from jobspan.model.entry import Entry
from jobspan.model.event import read_event
from jobspan.model.fold import Fold
from jobspan.model.numbers import Seen
from jobspan.model.part import OPERATION, Part
from jobspan.model.run import Run
from jobspan.model.workspace import BookedCall, Pricing, Process, Workspace
from tests.model.histories import History


class MemoryStore:
    """A `Store` of plain dictionaries; what it gives and takes are copies."""

    def __init__(self) -> None:
        self.parts: dict[str, Part] = {}
        self.runs: dict[str, Run] = {}
        self.processes: dict[str, Process] = {}
        self.writers: dict[str, Seen] = {}
        self.plain: list[Entry] = []
        self.keyed: dict[tuple[str, ...], Entry] = {}
        self.stashes: dict[str, list[Any]] = {}
        self.calls: dict[str, list[BookedCall]] = {}
        self.loaded = 0

    def _given(self, found: Iterable[Any]) -> list[Any]:
        given = [copy.deepcopy(one) for one in found]
        self.loaded += len(given)
        return given

    def load_parts(self, uids: Iterable[str]) -> list[Part]:
        return self._given(self.parts[uid] for uid in uids if uid in self.parts)

    def load_runs(self, uids: Iterable[str]) -> list[Run]:
        return self._given(self.runs[uid] for uid in uids if uid in self.runs)

    def load_tops(self, runs: Iterable[str]) -> list[Part]:
        wanted = set(runs)
        tops = (p for p in self.parts.values() if p.run in wanted and p.kind != OPERATION)
        return self._given(p for p in tops if not p.settled)

    def load_settled(self, run: str) -> list[Part]:
        return self._given(p for p in self.parts.values() if p.run == run and p.settled)

    def load_open_children(self, parts: Iterable[str]) -> list[Part]:
        wanted = set(parts)
        return self._given(p for p in self.parts.values() if p.parent in wanted and p.ending is None)

    def load_unclosed_of_process(self, process: str) -> list[Part]:
        return self._given(p for p in self.parts.values() if p.process == process and p.ending is None)

    def load_overdue(self, now_ns: int) -> list[Part]:
        return self._given(
            p for p in self.parts.values() if p.end is None and p.deadline_ns and p.deadline_ns <= now_ns
        )

    def load_process(self, uid: str) -> Process | None:
        return copy.deepcopy(self.processes.get(uid))

    def load_writer(self, writer: str) -> Seen | None:
        return copy.deepcopy(self.writers.get(writer))

    def load_keyed(self, job: str, kind: str, source: str, key: str) -> list[Entry]:
        return self._given(e for place, e in self.keyed.items() if place[:4] == (job, kind, source, key))

    def load_items(self, run: str) -> list[Entry]:
        return self._given(e for e in self.keyed.values() if e.kind == "item" and e.run == run)

    def load_usage(self, job: str, run: str | None) -> list[Entry]:
        kinds = ("usage", "span", "path")
        known = [e for e in [*self.plain, *self.keyed.values()] if e.kind in kinds and e.job == job]
        return self._given(e for e in known if run in (None, e.run))

    def load_unresolved(self) -> list[str]:
        return [run.uid for run in self.runs.values() if run.facts_new]

    def load_calls(self, run: str) -> list[BookedCall]:
        return self._given(self.calls.get(run, []))

    def load_calls_of_ids(self, job: str, ids: Iterable[str]) -> list[BookedCall]:
        wanted = set(ids)
        calls = [call for held in self.calls.values() for call in held]
        return self._given(call for call in calls if call.job == job and call.id in wanted)

    def load_stash(self, part: str) -> list[Any]:
        return self._given(self.stashes.get(part, []))

    def load_ends(self, job: str) -> list[tuple[str, int]]:
        runs = [r for r in self.runs.values() if r.job == job and r.uid != job and r.end_ns is not None]
        return [(r.uid, r.end_ns or 0) for r in sorted(runs, key=lambda r: -(r.end_ns or 0))]

    def write(self, space: Workspace) -> None:
        self.parts |= copy.deepcopy(space.parts)
        self.runs |= copy.deepcopy(space.runs)
        self.processes |= copy.deepcopy(space.processes)
        self.writers |= copy.deepcopy(space.writers)
        self.plain += copy.deepcopy(space.entries)
        self.keyed |= copy.deepcopy(space.keyed)
        self.calls |= copy.deepcopy(space.calls)
        for part in space.unstashed:
            self.stashes.pop(part, None)
        for part, events in space.stashed.items():
            self.stashes.setdefault(part, []).extend(copy.deepcopy(events))


def sqlite_ledger() -> sqlite3.Connection:
    """Return an empty ledger in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for migration in MIGRATIONS:
        for statement in migration:
            connection.execute(statement)
    return connection


def fold_pass(
    store: Any,
    events: Sequence[tuple[Any, str]],
    gone: Iterable[tuple[str, int]] = (),
    pricing: Pricing | None = None,
) -> Fold:
    """Fold one batch as the folder does; the events go through the journal's text."""
    batch = [(read_event(json.dumps(event)), process) for event, process in events]
    fold = Fold(store, pricing)
    fold.prepare([event for event, _ in batch if event is not None])
    for event, process in batch:
        assert event is not None, "a legal event was refused"
        fold.apply(event, process)
    for process, last_ns in gone:
        fold.gone(process, last_ns)
    fold.settle()
    store.write(fold.space)
    return fold


def sweep(store: Any, now_ns: int | None) -> None:
    """Look for passed deadlines."""
    if now_ns is None:
        return
    fold = Fold(store)
    fold.overdue(now_ns, store.load_overdue(now_ns))
    fold.settle()
    store.write(fold.space)


def fold_in_order(store: Any, history: History, pricing: Pricing | None = None) -> None:
    """Fold a whole history in one pass."""
    fold_pass(store, history.events, history.gone.items(), pricing)
    sweep(store, history.swept_at)


def records_of(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    """Return all jobs of a ledger as JSON values."""
    reader = LedgerReader(connection, UTC)
    return sorted((job.to_dict() for job in reader.jobs()), key=lambda job: job["run_id"])


__all__ = ["MemoryStore", "SqliteStore", "fold_in_order", "fold_pass", "records_of", "sqlite_ledger", "sweep"]
