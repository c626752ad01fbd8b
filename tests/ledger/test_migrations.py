"""A ledger of an earlier schema opens, says what it said, and folds on."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC
from pathlib import Path

from jobspan.journal.frame import encode
from jobspan.journal.place import Place
from jobspan.ledger.ledger import Ledger
from jobspan.ledger.migrations import APPLICATION_ID, MIGRATIONS
from jobspan.ledger.outbox import Outbox

START = 1_780_000_000_000_000_000
PART = {
    "top": "C1",
    "label": "x",
    "last_ns": START + 2,
    "base": {"leads": 2},
    "ending": ["ok", START + 3, "", "", [START + 3, "C1", 2], 1],
    "opened": [START + 1, "C1", 0],
    "lane": 1,
    "seen": "3",
}
JOB_PART = {"top": "J", "label": "nightly", "opened": [START, "J", 0], "lane": 1, "seen": "1"}
JOB = {
    "counts": {"leads": 2},
    "clients": {"Completed": 1},
    "client_counts": {"leads": 2},
    "client_names": {"leads": 1},
    "client_end_ns": START + 3,
    "parts": 1,
    "client_parts": 1,
}
RUN = {"counts": {"leads": 2}, "parts": 1, "shared": True}


def ledger_of_version_3(path: Path) -> None:
    """Write what the code of the third migration left: a job that runs, with one client run that is done."""
    connection = sqlite3.connect(path)
    for migration in MIGRATIONS[:3]:
        for statement in migration:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 3")
    job = ("J", "j", "J", "nightly", "260528-202640", "Running", START, None, json.dumps(JOB), 1)
    run = ("J/x", "c", "J", "x", None, "Completed", START + 1, START + 3, json.dumps(RUN), 2)
    connection.executemany("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [job, run])
    job_part = ("J", "j", "J", "J", None, "p", 0, START, None, json.dumps(JOB_PART))
    part = ("C1", "c", "J/x", "J", "J", "p", 1, START + 1, None, json.dumps(PART))
    connection.executemany("INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [job_part, part])
    connection.execute("INSERT INTO facts VALUES ('version', '2')")
    connection.commit()
    connection.close()


def test_a_ledger_of_an_earlier_schema_folds_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger_of_version_3(path)
    place = Place(path)
    place.prepare()
    head = {"kind": "c", "job": "J", "name": "x", "client": "x", "parent": "J", "lane": 1}
    events = [
        {"e": "process", "process": "p", "host": "h", "pid": 1},
        {"e": "open", "w": "C1", "q": 0, "t": START + 1, **head},  # known already
        {"e": "add", "w": "C1", "q": 3, "t": START + 9, "c": {"leads": 5}},  # late
        {"e": "open", "w": "C2", "q": 0, "t": START + 10, **head},
        {"e": "add", "w": "C2", "q": 1, "t": START + 11, "c": {"leads": 1}},
        {"e": "close", "w": "C2", "q": 2, "t": START + 12, "how": "ok", "lane": 1},
        {"e": "close", "w": "J", "q": 1, "t": START + 13, "how": "ok", "lane": 1},
    ]
    journal = place.journal / "1-1780000000000000000-0badcafe-000001.j"
    journal.write_bytes(b"".join(encode(json.dumps(event)) for event in events))
    ledger = Ledger(path, lambda start_ns: None, UTC)
    with ledger.reading() as reader:
        job = reader.job("260528-202640")
    ledger.close()
    assert job is not None
    assert (job.status, job.items_processed) == ("Completed", 8)
    (run,) = job.client_runs
    assert (run.leads_processed, run.status) == (8, "Completed")


def test_client_runs_that_wait_are_due_after_the_eighth_migration_if_their_jobs_row_is_ours(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.db"
    connection = sqlite3.connect(path)
    for migration in MIGRATIONS[:7]:
        for statement in migration:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 7")
    scope = json.dumps({"scope": "EU"})
    run = ("J", "j", "J", "nightly", "260528-202640", "Running", START, None, scope, 1)
    connection.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", run)
    for job, stage in (("J", 2), ("K", 1)):
        for name, kind in ((job, "j"), (f"{job}/x", "c")):
            row = ("base", name, job, kind, 1, "Running", 1, START, stage if kind == "j" else 0)
            connection.execute(
                "INSERT INTO deliveries"
                " (destination, run, job, kind, wanted, status, urgent, dirty_ns, stage)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )
    connection.commit()
    connection.close()
    ledger = Ledger(path, lambda start_ns: None, UTC)
    due = Outbox(ledger, "base").due("c", linger_ns=0, news=True, limit=10)
    with ledger.using() as opened:
        newest = ledger.records(opened).history.newest("nightly", "EU")
    ledger.close()
    assert [delivery.run for delivery in due] == ["J/x"]
    assert newest is not None
    assert newest.uid == "J"
