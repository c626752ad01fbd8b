"""Time per event does not grow with the number of events folded before."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobspan.model.fold import Fold
from tests.model.stores import SqliteStore, sqlite_ledger

Event = dict[str, Any]


def events_of(writer: str, bodies: Iterator[Event], first: int = 0) -> Iterator[Event]:
    for seq, body in enumerate(bodies, first):
        yield {"w": writer, "q": seq, "t": 1_000_000_000 + seq, **body}


def job() -> Event:
    return {
        "e": "open",
        "w": "J",
        "q": 0,
        "t": 1,
        "kind": "j",
        "job": "J",
        "name": "nightly",
        "id": "260101-000000",
    }


def client(uid: str = "C", name: str = "x", **more: Any) -> Event:
    return {"e": "open", "kind": "c", "job": "J", "name": name, "client": name, "parent": "J", **more} | {
        "w": uid,
        "q": 0,
        "t": 2,
    }


def many_clients(count: int) -> Iterator[Event]:
    yield job()
    for n in range(count * 3 // 10):
        uid = f"C{n}"
        yield client(uid, f"client {n}")
        yield {"e": "add", "w": uid, "q": 1, "t": 3 + n, "c": {"leads": 1}}
        yield {"e": "close", "w": uid, "q": 2, "t": 4 + n, "how": "ok"}


def one_client(bodies: Callable[[int], Event]) -> Callable[[int], Iterator[Event]]:
    def write(count: int) -> Iterator[Event]:
        yield job()
        yield client()
        yield from events_of("C", (bodies(n) for n in range(count)), 1)

    return write


def many_operations(count: int) -> Iterator[Event]:
    yield job()
    yield client()
    for n in range(count // 2):
        where = {"kind": "o", "job": "J", "client": "x", "top": "C", "parent": "C", "name": "step"}
        yield {"e": "open", "w": f"O{n}", "q": 0, "t": 3 + n, **where}
        yield {"e": "close", "w": f"O{n}", "q": 1, "t": 4 + n, "how": "ok"}


def each_client(*bodies: Callable[[int], Event]) -> Callable[[int], Iterator[Event]]:
    """Give every client run the same few events of its own."""

    def write(count: int) -> Iterator[Event]:
        yield job()
        for n in range(count // (2 + len(bodies))):
            uid, last = f"C{n}", len(bodies) + 1
            yield client(uid, f"client {n}")
            for seq, body in enumerate(bodies, 1):
                yield {"w": uid, "q": seq, "t": 2 + seq + n, **body(n)}
            yield {"e": "close", "w": uid, "q": last, "t": 9 + n, "how": "ok"}

    return write


def items_of_two_parts(count: int) -> Iterator[Event]:
    yield job()
    for uid in ("A", "B"):
        yield client(uid)
    for n in range(count // 2):
        for uid in ("A", "B"):
            yield {"e": "item", "w": uid, "q": 1 + n, "t": 3 + n, "key": f"lead {n}", "c": {"leads": 1}}


def lost_open(count: int) -> Iterator[Event]:
    yield job()
    yield from events_of("C", ({"e": "add", "c": {"leads": 1}} for _ in range(count)), 1)
    yield client()


def lost_event(count: int) -> Iterator[Event]:
    yield job()
    yield client()
    yield from events_of("C", ({"e": "add", "c": {"leads": 1}} for _ in range(count)), 2)


def span_of_call(n: int) -> Event:
    """A call seen by two instrumentations, one above the other."""
    name, above = f"{n // 2}-{n % 2}", f"{n // 2}-1" if n % 2 == 0 else "root"
    usage = {"in": 2 + n // 2 % 7, "out": 1, "m": "m", "sc": "one" if n % 2 else "two"}
    return {
        "e": "span",
        "u": {"t": "T", "s": name, "p": above, "b": n // 2 * 1000, "e": n // 2 * 1000 + 900} | usage,
    }


CASES: dict[str, Callable[[int], Iterator[Event]]] = {
    "client runs": many_clients,
    "operations": many_operations,
    "items": one_client(lambda n: {"e": "item", "key": f"lead {n}", "c": {"leads": 1}}),
    "one item again and again": one_client(lambda n: {"e": "item", "key": "lead", "c": {"leads": n % 9}}),
    "items of two parts": items_of_two_parts,
    "errors": one_client(lambda n: {"e": "error", "type": "ValueError", "message": "bad", "item": str(n)}),
    "keyed usage": one_client(lambda n: {"e": "usage", "u": {"in": 2, "out": 0}, "key": f"r{n}"}),
    "spans of calls": one_client(lambda n: span_of_call(n)),
    "one cost again and again": one_client(
        lambda n: {"e": "cost", "source": "apify", "micro_usd": n, "key": "a"}
    ),
    "sets and adds": one_client(
        lambda n: {"e": "add" if n % 2 else "set", "c": {"leads": 1}, "x": 1 + n // 2}
    ),
    "a call in each client run": each_client(lambda n: {"e": "usage", "u": {"in": 2, "out": 0}}),
    "a call with an id in each client run": each_client(
        lambda n: {"e": "usage", "u": {"in": 2, "out": 0, "id": f"r{n}"}, "key": f"r{n}"}
    ),
    "one item in each client run": each_client(lambda n: {"e": "item", "key": "a", "c": {"leads": 1}}),
    "an item, a cost and a note in each client run": each_client(
        lambda n: {"e": "item", "key": f"lead {n}", "c": {"leads": 1}},
        lambda n: {"e": "cost", "source": "apify", "micro_usd": n, "key": f"run {n}"},
        lambda n: {"e": "note", "text": "so"},
    ),
    "open at the very end": lost_open,
    "a lost event": lost_event,
}


def nanoseconds_an_event(write: Callable[[int], Iterator[Event]], count: int, batch: int) -> float:
    """Fold `count` events in batches into SQLite in memory; return the CPU time in ns per event."""
    connection = sqlite_ledger()
    store = SqliteStore(connection)
    events = list(write(count))
    gc.collect()
    start = time.thread_time_ns()
    for at in range(0, len(events), batch):
        connection.execute("BEGIN")
        fold = Fold(store)
        fold.prepare(events[at : at + batch])
        for event in events[at : at + batch]:
            fold.apply(event, "p")
        fold.settle(exact=at + batch >= len(events))
        store.write(fold.space)
        connection.execute("COMMIT")
    spent = time.thread_time_ns() - start
    connection.close()
    return spent / len(events)


def growth(case: str, few: int, batch: int, below: float, *, times: int = 4, most: int = 0) -> float:
    """Return how much longer an event of `times * few` takes than one of `few`; `most`: their batch.

    What disturbs only ever adds: where it is not `below` that, both are measured again, and the least counts.
    """
    least_few = least_many = float("inf")
    for _ in range(3):
        least_few = min(least_few, nanoseconds_an_event(CASES[case], few, batch))
        least_many = min(least_many, nanoseconds_an_event(CASES[case], times * few, most or batch))
        if least_many < below * least_few:
            break
    print(f"{case}: {least_few / 1000:.1f} us, {least_many / 1000:.1f} us an event")
    return least_many / least_few


@pytest.mark.parametrize("case", CASES)
def test_four_times_the_events_take_about_four_times_the_time(case: str) -> None:
    # A short form with a wide bound: a quadratic fold would take 4 times as long per event.
    few = 1_500 if case in ("keyed usage", "spans of calls") else 3_000
    assert growth(case, few, few * 2 // 3, 2.2) < 2.2


@pytest.mark.parametrize("case", [case for case in CASES if "each client run" in case])
def test_a_pass_of_eight_times_the_events_takes_about_eight_times_the_time(case: str) -> None:
    # Going over all of a pass for each run took 2.4 times as long per event.
    assert growth(case, 1_500, 1_500, 1.8, times=8, most=12_000) < 1.8


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", CASES)
def test_a_hundred_thousand_events_take_no_longer_each_than_25_thousand(case: str) -> None:
    assert growth(case, 25_000, 4_000, 1.3) < 1.3
