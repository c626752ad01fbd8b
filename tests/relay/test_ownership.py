"""Whose row: never doubled, never overwritten, whatever else writes into the base."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

import jobspan
from jobspan import _clock, _runtime
from jobspan.model.record import instant_text
from jobspan.model.run_id import format_run_id, parse_run_id
from jobspan.relay import reaping
from jobspan.testing.airtable import AirtableServer
from tests.program import environment
from tests.relay.conftest import Deliver
from tests.relay.support import (
    CLIENT_RUNS,
    JOBS,
    assert_equal_to_ledger,
    in_ledger,
    rows,
    settings,
    wait_until,
)


class Standing(_clock.Clock):
    """A clock that goes on within one second of wall time."""

    def __init__(self, second_ns: int) -> None:
        super().__init__()
        self._base_ns = second_ns - self._forward()

    def now_ns(self) -> int:
        return self._base_ns + self._forward()


def test_a_foreign_row_of_the_same_run_id_is_left_alone_and_the_job_moves_on(deliver: Deliver) -> None:
    server = deliver()
    with jobspan.job("mine") as job:
        foreign = server.person.add(
            JOBS,
            {
                "Run ID": job.run_id,
                "Job Type": "mine",
                "System Notes": "started elsewhere\njobspan " + "ab" * 12 + " 0123456789ab -",
            },
        )
        with job.client("A") as run:
            run.add(posts=1)
    assert jobspan.flush(10)
    assert jobspan.flush(10)
    by_id = {row["id"]: row for row in rows(server, JOBS)}
    assert len(by_id) == 2
    assert "Status" not in by_id.pop(foreign)
    jobs, clients = in_ledger()
    (there,) = by_id.values()
    assert there["Run ID"] in jobs
    assert there["Run ID"] != job.run_id
    assert [row["Run ID"] for row in rows(server, CLIENT_RUNS)] == list(clients)
    with _runtime.runtime().reading() as reader:
        record = reader.job(job.run_id)
    assert record is not None, "the old run id stays an alias"
    assert record.run_id == there["Run ID"]


def next_second(run_id: str) -> str:
    """Return the run id of the next second."""
    second = parse_run_id(run_id, UTC)
    assert second is not None
    return format_run_id((second + 1) * 10**9, UTC)


def test_a_row_that_comes_between_the_look_and_the_upsert_is_not_overwritten(deliver: Deliver) -> None:
    server = deliver()
    server.fail("latency", seconds=0.5, method="PATCH", nth=1)
    foreign = {"Job Type": "mine", "System Notes": "elsewhere\njobspan " + "ab" * 12 + " 0123456789ab -"}
    with jobspan.job("mine") as job:
        wait_until(lambda: any(request.kind == "upsert" for request in server.requests), 10)
        added = server.person.add(JOBS, {"Run ID": job.run_id, **foreign})
        after = server.person.add(JOBS, {"Run ID": next_second(job.run_id), **foreign})
        with job.client("A") as run:
            run.add(posts=1)
    assert jobspan.flush(15)
    assert jobspan.flush(15)
    by_id = {row["id"]: row for row in rows(server, JOBS)}
    assert len(by_id) == 3
    assert by_id.pop(added)["Run ID"] == job.run_id
    assert by_id.pop(after)["Run ID"] == next_second(job.run_id)
    (ours,) = by_id.values()
    jobs, clients = in_ledger()
    assert [ours["Run ID"]] == list(jobs)
    assert ours["Run ID"] == next_second(next_second(job.run_id))
    assert ours["Status"] == "Completed"
    assert [row["Run ID"] for row in rows(server, CLIENT_RUNS)] == list(clients)


@pytest.mark.parametrize("same", [True, False])
def test_an_unmarked_row_is_ours_only_if_start_and_type_are_equal(deliver: Deliver, same: bool) -> None:
    server = deliver()
    with jobspan.job("mine") as job:
        with _runtime.runtime().reading() as reader:
            record = reader.job(job.run_id)
        assert record is not None
        server.person.add(
            JOBS,
            {
                "Run ID": job.run_id,
                "Job Type": "mine" if same else "theirs",
                "Start Time": instant_text(record.start_time),
                "System Notes": "typed by hand",
            },
        )
    assert jobspan.flush(10)
    there = rows(server, JOBS)
    assert len(there) == (1 if same else 2)
    if same:
        assert there[0]["Status"] == "Completed"
        assert there[0]["System Notes"].startswith("typed by hand\n")


CRON = """
import sys, json, jobspan
from jobspan import _delivery, _runtime, _clock
from tests.relay.test_ownership import Standing
from tests.relay.support import SWIFT
_delivery.TIMING = SWIFT
second, gate = int(sys.argv[1]), sys.argv[2]
import pathlib, time
while not pathlib.Path(gate).exists():
    time.sleep(0.005)
