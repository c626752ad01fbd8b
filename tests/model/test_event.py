"""Only events that can be applied whole are read; a stranger's never break the others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobspan.model.event import read_event, write_event
from tests.model.histories import legal_history
from tests.model.stores import SqliteStore, fold_in_order, fold_pass, records_of, sqlite_ledger

STAMP = {"w": "C", "q": 1, "t": 5}
OPEN = {"e": "open", **STAMP, "kind": "c", "job": "J", "name": "x", "client": "x"}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(codec=None), max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.parametrize(
    "event",
    [
        {"e": "add", **STAMP, "c": {"posts": "3"}},
        {"e": "add", **STAMP, "c": {"posts": True}},
        {"e": "add", **STAMP, "c": {"posts": -1}},
        {"e": "add", **STAMP, "c": {"posts": 2**70}},
        {"e": "add", **STAMP, "c": ["posts"]},
        {"e": "add", **STAMP},
        {"e": "add", **STAMP, "c": {"posts": 1}, "x": "1"},
        {"e": "add", "w": "C", "q": True, "t": 5, "c": {}},
        {"e": "add", "w": "C", "q": 1, "t": 2**63, "c": {}},
        {"e": "add", "w": 7, "q": 1, "t": 5, "c": {}},
        {"e": "add", **STAMP, "p": 7, "c": {}},
        {"e": "close", **STAMP, "how": "vanished"},
        {"e": "close", **STAMP, "how": "exploded"},
        {"e": "close", **STAMP, "how": ["ok"]},
        {"e": "close", **STAMP},
        {"e": "usage", **STAMP, "u": [7]},
        {"e": "cost", **STAMP, "source": "apify", "micro_usd": 1.5},
        {"e": "note", **STAMP, "text": 7},
        {"e": "set", **STAMP, "c": {}, "f": {"error": {}}},
        {**OPEN, "kind": "z"},
        {**OPEN, "job": 7},
        {**OPEN, "client": None},
        {**OPEN, "kind": "o"},
        {**OPEN, "kind": "j"},
        {**OPEN, "deadline": "tomorrow"},
        {**OPEN, "to": "airtable:x"},
        {"e": "process"},
        {"e": "gone", "w": "C"},
        {"e": ["open"]},
        [],
        7,
        None,
    ],
)
def test_an_event_with_wrong_values_is_none(event: object) -> None:
    assert read_event(json.dumps(event)) is None


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"e":"note","w":"\xc3"}'])
def test_what_is_no_json_is_none(payload: bytes) -> None:
    assert read_event(payload) is None


def test_a_legal_event_is_read_as_it_was_written() -> None:
    for event, _ in legal_history(7, 9).events:
        assert read_event(write_event(event)) == event
        assert read_event(write_event(event).encode()) == event


def test_a_lone_surrogate_is_escaped_and_a_pair_is_kept() -> None:
    event = read_event(
        write_event({"e": "cost", **STAMP, "micro_usd": 1, "key": "a\ud800", "source": "\U0001f600"})
    )
    assert event is not None
    assert (event["key"], event["source"]) == ("a\\ud800", "\U0001f600")


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), st.integers(0, 2**32))
def test_hostile_events_never_break_the_fold_or_its_ledger(data: st.DataObject, seed: int) -> None:
    history = legal_history(seed)
    hostile: list[tuple[Any, str]] = []
    for event, process in data.draw(st.lists(st.sampled_from(history.events), min_size=1, max_size=6)):
        names = st.sampled_from([*event, "x", "p", "key", "top", "parent", "attempt", "part"])
        changed = {**event, data.draw(names): data.draw(json_values)}
        payload = json.dumps(changed)
        read = read_event(payload)
        if read is not None and read["e"] != "process":
            hostile.append((read, process))
    connection = sqlite_ledger()
    store = SqliteStore(connection)
    fold_in_order(store, history)
    fold_pass(store, hostile)
    for record in records_of(connection):
        assert len(record["system_notes"]) <= 8_000
