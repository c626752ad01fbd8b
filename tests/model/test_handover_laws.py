"""Detached, attached and expected parts: any order and repetition of their events gives the same records."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.stores import SqliteStore, fold_pass, records_of, sqlite_ledger, sweep
from tests.model.telling import SECOND, START, Teller


def attached(teller: Teller, rng: random.Random, client: str) -> None:
    """Tell of blocks that were attached to a client run, here or in another ledger."""
    for n in range(rng.randint(0, 3)):
        uid, home = f"{client}{n}", f"q{n}"
        t = rng.choice([10, 20, 40]) + n
        of, delivery = client, rng.choice([{}, {"delivery": "-"}, {"delivery": "n"}])
        if rng.random() < 0.3:
            of = f"{client} of another ledger"
        teller.client(uid, t, client, of=of, parent=None, process=home, **delivery)
        teller.at(uid, t + 1, "add", c={"leads": rng.randint(1, 9)}, process=home)
        if rng.random() < 0.8:
            teller.close(uid, t + 2, rng.choice(["ok", "ok", "failed"]), process=home)


def story(seed: int) -> tuple[list[tuple[dict[str, Any], str]], int]:
    """Return the events of a job with detached clients, and when deadlines are looked for."""
    rng = random.Random(seed)
    teller = Teller()
    clients = [f"c{n}" for n in range(rng.randint(1, 3))]
    if rng.random() < 0.6:
        n = rng.randint(1, 4)
        opening = {"kind": "j", "job": "J", "name": "", "free": 1, "p": "J#expected", "expect": n}
        teller.at("E", 1, "open", deadline=START + rng.choice([30, 500]) * SECOND, **opening)
        if rng.random() < 0.3:
            teller.at("E", 2, "close", p="J#expected", how="ok")
    for client in clients:
        teller.client(client, 3, client, lane=1)
        teller.at(client, 4, "add", c={"leads": 5})
        if rng.random() < 0.8:
            teller.at(client, 5, "detach", deadline=START + rng.choice([30, 500]) * SECOND)
        attached(teller, rng, client)
        for n in range(rng.randint(0, 2)):
            uid = f"{client}again{n}"
            teller.client(uid, 50 + n, client, retry=client, attempt=2 + n, parent=None, process=f"r{n}")
            teller.at(uid, 51 + n, "add", c={"leads": rng.randint(1, 9)}, process=f"r{n}")
            if rng.random() < 0.7:
                teller.close(uid, 52 + n, rng.choice(["ok", "failed"]), process=f"r{n}")
        if rng.random() < 0.3:
            teller.close(client, 6, "failed", "ValueError", "bad")
    teller.close("J", 9)
    return teller.events, rng.choice([0, 100, 1000])


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_order_and_repetition_change_nothing(seed: int, shuffle: int) -> None:
    tell_twice(seed, shuffle)


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=2000, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_order_and_repetition_change_nothing_in_many_stories(seed: int, shuffle: int) -> None:
    tell_twice(seed, shuffle)


def tell_twice(seed: int, shuffle: int) -> None:
    """Tell a story in its order, and mixed with repetitions, and compare the records."""
    events, swept_at = story(seed)
    rng = random.Random(shuffle)
    mixed = [*events, *rng.choices(events, k=5)]
    rng.shuffle(mixed)
    found = []
    for history, most in ((events, 1_000), (mixed, rng.choice([1, 3, 10]))):
        connection = sqlite_ledger()
        store = SqliteStore(connection)
        for at in range(0, len(history), most):
            fold_pass(store, history[at : at + most])
        sweep(store, START + swept_at * SECOND)
        found.append(records_of(connection))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("attached", "how", "status", "leads"),
    [
        ([(10, "ok")], "ok", "Completed", 7),
        ([(10, "ok"), (12, "ok")], "ok", "Completed", 7),
        ([(10, "failed"), (12, "ok")], "ok", "Completed", 7),
        ([(10, "failed")], "ok", "Failed", 7),
        ([(40, "ok")], "ok", "Timed_out", 7),
        ([(10, "ok"), (40, "ok")], "ok", "Completed", 7),
        ([], "ok", "Timed_out", 5),
    ],
)
def test_who_attaches_says_how_it_ended(
    attached: list[tuple[int, str]], how: str, status: str, leads: int
) -> None:
    teller = Teller()
    teller.client("D", 1)
    teller.at("D", 2, "add", c={"leads": 5})
    teller.at("D", 3, "detach", deadline=START + 30 * SECOND)
    teller.close("J", 4, how)
    for n, (t, left) in enumerate(attached):
        teller.client(f"A{n}", t, of="D", parent=None, process="q")
        teller.at(f"A{n}", t + 0.5, "add", c={"leads": 2}, process="q")
        teller.close(f"A{n}", t + 1, left, process="q")
    teller.fold()
    teller.sweep(100)
    run = teller.run()
    assert (run.status, run.counts["leads"]) == (status, leads)
    assert run.end_time is not None
    if status == "Timed_out":
        assert run.end_time.timestamp() == START / SECOND + 30


def test_a_dead_process_does_not_end_what_it_had_detached() -> None:
    teller = Teller()
    teller.client("D", 1)
    teller.at("D", 3, "detach", deadline=START + 30 * SECOND)
    teller.fold(("p", 5))
    assert teller.run().status == "Running"