_clock.use(Standing(second))
with jobspan.job("cron") as job:
    for name in "ABC":
        with job.client(name) as run:
            run.add(posts=int(sys.argv[3]))
done = jobspan.flush(30)
with _runtime.runtime().reading() as reader:
    jobs = [each.to_dict() for each in reader.jobs()]
print(json.dumps({"done": done, "jobs": jobs}))
"""


def crons(server: AirtableServer, home: Path, count: int, ledgers: int) -> list[dict[str, Any]]:
    """Run so many processes that open a job in the very same second, over so many ledgers."""
    gate, second = home / "gate", _clock.now_ns() // 10**9 * 10**9
    running: list[subprocess.Popen[str]] = []
    for number in range(count):
        place = home / f"host-{number % ledgers}"
        place.mkdir(exist_ok=True)
        more = {
            "AIRTABLE_API_KEY": server.token,
            "AIRTABLE_BASE_ID": server.base_id,
            "AIRTABLE_ENDPOINT_URL": server.url,
        }
        running.append(
            subprocess.Popen(
                [sys.executable, "-c", CRON, str(second), str(gate), str(number + 1)],
                env=environment(place, **more),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    threading.Event().wait(1.0)
    gate.touch()
    results: list[dict[str, Any]] = []
    for process in running:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        results.append(json.loads(out.splitlines()[-1]))
    return results


@pytest.mark.parametrize("trial", [1, pytest.param(6, marks=pytest.mark.slow)])
def test_two_ledgers_in_one_second_never_share_a_row(tmp_path: Path, trial: int) -> None:
    for number in range(trial):
        home = tmp_path / str(number)
        home.mkdir()
        with AirtableServer(rate_limit=None, user_rate_limit=None) as server:
            results = crons(server, home, 2, ledgers=2)
            assert all(result["done"] for result in results)
            ours = {job["run_id"]: job for result in results for job in result["jobs"]}
            assert len(ours) == 2, "each job has a run id of its own"
            there = {row["Run ID"]: row for row in rows(server, JOBS)}
            assert len(rows(server, JOBS)) == 2
            assert there.keys() == ours.keys()
            for run_id, row in there.items():
                assert row["Items Processed"] == ours[run_id]["items_processed"]
            clients = rows(server, CLIENT_RUNS)
            assert len(clients) == 6
            wanted = {c["run_id"]: c["posts_processed"] for job in ours.values() for c in job["client_runs"]}
            assert {row["Run ID"]: row["Posts Processed"] for row in clients} == wanted


def test_processes_of_one_ledger_in_one_second_get_a_row_each(tmp_path: Path) -> None:
    with AirtableServer() as server:
        results = crons(server, tmp_path, 3, ledgers=1)
        assert all(result["done"] for result in results)
        assert len(rows(server, JOBS)) == 3
        assert len({row["Run ID"] for row in rows(server, JOBS)}) == 3
        assert len(rows(server, CLIENT_RUNS)) == 9
        assert server.rate_limited == 0


def test_a_new_container_with_an_empty_disk_touches_no_old_row(deliver: Deliver) -> None:
    server = deliver()
    with jobspan.job("before") as job, job.client("A") as run:
        run.add(posts=1)
    assert jobspan.flush(10)
    old = rows(server, JOBS) + rows(server, CLIENT_RUNS)
    jobspan.configure(
        ledger=_runtime.runtime().settings.ledger.parent / "empty" / "new.db", strict=True,
        airtable=settings(server),
    )  # fmt: skip
    with jobspan.job("before") as job, job.client("A") as run:
        run.add(posts=2)
    assert jobspan.flush(10)
    there = rows(server, JOBS) + rows(server, CLIENT_RUNS)
    assert [row for row in there if row["id"] in {each["id"] for each in old}] == sorted(
        old, key=lambda row: there.index(row)
    )
    assert len(there) == 4


def test_two_bases_sharing_a_ledger_get_only_their_own_runs(deliver: Deliver) -> None:
    first = deliver()
    with jobspan.job("one") as job, job.client("A"):
        pass
    assert jobspan.flush(10)
    second = deliver()
    with jobspan.job("two") as job, job.client("B"):
        pass
    assert jobspan.flush(10)
    assert [row["Job Type"] for row in rows(first, JOBS)] == ["one"]
    assert [row["Job Type"] for row in rows(second, JOBS)] == ["two"]
    assert [row["Client ID"] for row in rows(first, CLIENT_RUNS)] == ["A"]
    assert [row["Client ID"] for row in rows(second, CLIENT_RUNS)] == ["B"]


def test_runs_made_offline_go_nowhere_until_assigned(deliver: Deliver, fresh: Path) -> None:
    from jobspan.ledger.assigning import assign

    jobspan.configure(ledger=fresh / "ledger.db", strict=True, mode="offline")
    with jobspan.job("offline") as job, job.client("A") as run:
        run.add(posts=1)
    assert jobspan.flush(5)
    server = deliver()
    assert jobspan.flush(5)
    assert rows(server, JOBS) == []
    own = _runtime.runtime()
    assert own.deliveries.airtable is not None
    assert assign(own.ledger, own.deliveries.airtable.destination) == 1
    assert assign(own.ledger, own.deliveries.airtable.destination) == 0
    assert jobspan.flush(10)
    assert_equal_to_ledger(server)


def test_a_persons_text_in_system_notes_is_kept(deliver: Deliver) -> None:
    server = deliver()
    with jobspan.job("noted") as job:
        with job.client("A") as run:
            assert jobspan.flush(10)
            for table in (JOBS, CLIENT_RUNS):
                (row,) = rows(server, table)
                text = f"Call them first!\n\n{row['System Notes']}\nDone. See ticket 12."
                server.person.edit(table, row["id"], {"System Notes": text})
            threading.Event().wait(1.2)
            run.note("the search returned 2 pages")
    assert jobspan.flush(10)
    for table in (JOBS, CLIENT_RUNS):
        (row,) = rows(server, table)
        notes = row["System Notes"]
        assert notes.startswith("Call them first!\n")
        assert notes.endswith("\nDone. See ticket 12.")
        assert notes.count("started") == 1
        assert "Completed after" in notes
    assert "the search returned 2 pages" in rows(server, CLIENT_RUNS)[0]["System Notes"]


OTHER = "started elsewhere\njobspan " + "ab" * 12 + " 0123456789ab "


@pytest.mark.parametrize("adopt", ["named", "all"])
def test_rows_other_ledgers_left_running_are_closed_only_when_that_is_sure(
    deliver: Deliver, adopt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaping, "_FIRST_SECONDS", 0.0)
    server = deliver(airtable={"adopt": adopt})
    deadlines = {"over": "2020-01-01T00:00:00.000Z", "ahead": "2199-01-01T00:00:00.000Z", "none": "-"}
    for name, deadline in deadlines.items():
        fields = {"Run ID": name, "Status": "Running", "System Notes": OTHER + deadline}
        server.person.add(JOBS, fields)
        server.person.add(CLIENT_RUNS, fields)
    server.person.add(JOBS, {"Run ID": "typed", "Status": "Running"})
    with jobspan.job("mine"):
        pass
    assert jobspan.flush(10)
    wait_until(lambda: [r["Status"] for r in server.rows(CLIENT_RUNS)].count("Timed_out") == 1, 10)
    for table in (JOBS, CLIENT_RUNS):
        shown = {row["Run ID"]: row["Status"] for row in rows(server, table)}
        assert shown["over"] == "Timed_out"
        assert shown["ahead"] == shown["none"] == ("Running" if adopt == "named" else "Failed")
    assert {row["Run ID"]: row["Status"] for row in rows(server, JOBS)}["typed"] == "Running"
    (over,) = [row for row in rows(server, JOBS) if row["Run ID"] == "over"]
    assert over["End Time"] == deadlines["over"]
    assert over["System Notes"].splitlines()[1] == "closed: its deadline passed"
