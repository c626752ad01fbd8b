"""Writes parts told whole straight as rows: the short way of the fold, for nearly all client runs.

Only what is new to the ledger goes it. A part whose name the ledger knows (its events came before, or one
of them did), or below which something is open, takes the fold's way. What the rows say is what the fold
would have written, so what comes later finds nothing to tell the two ways apart.

A client run entered once is one row: its part stands in it. The part gets a row of its own when there is
more to say of it, or another part beside it (`SqliteStore.write`).
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable

from jobspan._breath import paced
from jobspan.ledger import codec, queries
from jobspan.ledger.store import SqliteStore, put_rows, select_among
from jobspan.ledger.told_calls import ToldCalls
from jobspan.model.fold import Fold
from jobspan.model.numbers import Sums
from jobspan.model.part import CLIENT_RUN
from jobspan.model.run import client_run_uid
from jobspan.model.settled import Settled
from jobspan.model.spending import add_spend
from jobspan.model.telling import ToldPart


def write_told(
    connection: sqlite3.Connection, store: SqliteStore, fold: Fold, told: list[ToldPart]
) -> list[ToldPart]:
    """Write parts told whole; give their runs and jobs what they add up to. Return those it cannot take."""
    known = _known(connection, [part.uid for part in told])
    fresh: dict[str, ToldPart] = {}
    others: list[ToldPart] = []
    for part in told:
        if part.uid in known or part.uid in fresh:
            others.append(part)
        else:
            fresh[part.uid] = part
    by_run: dict[str, list[ToldPart]] = {}
    for part in paced(fresh.values()):
        by_run.setdefault(client_run_uid(part.job, part.client), []).append(part)
    others += _give_to_known_runs(connection, fold, by_run)
    others += _take_loose(fold, by_run)
    _write_new_runs(connection, store, fold, by_run)
    for process, at_ns in _last_signs(fresh.values()).items():
        fold.heard_from(process, int(at_ns))
    return others


def _known(connection: sqlite3.Connection, uids: list[str]) -> set[str]:
    """Return which of these parts the ledger has heard of, or holds something open below of."""
    asked = (queries.KNOWN_PARTS, queries.KNOWN_IN_RUNS, queries.OPEN_ABOVE)
    return {uid for query in asked for (uid,) in select_among(connection, query, uids)}


def _give_to_known_runs(
    connection: sqlite3.Connection, fold: Fold, by_run: dict[str, list[ToldPart]]
) -> list[ToldPart]:
    """Write the parts of runs with more than one, and take these runs out; return parts to be weighed."""
    space = fold.space
    known = {uid for (uid,) in select_among(connection, queries.KNOWN_RUNS, by_run)}
    grown = {uid: by_run[uid] for uid, parts in by_run.items() if len(parts) > 1 or uid in known}
    if not grown:
        return []
    space.load_runs(grown.keys() | {parts[0].job for parts in grown.values()})
    others: list[ToldPart] = []
    for uid, parts in grown.items():
        del by_run[uid]
        others += [part for part in parts if part.name or part.usages]
        settled = [part for part in parts if not (part.name or part.usages)]
        if not settled:
            continue
        put_rows(connection, queries.PUT_NEW_PART, [_part_row(uid, part) for part in settled])
        put_rows(connection, queries.PUT_ENTRY, [row for part in settled for row in _note_rows(uid, part)])
        run = space.run(uid, CLIENT_RUN, settled[0].job)
        run.label = settled[0].client
        for part in settled:
            run.settled.add(part.whole())
        space.grown.add(uid)
    return others


def _take_loose(fold: Fold, by_run: dict[str, list[ToldPart]]) -> list[ToldPart]:
    """Take out runs with calls of which their job may have witnesses, too; return their parts."""
    jobs = {part.job for (part,) in by_run.values() if part.usages}
    fold.space.load_runs(jobs)
    loose = {uid for uid in jobs if (job := fold.space.known_run(uid)) is not None and job.loose}
    runs = [uid for uid, (part,) in by_run.items() if part.usages and part.job in loose] if loose else []
    return [part for uid in runs for part in by_run.pop(uid)]


def _write_new_runs(
    connection: sqlite3.Connection, store: SqliteStore, fold: Fold, by_run: dict[str, list[ToldPart]]
) -> None:
    """Write client runs entered once as one row each, and give them to their jobs."""
    space = fold.space
    by_job: dict[str, list[ToldPart]] = {}
    rows: list[codec.Row] = []
    notes: list[codec.Row] = []
    calls = ToldCalls(fold.space.price)
    version = store.take_versions(len(by_run))
    for uid, (part,) in paced(by_run.items()):
        spend = calls.take(uid, part) if part.usages else None
        rows.append(_run_row(uid, part, version + len(rows), spend))
        if part.notes:
            notes += _note_rows(uid, part)
        if part.job not in by_job:
            by_job[part.job] = []
            space.written.setdefault(part.job, [])
        by_job[part.job].append(part)
        space.written[part.job].append(uid)
    put_rows(connection, queries.PUT_NEW_RUN, rows)
    put_rows(connection, queries.PUT_ENTRY, notes + calls.entries)
    put_rows(connection, queries.PUT_CALL, calls.calls)
    space.load_runs(set(by_job))
    for job, parts in by_job.items():
        space.job(job).take_whole_runs(_sum(parts))
        add_spend(space.job(job), calls.spends.get(job, ()))
        space.grown.add(job)


def _sum(parts: list[ToldPart]) -> Settled:
    """Return what new client runs give their job: many add the same."""
    gain = Settled(parts=len(parts), end_ns=int(max(max(part.start_ns, part.end_ns) for part in parts)))
    for text, times in Counter([part.counts for part in parts if part.counts]).items():
        for name, value in json.loads(text).items():
            gain.counts[name] = gain.counts.get(name, 0) + value * times
            gain.names[name] = gain.names.get(name, 0) + times
    return gain


def _part_row(run: str, part: ToldPart) -> codec.Row:
    place = (part.uid, CLIENT_RUN, run, part.job, part.parent, part.process)
    return (*place, 1, int(part.start_ns), None, codec.told_data(part), 1)


def _run_row(uid: str, part: ToldPart, version: int, spend: Sums | None) -> codec.Row:
    data, start_ns = codec.told_run_data(part, spend), int(part.start_ns)
    run = (uid, part.job, part.client, start_ns, max(start_ns, int(part.end_ns)), data, version)
    return (*run, part.uid, part.parent, part.process, codec.told_data(part, spend))


def _note_rows(run: str, part: ToldPart) -> list[codec.Row]:
    """Return the rows of the entries that the notes in a part make."""
    place = ("note", part.uid, part.uid, run, part.job)
    return [
        (*place, int(note.at_ns), part.uid, int(note.seq), f'{{"text":"{note.text}"}}', "", None)
        for note in part.notes
    ]


def _last_signs(parts: Iterable[ToldPart]) -> dict[str, str]:
    """Return when each process was last heard of in these parts."""
    last: dict[str, str] = {}
    for part in parts:
        at_ns = max(part.end_ns, part.start_ns, part.last_ns)
        if at_ns > last.get(part.process, ""):
            last[part.process] = at_ns
    return last
