"""`airtable init` and `doctor` against the strict server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobspan.testing.airtable import AirtableServer
from jobspan.testing.airtable.seed import STATUSES
from tests.cli.conftest import BATCH, Shell, pointed_at
from tests.relay.support import CLIENT_RUN_COLUMNS, CLIENT_RUNS, JOB_COLUMNS, JOBS, rows


def problems(shell: Shell, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    result = shell.run("doctor", "--json", *arguments)
    told = json.loads(result.stdout)
    assert told["ok"] is (result.returncode == 0), result.stderr
    return result.returncode, [each for each in told["findings"] if each["level"] == "problem"]


def columns(server: AirtableServer, table: str) -> dict[str, str]:
    (found,) = [each for each in server.base.tables if each.name == table]
    return {column.name: column.type for column in found.fields}


def test_init_makes_both_tables_and_delivery_works(shell: Shell) -> None:
    with AirtableServer(seed=False) as server:
        pointed_at(shell, server)
        assert problems(shell)[0] == 1
        result = shell.run("airtable", "init", "--yes")
        assert (result.returncode, result.stderr) == (0, "")
        assert set(columns(server, JOBS)) == set(JOB_COLUMNS)
        assert set(columns(server, CLIENT_RUNS)) == set(CLIENT_RUN_COLUMNS)
        (status,) = [each for each in server.base.tables[0].fields if each.name == "Status"]
        assert sorted(status.choices) == sorted(STATUSES)
        assert problems(shell) == (0, [])
        assert "nothing to do" in shell.run("airtable", "init").stdout
        shell.python(BATCH, JOBSPAN_RELAY="off")
        assert shell.run("sync").returncode == 0
        assert len(rows(server, CLIENT_RUNS)) == 3
        assert server.rate_limited == 0


def test_init_changes_nothing_unasked(shell: Shell) -> None:
    with AirtableServer(seed=False) as server:
        pointed_at(shell, server)
        result = shell.run("airtable", "init")
        assert (result.returncode, "say --yes" in result.stderr) == (2, True)
        assert server.base.tables == []


def test_init_adds_missing_columns_and_tells_what_is_for_hands(shell: Shell) -> None:
    three = ("Running", "Completed", "Failed")
    with AirtableServer(missing=["Errors", "Job Tracking.End Time"], status_options=three) as server:
        pointed_at(shell, server)
        result = shell.run("airtable", "init", "--yes")
        assert result.returncode == 0
        assert columns(server, CLIENT_RUNS)["Errors"] == "number"
        assert columns(server, JOBS)["End Time"] == "dateTime"
        assert "Better by hand: table 'Job Tracking': column 'Status' has no option" in result.stdout


@pytest.mark.parametrize(
    ("variant", "words", "fix"),
    [
        ({"missing": ["Total Tokens"]}, "column 'Total Tokens' is missing", "jobspan airtable init"),
        ({"missing": [JOBS]}, "table 'Job Tracking' is missing", "jobspan airtable init"),
        ({"computed": ["Client ID"]}, "column 'Client ID' is computed (formula)", "rename that column"),
        ({"types": {"Errors": "checkbox"}}, "'Errors' has the wrong type", "change its type to number"),
        ({"types": {"Client ID": "singleSelect"}}, "'Client ID' is a single select", "singleLineText"),
    ],
)
def test_doctor_names_the_one_trouble(shell: Shell, variant: dict[str, Any], words: str, fix: str) -> None:
    with AirtableServer(**variant) as server:
        pointed_at(shell, server)
        code, (found,) = problems(shell)
        assert (code, words in found["text"], fix in found["fix"]) == (1, True, True), found
        assert words in shell.run("doctor").stdout


def test_doctor_warns_of_statuses_shown_under_the_nearest_option(shell: Shell) -> None:
    with AirtableServer(status_options=("Running", "Completed", "Failed", "Canceled", "Timed Out")) as server:
        pointed_at(shell, server)
        assert problems(shell) == (0, [])
        told = shell.run("doctor").stdout
        assert told.count("Completed_with_errors is shown as 'Completed'") == 2
        assert told.count("add the option 'Completed_with_errors' in Airtable, or name one") == 2


def test_a_status_no_option_can_show_is_a_problem(shell: Shell) -> None:
    with AirtableServer(status_options=("Completed", "Failed", "Canceled", "Timed Out")) as server:
        pointed_at(shell, server)
        code, found = problems(shell)
        assert code == 1
        assert {"Running cannot be shown" in each["text"] for each in found} == {True}
        assert len(found) == 2


def test_doctor_is_content_with_the_seed(online: Shell, server: AirtableServer) -> None:
    assert problems(online) == (0, [])
    told = online.run("doctor")
    assert (told.returncode, server.token in told.stdout) == (0, False)
    assert "lies in a temporary directory" in told.stdout  # the ledger of a test


def test_doctor_tells_a_bad_token_and_a_wrong_base_apart(online: Shell, server: AirtableServer) -> None:
    found = problems_with(online, AIRTABLE_API_KEY="patNobody.1")
    assert "token is not accepted" in found["text"]
    found = problems_with(online, AIRTABLE_BASE_ID="appAAAAAAAAAAAAAA")
    assert "may not use base appAAAAAAAAAAAAAA" in found["text"]
    found = problems_with(online, AIRTABLE_API_KEY="")
    assert "AIRTABLE_API_KEY" in found["fix"]
    server.grant(["data.records:read", "data.records:write"])
    assert "schema.bases:read" in online.run("doctor").stdout


def problems_with(shell: Shell, **environment: str) -> dict[str, Any]:
    result = shell.run("doctor", "--json", **environment)
    assert result.returncode == 1
    (found,) = [each for each in json.loads(result.stdout)["findings"] if each["level"] == "problem"]
    return found


def test_dedupe_keeps_the_row_of_the_ledger(online: Shell, server: AirtableServer) -> None:
    online.python(BATCH, JOBSPAN_RELAY="off")
    assert online.run("sync").returncode == 0
    (job,) = rows(server, JOBS)
    server.person.duplicate(JOBS, job["Run ID"])
    old = server.person.add(CLIENT_RUNS, {"Run ID": "of-a-person", "Client ID": "x"})
    server.person.duplicate(CLIENT_RUNS, "of-a-person")
    code, found = problems(online)
    assert (code, len(found)) == (1, 2)
    result = online.run("doctor", "--dedupe")
    assert result.returncode == 0, result.stdout
    jobs = {row["Run ID"]: row["id"] for row in rows(server, JOBS)}
    assert jobs[job["Run ID"]] == job["id"]
    assert set(jobs) == {job["Run ID"], f"{job['Run ID']} (duplicate 2)"}
    clients = {row["Run ID"]: row["id"] for row in rows(server, CLIENT_RUNS)}
    assert (len(clients), clients["of-a-person"]) == (5, old)
    assert problems(online) == (0, [])


def test_dedupe_deletes_only_when_told(online: Shell, server: AirtableServer) -> None:
    kept = server.person.add(JOBS, {"Run ID": "twice"})
    server.person.duplicate(JOBS, "twice")
    assert online.run("doctor", "--delete").returncode == 2
    assert online.run("doctor", "--dedupe", "--delete").returncode == 0
    assert [row["id"] for row in rows(server, JOBS)] == [kept]
