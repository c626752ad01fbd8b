"""Adds up what was spent, by client, job or model: booked calls and costs, and numbers set by hand."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any, Literal

from jobspan.ledger import codec, queries
from jobspan.model.numbers import Sums, add_sums
from jobspan.model.record import UsageRow, dollars
from jobspan.model.run import Run

UsageBy = Literal["client", "job", "model"]

JOB_ITSELF = "(job itself)"
BY_HAND = "(set by hand)"
_TOKENS = {"prompt_tokens": "prompt", "completion_tokens": "completion"}
_MONEY = {"cost_usd": "cost:", "apify_api_costs": "cost:apify"}


def usage_rows(connection: sqlite3.Connection, by: UsageBy, job: str | None) -> list[UsageRow]:
    """Return one row for each client, job (run id) or model, in the order of their names.

    Args:
        connection: An open ledger.
        by: What the rows are named by.
        job: Only of the job with this uid; None: of all.
    """
    groups: dict[str, Sums] = {}
    for group, sums in _booked(connection, by, job):
        add_sums(groups.setdefault(group, {}), sums)
    for group, sums in _set_by_hand(connection, by, job):
        add_sums(groups.setdefault(group, {}), sums)
    return [_row(name, sums) for name, sums in sorted(groups.items())]


def _booked(connection: sqlite3.Connection, by: UsageBy, only: str | None) -> Iterator[tuple[str, Sums]]:
    """Yield calls and costs; a key counts once in a job, and by client once in each client run."""
    held: dict[tuple[Any, ...], tuple[str, Sums]] = {}
    rows = (
        connection.execute(queries.USAGE)
        if only is None
        else connection.execute(queries.USAGE_OF_JOB, (only,))
    )
    for kind, job, run, source, key, text, run_kind, label, job_run_id in rows:
        data: dict[str, Any] = json.loads(text)
        client = label if run_kind == "c" else JOB_ITSELF
        model = data.get("model") or (source or "(no model)" if kind == "cost" else "(unknown model)")
        group = {"client": client, "job": job_run_id or job, "model": model}[by]
        fact = (str(group), data.get("n", {}))
        if key is None:
            yield fact
        else:
            held[(job, kind, source, key, run if by == "client" else "")] = fact
    yield from held.values()


def _set_by_hand(connection: sqlite3.Connection, by: UsageBy, only: str | None) -> Iterator[tuple[str, Sums]]:
    """Yield tokens and costs that were set or added as columns; they came without calls."""
    for row in connection.execute(queries.SET_BY_HAND, {"job": only}):
        run = codec.read_run(row[:-1])
        sums = _columns(run)
        if sums:
            client = run.label if run.kind == "c" else JOB_ITSELF
            yield {"client": client, "job": row[-1] or run.job, "model": BY_HAND}[by], sums


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
    micro = [value for key, value in sums.items() if key == "llm_cost" or key.startswith("cost:")]
    tokens = [sums[key] for key in ("prompt", "completion", "total") if key in sums]
    return UsageRow(
        name=name,
        prompt_tokens=sums.get("prompt"),
        completion_tokens=sums.get("completion"),
        total_tokens=sum(tokens) if tokens else None,
        cost_usd=dollars(sum(micro)) if micro else None,
        calls=sums.get("calls", 0),
        unmetered_calls=sums.get("unmetered", 0),
        unpriced_calls=sums.get("unpriced", 0),
    )
