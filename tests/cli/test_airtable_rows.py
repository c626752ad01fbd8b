"""`airtable rebuild` and `airtable prune` against the strict server."""

from __future__ import annotations

from jobspan.testing.airtable import AirtableServer
from tests.cli.conftest import BATCH, Shell
from tests.relay.support import CLIENT_RUNS, JOBS, rows


def test_rebuild_makes_what_is_gone_and_corrects_what_is_there(online: Shell, server: AirtableServer) -> None:
    online.python(BATCH, JOBSPAN_RELAY="off")
    assert online.run("sync").returncode == 0
    before = [{**row, "id": ""} for row in rows(server, CLIENT_RUNS)]
    gone, spoiled, _ = rows(server, CLIENT_RUNS)
    server.person.delete(CLIENT_RUNS, gone["id"])
    server.person.edit(CLIENT_RUNS, spoiled["id"], {"Posts Processed": 99})
    result = online.run("airtable", "rebuild")
    assert (result.returncode, result.stdout) == (0, "Shown anew: 4 rows.\n"), result.stderr
    after = [{**row, "id": ""} for row in rows(server, CLIENT_RUNS)]
    assert sorted(after, key=lambda row: row["Run ID"]) == sorted(before, key=lambda row: row["Run ID"])
    assert len(rows(server, JOBS)) == 1
    assert server.rate_limited == 0


def test_prune_deletes_the_oldest_jobs_and_nothing_of_others(online: Shell, server: AirtableServer) -> None:
    for _ in range(3):
        online.python(BATCH, JOBSPAN_RELAY="off")
    assert online.run("sync").returncode == 0
    server.person.add(JOBS, {"Run ID": "of-a-person"})
    newest = max(row["Start Time"] for row in rows(server, JOBS) if "Start Time" in row)
    assert online.run("airtable", "prune", "--keep", "6").returncode == 2
    assert len(rows(server, JOBS)) == 4
    result = online.run("airtable", "prune", "--keep", "6", "--yes")
    assert (result.returncode, result.stdout) == (0, "8 rows deleted, 5 stay.\n"), result.stderr
    assert {row.get("Start Time") for row in rows(server, JOBS)} == {newest, None}
    assert len(rows(server, CLIENT_RUNS)) == 3
    assert online.run("sync").stdout == "Nothing waits: all is delivered.\n"
    assert online.run("airtable", "prune", "--keep", "0", "--yes").returncode == 1
    assert [row["Run ID"] for row in rows(server, JOBS)] == ["of-a-person"]
    assert online.run("airtable", "rebuild").returncode == 0
    assert len(rows(server, CLIENT_RUNS)) == 9
