"""What the ledger's rows hold is what was put into them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobspan.ledger import codec, queries
from jobspan.model.entry import Entry
from jobspan.model.numbers import Counters, Seen
from tests.model.histories import legal_history
from tests.model.stores import MemoryStore, SqliteStore, fold_pass, sqlite_ledger

quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def folded(seed: int, store: Any) -> None:
    history = legal_history(seed, 5)
    half = len(history.events) // 2
    fold_pass(store, history.events[half:])
    fold_pass(store, history.events[:half], history.gone.items())


@quick
@given(st.integers(0, 2**32))
def test_parts_runs_entries_and_processes_come_back_equal(seed: int) -> None:
    memory, connection = MemoryStore(), sqlite_ledger()
    store = SqliteStore(connection)
    folded(seed, memory)
    folded(seed, store)
    assert {part.uid: part for part in store.load_parts(memory.parts)} == memory.parts
    assert {run.uid: run for run in store.load_runs(memory.runs)} == memory.runs
    assert {uid: store.load_process(uid) for uid in memory.processes} == memory.processes
    assert {uid: store.load_writer(uid) for uid in memory.writers} == memory.writers
    rows = connection.execute(queries._ENTRY + " WHERE kind <> 'stash'")
    entries = {(e.stamp[1:], e.kind): e for e in map(codec.read_entry, rows)}
    assert entries == {(e.stamp[1:], e.kind): e for e in [*memory.plain, *memory.keyed.values()]}


def test_an_entry_comes_back_equal() -> None:
    entry = Entry("usage", "p", "t", "r", "j", (1, "w", 2), {"n": {"calls": 1}, "model": None}, "s", "k")
    row = codec.entry_row(entry)
    assert codec.read_entry(row) == entry


@given(st.lists(st.integers(0, 60), max_size=200))
def test_seen_takes_every_number_once_in_any_order(numbers: list[int]) -> None:
    seen, taken = Seen(), set[int]()
    for number in numbers:
        assert seen.take(number) is (number not in taken)
        taken.add(number)
        seen = Seen.from_text(seen.to_text())
    assert all(start > seen.mark for start, _ in seen.beyond)
    assert len(seen.beyond) <= 31


def test_a_lost_event_costs_seen_one_span_and_not_one_number_each() -> None:
    seen = Seen()
    for number in range(1, 100_000):
        assert seen.take(number)
    assert seen.to_text() == "0 1-100000"
    assert seen.take(0)
    assert seen.to_text() == "100000"


change = st.tuples(
    st.booleans(), st.sampled_from("ab"), st.integers(0, 9), st.integers(0, 5), st.integers(0, 99)
)


@given(st.lists(change, max_size=25), st.randoms(use_true_random=False))
def test_counters_do_not_depend_on_the_order_of_changes(changes: list[Any], random: Any) -> None:
    def value_of(listed: list[Any]) -> dict[str, int]:
        counters = Counters()
        for n, (sets, name, value, epoch, at) in listed:
            if sets:
                counters.set(name, value, epoch, (at, "w", n))
            else:
                counters.add(name, value, epoch)
            counters = Counters.from_json(json.loads(json.dumps(counters.to_json())))
        return counters.values()

    numbered = list(enumerate(changes))
    expected = value_of(numbered)
    random.shuffle(numbered)
    assert value_of(numbered) == expected


def test_more_epochs_than_are_kept_apart_lose_no_addition() -> None:
    counters = Counters()
    for epoch in range(1, 2_000):
        counters.add("a", 1, epoch)
    assert counters.values() == {"a": 1_999}
    assert len(counters.later["a"]) <= 256
    counters.set("a", 5, 1_900, (1, "w", 1))
    assert counters.values() == {"a": 105}
