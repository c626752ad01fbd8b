"""What is asked of a large ledger costs what it returns, not what the ledger holds.

Counted in steps of SQLite's machine, so that nothing else this computer does matters.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path

import pytest

from jobspan import _clock
from jobspan.ledger.ledger import Ledger
from jobspan.ledger.outbox import Outbox
from jobspan.ledger.queue import Project
from jobspan.model.rendering import NOTHING_MORE

BASE = "airtable:appBASE"
STEP = 10
Ask = Callable[[Outbox], object]

STATES = {
    # what the rows of client runs are: columns of `deliveries`
    "new, and the job runs": "1, 0, 'Running', NULL, 0, 'due', 2, NULL, NULL, 0",
    "ended, and waiting for company": "2, 1, 'Completed', 'Running', 0, 'due', 2, 'rec' || n, NULL, 0",
    "progress, and waiting for company": "2, 1, 'Running', 'Running', 0, 'due', 2, 'rec' || n, NULL, 0",
    "urgent": "1, 0, 'Completed', NULL, 1, 'due', 2, NULL, NULL, 0",
    "waiting for the job's row": "1, 0, 'Completed', NULL, 1, 'due', 0, NULL, NULL, 0",
    "refused": "1, 0, 'Completed', NULL, 1, 'parked', 2, NULL, 'bad row', 0",
    "delivered": "2, 2, 'Completed', 'Completed', 0, 'due', 2, 'rec' || n, NULL, 0",
    "delivered, and running": "2, 2, 'Running', 'Running', 0, 'due', 2, 'rec' || n, NULL, 0",
}


def fill(connection: sqlite3.Connection, count: int, state: str, clients: int, age_seconds: int) -> None:
    """Put so many client runs into a ledger, in jobs of so many, and what a destination shows of them."""
    now, jobs = _clock.now_ns(), count // clients
    place = {"now": now, "start": now - age_seconds * 10**9, "count": count, "jobs": jobs, "base": BASE}
    numbers = "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < :{} - 1)"
    job, client = "printf('%06x', {})", f"printf('%06x/client-%d', n / {clients}, n)"
    columns = "uid, kind, job, label, run_id, status, start_ns, end_ns, data, version, scope"
    of_clients = job.format(f"n / {clients}")
    connection.execute("BEGIN")
    connection.execute(
        f"INSERT INTO runs ({columns}) {numbers.format('jobs')}"
        f" SELECT {job.format('n')}, 'j', {job.format('n')}, 'nightly',"
        f" 'run-' || n, 'Completed', :start + n, :now,"
        " json_object('to', json_array(:base), 'scope', 's' || n), n, 's' || n FROM numbers",
        place,
    )
    connection.execute(
        f"INSERT INTO runs ({columns}) {numbers.format('count')}"
        f" SELECT {client}, 'c', {of_clients}, 'client-' || n, NULL,"
        " 'Completed', :start + n, :now, '{}', n, '' FROM numbers",
        place,
    )
    connection.execute(
        f"INSERT INTO parts {numbers.format('count')} SELECT printf('p%x', n), 'c', {client}, {of_clients},"
        f" {of_clients}, 'process', 0, :start + n, NULL, json_object('seen', '0'), 0 FROM numbers",
        place,
    )
    connection.execute(
        "INSERT INTO entries (kind, job, run, top, part, source, key, at_ns, writer, seq, data)"
        f" {numbers.format('count')}"
        f" SELECT 'link', {of_clients}, {client}, printf('p%x', n), printf('p%x', n),"
        " '', 'task-' || n, :start, 'w', n, '{}' FROM numbers",
        place,
    )
    columns = (
        "wanted, sent, status, shown, urgent, state, stage, remote_id, last_error, hold_ns, destination,"
        " run, job, kind, dirty_ns, cells"
    )
    connection.execute(
        f"INSERT INTO deliveries ({columns}) {numbers.format('jobs')}"
        " SELECT 2, 2, 'Completed', 'Completed', 0,"
        f" 'due', 2, 'job' || n, NULL, 0, :base, {job.format('n')}, {job.format('n')}, 'j', :now, '{{}}'"
        " FROM numbers",
        place,
    )
    connection.execute(
        f"INSERT INTO deliveries ({columns}) {numbers.format('count')}"
        f" SELECT {STATES[state]}, :base, {client},"
        f" {of_clients}, 'c', :now - 20000000000 - n, '{{}}' FROM numbers",
        place,
    )
    connection.execute("COMMIT")


@contextmanager
def watched(ledger: Ledger) -> Generator[tuple[list[int], set[str]]]:
    """Give the steps of all that is asked meanwhile (a list that grows), and the statements."""
    steps: list[int] = []
    asked: set[str] = set()
    with ledger.using() as connection:
        connection.set_progress_handler(lambda: steps.append(STEP), STEP)
        connection.set_trace_callback(asked.add)
    yield steps, asked
    with ledger.using() as connection:
        connection.set_progress_handler(None, 0)
        connection.set_trace_callback(None)


def some(outbox: Outbox) -> list[str]:
    """Return the names of a few client runs."""
    return [f"000000/client-{n}" for n in range(10)]


def write_some(outbox: Outbox) -> None:
    """Say of ten rows what became of them, in every way there is."""
    rows = list(outbox.deliveries(some(outbox)).values())
    outbox.hold(rows, "busy", seconds=0.0)
    outbox.claim({row.run: "notes" for row in rows})
    outbox.delivered([(row, row.status, {}, f"rec{n}") for n, row in enumerate(rows)])
    outbox.unchanged(rows)


WIDEST = 60 * 10**9
ASKED: dict[str, Ask] = {
    "due jobs": lambda o: o.due("j", linger_ns=15 * 10**9, widest_ns=WIDEST, news=True, limit=50),
    "due client runs": lambda o: o.due("c", linger_ns=15 * 10**9, widest_ns=WIDEST, news=False, limit=50),
    "due with news": lambda o: o.due("c", linger_ns=15 * 10**9, widest_ns=WIDEST, news=True, limit=50),
    "rows that may go along": lambda o: o.due("c", linger_ns=0, news=False, limit=50, fill=True),
    "news": lambda o: o.count_news(10),
    "is anything waiting": lambda o: o.is_waiting(),
    "is anything waiting that was not refused": lambda o: o.is_waiting(refused=False),
    "is anything of a job": lambda o: o.is_waiting(_clock.now_ns(), ["000000"], refused=False),
    "is anything of a job since long": lambda o: o.is_waiting(1, ["000000", "000001"]),
    "last trouble": lambda o: o.last_trouble(),
    "a last word": lambda o: o.count_waiting(100, seconds=1.0),
    "hurry": lambda o: o.hurry(limit=50),
    "hurry a job": lambda o: o.hurry(["000000"], limit=50),
    "running jobs": lambda o: o.running(),
    "jobs of running client runs": lambda o: o.jobs_of_running(),
    "rows by their ids": lambda o: o.shown_as(["000000"], [f"rec{n}" for n in range(50)]),
    "known rows": lambda o: o.known_rows([f"rec{n}" for n in range(50)]),
    "unverified jobs": lambda o: o.unverified(),
    "deliveries": lambda o: o.deliveries(some(o)),
    "records": lambda o: o.records(
        list(o.deliveries(some(o)).values()), lambda delivery, deadline_ns: NOTHING_MORE
    ),
    "writing back": write_some,
}


def costs(path: Path, count: int, state: str, clients: int, age: int, project: Project) -> dict[str, int]:
    """Return the steps each question takes; fail where one goes through a whole table."""
    ledger = Ledger(path / f"{count}.db", lambda start_ns: None, UTC)
    outbox = Outbox(ledger, BASE, project)
    with ledger.using() as connection:
        connection.execute("PRAGMA synchronous = OFF")
        fill(connection, count, state, clients, age)
    found: dict[str, int] = {}
    for name, ask in ASKED.items():
        with watched(ledger) as (steps, asked):
            ask(outbox)
        found[name] = sum(steps)
        for statement in asked:
            assert_no_scan(ledger, statement)
    ledger.close()
    return found


_SCAN = re.compile(
    r"SCAN (runs|parts|entries|calls|deliveries|processes|aliases|[cdejprs])( USING COVERING.*)?$"
)
"""Going through a whole table; in the order of an index up to a limit is another thing."""


def assert_no_scan(ledger: Ledger, statement: str) -> None:
    """Fail if a statement goes through all rows of a table that grows."""
    if not re.match(r"\s*(SELECT|UPDATE|DELETE|INSERT|WITH)\b", statement):
        return
    with ledger.using() as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
    bad = [line for line in plan if _SCAN.match(line)]
    assert not bad, f"{bad} in {statement}"


def assert_flat(few: dict[str, int], many: dict[str, int]) -> None:
    """Fail if a question takes more than half as much again of ten times the rows."""
    grown = {name: (few[name], many[name]) for name in few if many[name] > 1.5 * few[name] + 30 * STEP}
    assert not grown, f"steps of SQLite's machine: {grown}"


FEW = [pytest.param(400), pytest.param(20_000, marks=pytest.mark.slow)]


@pytest.mark.parametrize("count", FEW)
@pytest.mark.parametrize("state", STATES)
def test_the_outbox_costs_what_it_returns(tmp_path: Path, state: str, count: int) -> None:
    few, many = (costs(tmp_path, n, state, n, 3600, "all") for n in (count, 10 * count))
    assert_flat(few, many)


@pytest.mark.parametrize("count", FEW)
def test_it_does_so_of_many_jobs(tmp_path: Path, count: int) -> None:
    few, many = (costs(tmp_path, n, "new, and the job runs", 5, 3600, "all") for n in (count, 10 * count))
    assert_flat(few, many)


@pytest.mark.parametrize("count", FEW)
def test_it_does_so_in_a_young_job_and_of_rows_that_are_never_shown(tmp_path: Path, count: int) -> None:
    young = [
        costs(tmp_path, n, "progress, and waiting for company", n, 60, "all") for n in (count, 10 * count)
    ]
    assert_flat(*young)
    (tmp_path / "hidden").mkdir()
    hidden = [costs(tmp_path / "hidden", n, "urgent", n, 60, "exceptions") for n in (count, 10 * count)]
    assert_flat(*hidden)


READ = {
    "the newest jobs": lambda reader: list(reader.job_lines(20)),
    "a job by its run id": lambda reader: reader.place_of("run-0"),
    "a client run": lambda reader: reader.client_run("run-0", "client-1"),
    "the newest of a type": lambda reader: reader.history.newest("nightly", "s0"),
    "one of a type that runs": lambda reader: reader.history.running("nightly", "s0"),
    "a part by a task's id": lambda reader: reader.linked("task-3"),
    "a part by a task's id nobody knows": lambda reader: reader.linked("nobody's"),
    "a part": lambda reader: reader.part_place("p1"),
}


def reading_costs(path: Path, count: int) -> dict[str, int]:
    """Return the steps of what readers ask, and of a fold that finds nothing to do."""
    ledger = Ledger(path / f"{count}.db", lambda start_ns: None, UTC)
    with ledger.using() as connection:
        connection.execute("PRAGMA synchronous = OFF")
        fill(connection, count, "delivered", 5, 3600)
    found: dict[str, int] = {}
    for name, ask in READ.items():
        with watched(ledger) as (steps, asked), ledger.using() as connection:
            ask(ledger.records(connection))
        found[name] = sum(steps)
        for statement in asked:
            assert_no_scan(ledger, statement)
    with watched(ledger) as (steps, asked):
        assert ledger.fold(seconds=5.0)
    found["a fold"] = sum(steps)
    for statement in asked:
        assert_no_scan(ledger, statement)
    ledger.close()
    return found


@pytest.mark.parametrize("count", FEW)
def test_the_fold_and_the_readers_do_so_too(tmp_path: Path, count: int) -> None:
    few, many = (reading_costs(tmp_path, n) for n in (count, 10 * count))
    assert_flat(few, many)
