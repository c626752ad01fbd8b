"""Adds up what was spent, by client, model, job or day: calls, other costs, and numbers set by hand."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Literal

from jobspan.ledger import codec, queries
from jobspan.model.numbers import Sums, add_sums
from jobspan.model.record import UsageRow, instant
from jobspan.model.run import Run
from jobspan.model.spending import cost_of

UsageBy = Literal["client", "model", "job", "day"]

JOB_ITSELF = "(job itself)"
BY_HAND = "(set by hand)"
NO_MODEL = "(no model)"
UNKNOWN = "(unknown model)"
_TOKENS = {"prompt_tokens": "prompt", "completion_tokens": "completion"}
_MONEY = {"cost_usd": "cost:", "apify_api_costs": "cost:apify"}
_LAST_NS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class _Spent:
    """One thing that was spent, and when; `once` names what counts only once."""

    at_ns: int
    run: str
    client: str
    job: str
    model: str
    sums: Sums
    once: tuple[Any, ...] | None = None


def month_range(month: str, zone: tzinfo) -> tuple[int, int]:
    """Return the nanoseconds since the epoch between which a month ``YYYY-MM`` lies in `zone`.

    Raises:
        ValueError: It is no such month.
    """
    start = datetime.strptime(month, "%Y-%m").replace(tzinfo=zone)
    if start.strftime("%Y-%m") != month:
        raise ValueError(f"{month!r} is no month; write it as 2026-05")
    end = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    return int(start.timestamp()) * 1_000_000_000, int(end.timestamp()) * 1_000_000_000


def usage_rows(
    connection: sqlite3.Connection,
    by: UsageBy,
    job: str | None,
    zone: tzinfo,
    between: tuple[int, int] = (0, _LAST_NS),
) -> list[UsageRow]:
    """Return one row for each client, model, job (run id) or day, in the order of their names.

    Args:
        connection: An open ledger.
        by: What the rows are named by.
        job: Only of the job with this uid; None: of all.
        zone: Where days begin.
        between: Only what was spent from the first instant on and before the second, in ns.
    """
    groups: dict[str, Sums] = {}
    spent = [*_calls(connection, job), *_costs(connection, job)]
    for one in _counted_once(spent, by):
        if between[0] <= one.at_ns < between[1]:
            add_sums(groups.setdefault(_name(one, by, zone), {}), one.sums)
    for one in _set_by_hand(connection, job):
        if between[0] <= one.at_ns < between[1]:
            add_sums(groups.setdefault(_name(one, by, zone), {}), one.sums)
    return [_row(name, sums) for name, sums in sorted(groups.items())]


def _name(one: _Spent, by: UsageBy, zone: tzinfo) -> str:
    if by == "day":
        moment = instant(one.at_ns)
        return "" if moment is None else moment.astimezone(zone).strftime("%Y-%m-%d")
    names = {"client": one.client, "model": one.model, "job": one.job}
    return names[by]


def _counted_once(spent: list[_Spent], by: UsageBy) -> Iterator[_Spent]:
    """Yield what counts: an id once in a job, the latest; by client once in each client run."""
    held: dict[tuple[Any, ...], _Spent] = {}
    for one in spent:
        if one.once is None:
            yield one
        else:
            held[(*one.once, one.run if by == "client" else "")] = one
    yield from held.values()


def _calls(connection: sqlite3.Connection, only: str | None) -> Iterator[_Spent]:
    rows = connection.execute(queries.SPENT_ON_CALLS, {"job": only})
    for id, job, run, at_ns, model, text, kind, label, run_id in rows:
        once = None if id is None else (job, "call", id)
        client = label if kind == "c" else JOB_ITSELF
        yield _Spent(at_ns, run, client, run_id or job, model or UNKNOWN, _shown(json.loads(text)), once)


def _shown(sums: Sums) -> Sums:
    """Leave out what only notes are made of."""
    return {name: value for name, value in sums.items() if ":" not in name}


def _costs(connection: sqlite3.Connection, only: str | None) -> Iterator[_Spent]:
    rows = connection.execute(queries.SPENT_OTHERWISE, {"job": only})
    for source, key, job, run, at_ns, text, kind, label, run_id in rows:
        once = None if key is None else (job, "cost", source, key)
        client = label if kind == "c" else JOB_ITSELF
        sums: Sums = json.loads(text).get("n", {})
        yield _Spent(at_ns, run, client, run_id or job, source or NO_MODEL, sums, once)


def _set_by_hand(connection: sqlite3.Connection, only: str | None) -> Iterator[_Spent]:
    """Yield tokens and costs that were set or added as columns; they came without calls."""
    for row in connection.execute(queries.SET_BY_HAND, {"job": only}):
        run = codec.read_run(row[:-1])
        sums = _columns(run)
        if sums:
            client = run.label if run.kind == "c" else JOB_ITSELF
            yield _Spent(run.start_ns or 0, run.uid, client, row[-1] or run.job, BY_HAND, sums)


def _columns(run: Run) -> Sums:
    """Return the run's own columns, as sums; a job's counters hold those of its client runs, too."""
    below = run.client_counts
    own = {name: n - below.get(name, 0) for name, n in run.counts.items() if below.get(name) != n}
    sums = {key: own[name] for name, key in (_TOKENS | _MONEY).items() if name in own}
    measured = {"prompt", "completion"} & (run.spend.keys() | sums.keys())
    if "total_tokens" in own and not measured:
        sums["total"] = own["total_tokens"]
    return sums


def _row(name: str, sums: Sums) -> UsageRow:
    tokens = [sums[key] for key in ("prompt", "completion", "total") if key in sums]
    return UsageRow(
        name=name,
        prompt_tokens=sums.get("prompt"),
        completion_tokens=sums.get("completion"),
        total_tokens=sum(tokens) if tokens else None,
        cost_usd=cost_of(sums),
        calls=sums.get("calls", 0),
        unmetered_calls=sums.get("unmetered", 0),
        unpriced_calls=sums.get("unpriced", 0),
    )
