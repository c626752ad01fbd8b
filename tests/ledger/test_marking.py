"""What destinations must show anew is noted by the fold; what belongs to a job that is over waits no more."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from jobspan.ledger import delivery_queries as queries
from jobspan.ledger.folding import fold_batch
from tests.model.stores import sqlite_ledger
from tests.model.test_telling import JOB_OPEN, NO_IDS, START, Event, as_batch, whole_part

BASE = "airtable:appX"
JOB: Event = {**JOB_OPEN, "to": [BASE]}
CLOSE: Event = {"e": "close", "w": "J", "q": 1, "t": START + 9, "how": "ok", "lane": 1}
CLIENTS = [f"x{n}" for n in range(4)]


def fold(connection: sqlite3.Connection, *events: Event) -> None:
    fold_batch(connection, as_batch([(event, "p") for event in events]), NO_IDS)


def stories() -> list[Event]:
    parts = [whole_part(f"C{name}", 1, client=name, name=name) for name in CLIENTS]
    return [event for part in parts for event in part]


def pass_on(connection: sqlite3.Connection) -> None:
    """Note that the job's row is ours."""
    place = {"destination": BASE, "run": "J"}
    connection.execute(queries.PASS_ON, {**place, "stage": 2})
    connection.execute(queries.PUT_STAGE, {**place, "stage": 2, "remote_id": "rec1"})


def rows(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """Return (status, urgent, stage) of all client runs."""
    query = "SELECT status, urgent, stage FROM deliveries WHERE kind = 'c' AND wanted > sent ORDER BY run"
    return connection.execute(query).fetchall()


def test_client_runs_that_wait_for_the_row_of_their_job_are_hurried_with_it() -> None:
    connection = sqlite_ledger()
    fold(connection, JOB, *stories())
    fold(connection, CLOSE)
    assert rows(connection) == [("Completed", 0, 0)] * len(CLIENTS)
    pass_on(connection)
    assert rows(connection) == [("Completed", 1, 2)] * len(CLIENTS)


def test_client_runs_of_a_running_job_are_not_hurried() -> None:
    connection = sqlite_ledger()
    fold(connection, JOB, *stories())
    pass_on(connection)
    assert rows(connection) == [("Completed", 0, 2)] * len(CLIENTS)
    fold(connection, CLOSE)
    assert rows(connection) == [("Completed", 1, 2)] * len(CLIENTS)


def test_client_runs_told_after_the_row_of_their_job_refer_to_it_at_once() -> None:
    connection = sqlite_ledger()
    fold(connection, JOB)
    pass_on(connection)
    fold(connection, *stories())
    assert rows(connection) == [("Completed", 0, 2)] * len(CLIENTS)


def test_a_row_that_is_sent_is_not_hurried() -> None:
    connection = sqlite_ledger()
    fold(connection, JOB, *stories())
    fold(connection, CLOSE)
    connection.execute("UPDATE deliveries SET sent = wanted WHERE run = 'J/x0'")
    pass_on(connection)
    assert rows(connection) == [("Completed", 1, 2)] * (len(CLIENTS) - 1)
    assert connection.execute("SELECT urgent FROM deliveries WHERE run = 'J/x0'").fetchone() == (0,)


@pytest.mark.parametrize("destinations", [[BASE], [BASE, "airtable:appY"]])
@pytest.mark.parametrize("comes_first", ["job", "clients"])
def test_each_client_run_is_noted_once_for_each_destination(
    destinations: list[str], comes_first: str
) -> None:
    connection = sqlite_ledger()
    opening: Event = {**JOB_OPEN, "to": destinations}
    for events in ([opening], stories()) if comes_first == "job" else (stories(), [opening]):
        fold(connection, *events)
    found = connection.execute("SELECT destination, run, wanted FROM deliveries WHERE kind = 'c'").fetchall()
    assert sorted(found) == [(base, f"J/{name}", 1) for base in destinations for name in CLIENTS]


def test_a_job_and_its_client_runs_in_one_batch_are_noted_once() -> None:
    connection = sqlite_ledger()
    fold(connection, JOB, *stories(), CLOSE)
    assert rows(connection) == [("Completed", 1, 0)] * len(CLIENTS)
    assert connection.execute("SELECT DISTINCT wanted FROM deliveries").fetchall() == [(1,)]
