"""The laws of the fold: order, repetition and batching of events change nothing."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobspan.model.run import Run
from tests.model.histories import History, legal_history
from tests.model.oracle import Oracle
from tests.model.stores import (
    MemoryStore,
    SqliteStore,
    fold_in_order,
    fold_pass,
    records_of,
    sqlite_ledger,
    sweep,
)

seeds = st.integers(0, 2**32)
quick = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


def fold_shuffled(store: Any, history: History, seed: int) -> None:
    """Fold a history in any order, with repetitions, in passes of any size."""
    rng = random.Random(seed)
    events = list(history.events)
    if rng.random() < 0.8:
        events += rng.choices(events, k=rng.randint(0, len(events)))
        rng.shuffle(events)
    most = rng.choice([1, 3, 10, 1000])
    while events:
        size = rng.randint(1, most)
        batch, events = events[:size], events[size:]
        fold_pass(store, batch)
    dead = list(history.gone.items())
    rng.shuffle(dead)
    for one in dead:
        fold_pass(store, [], [one])
    sweep(store, history.swept_at)
    if rng.random() < 0.3:
        fold_pass(store, rng.choices(history.events, k=5), dead)


def seen_by_people(run: Run) -> dict[str, Any]:
    """Return what a run's rows are made of."""
    return {
        "status": run.status,
        "label": run.label,
        "run_id": run.run_id,
        "to": run.destinations,
        "start": run.start_ns,
        "end": run.end_ns,
        "counts": dict(run.counts),
        "errors": run.errors,
        "spend": dict(run.spend),
        "skipped": run.skipped,
        "attempts": run.attempts,
        "fields": run.fields,
        "failure": (run.failure_type, run.failure),
        "clients": {status: n for status, n in run.clients.items() if n},
    }


def told_by(oracle: Oracle, uid: str, run: Run) -> dict[str, Any]:
    """Return what the oracle says of a run; calls of each model and the like only the fold counts."""
    said = oracle.run(uid)
    more = {n: v for n, v in run.spend.items() if n.startswith(("model:", "unpriced", "by:", "priced"))}
    return said | {"spend": said["spend"] | more}


def in_order(history: History) -> MemoryStore:
    store = MemoryStore()
    fold_in_order(store, history)
    return store


@quick
@given(seeds, seeds)
def test_any_order_repetition_and_batching_gives_the_same_runs(seed: int, order: int) -> None:
    history = legal_history(seed)
    shuffled = MemoryStore()
    fold_shuffled(shuffled, history, order)
    expected = {uid: seen_by_people(run) for uid, run in in_order(history).runs.items()}
    assert {uid: seen_by_people(run) for uid, run in shuffled.runs.items()} == expected


@quick
@given(seeds, seeds)
def test_any_order_gives_the_same_records_and_notes_through_sqlite(seed: int, order: int) -> None:
    history = legal_history(seed)
    straight, shuffled = sqlite_ledger(), sqlite_ledger()
    fold_in_order(SqliteStore(straight), history)
    fold_shuffled(SqliteStore(shuffled), history, order)
    assert records_of(shuffled) == records_of(straight)


@quick
@given(seeds, seeds)
def test_the_fold_says_what_the_design_says(seed: int, order: int) -> None:
    history = legal_history(seed)
    store = MemoryStore()
    fold_shuffled(store, history, order)
    oracle = Oracle(history)
    for run in store.runs.values():
        assert seen_by_people(run) | told_by(oracle, run.uid, run) == seen_by_people(run), run.uid


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
@given(seeds, seeds, st.integers(1, 9))
def test_the_laws_hold_for_many_histories(seed: int, order: int, size: int) -> None:
    history = legal_history(seed, size)
    store = MemoryStore()
    fold_shuffled(store, history, order)
    expected = {uid: seen_by_people(run) for uid, run in in_order(history).runs.items()}
    assert {uid: seen_by_people(run) for uid, run in store.runs.items()} == expected
    oracle = Oracle(history)
    for run in store.runs.values():
        assert seen_by_people(run) | told_by(oracle, run.uid, run) == seen_by_people(run), run.uid
