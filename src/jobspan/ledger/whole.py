"""Writes parts told whole straight as rows: the short way of the fold, for nearly all client runs.

Only what is new to the ledger goes it. A part whose name the ledger knows (its events came before, or one
of them did), or below which something is open, takes the fold's way. The rows are those the fold would
have written, so what comes later finds nothing to tell the two ways apart.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from json.encoder import encode_basestring_ascii as quote

from jobspan.ledger import codec, queries
from jobspan.ledger.store import SqliteStore, select_many
from jobspan.model.fold import Fold
from jobspan.model.part import CLIENT_RUN
from jobspan.model.run import client_run_uid
from jobspan.model.settled import Settled
from jobspan.model.status import Status
from jobspan.model.telling import ToldPart

_COMPLETED = Status.COMPLETED.value


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
    parts = list(fresh.values())
    by_run: dict[str, list[ToldPart]] = {}
    for part in parts:
        by_run.setdefault(client_run_uid(part.job, part.client), []).append(part)
    connection.executemany(queries.PUT_NEW_PART, map(_part_row, parts))
    _give_to_runs(connection, store, fold, by_run)
    for process, at_ns in _last_signs(parts).items():
        fold.heard_from(process, at_ns)
    return others


def _known(connection: sqlite3.Connection, uids: list[str]) -> set[str]:
    """Return which of these parts the ledger has heard of, or holds something open below of."""
    found = {uid for (uid,) in select_many(connection, queries.KNOWN_PARTS, uids)}
    return found | {uid for (uid,) in select_many(connection, queries.OPEN_ABOVE, uids)}


def _give_to_runs(
    connection: sqlite3.Connection, store: SqliteStore, fold: Fold, by_run: dict[str, list[ToldPart]]
) -> None:
    space = fold.space
    known = {uid for (uid,) in select_many(connection, queries.KNOWN_RUNS, by_run)}
    grown = {uid for uid, parts in by_run.items() if len(parts) > 1 or uid in known}
    space.load_runs(grown | {parts[0].job for parts in by_run.values()})
    gains: dict[str, Settled] = {}
    rows: list[tuple[str, ToldPart]] = []
    for uid, parts in by_run.items():
        if uid in grown:
            run = space.run(uid, CLIENT_RUN, parts[0].job)
            run.label = parts[0].client
            for part in parts:
                run.settled.add(part.whole)
            space.grown.add(uid)
        else:
            gains.setdefault(parts[0].job, Settled()).add(parts[0].whole)
            rows.append((uid, parts[0]))
    version = store.take_versions(len(rows))
    connection.executemany(
        queries.PUT_NEW_RUN, [_run_row(uid, part, version + n) for n, (uid, part) in enumerate(rows)]
    )
    for uid, part in rows:
        space.written.setdefault(part.job, []).append(uid)
    for job, gain in gains.items():
        space.job(job).take_whole_runs(gain)
        space.grown.add(job)


def _part_row(part: ToldPart) -> codec.Row:
    data = codec.brief_data(
        quote(part.label),
        part.lane,
        part.last_ns,
        part.story[-1]["t"],
        part.end_lane,
        len(part.story),
        _counts_text(part.whole.counts),
    )
    run = client_run_uid(part.job, part.client)
    place = (part.uid, CLIENT_RUN, run, part.job, part.parent, part.process)
    return (*place, 1, part.whole.start_ns, None, data, 1)


def _run_row(uid: str, part: ToldPart, version: int) -> codec.Row:
    counts, start_ns, end_ns = part.whole
    text = f'"counts":{_counts_text(counts)},' if counts else ""
    data = f'{{{text}"parts":1,"shared":true,"settled":1}}'
    return (uid, CLIENT_RUN, part.job, part.client, None, _COMPLETED, start_ns, end_ns, data, version)


def _counts_text(counts: dict[str, int]) -> str:
    return "{" + ",".join([f"{quote(name)}:{value}" for name, value in counts.items()]) + "}"


def _last_signs(parts: Iterable[ToldPart]) -> dict[str, int]:
    """Return when each process was last heard of in these parts."""
    last: dict[str, int] = {}
    for part in parts:
        at_ns = max(part.whole.end_ns, part.last_ns)
        if at_ns > last.get(part.process, -1):
            last[part.process] = at_ns
    return last
