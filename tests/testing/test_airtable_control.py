"""The control endpoint, the server as a process of its own, and the pytest fixture."""

from __future__ import annotations

import doctest
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

import jobspan
from jobspan.testing.airtable import AirtableServer
from jobspan.testing.plugin import airtable_server

from .conftest import JOBS, Client

__all__ = ["airtable_server"]
SOURCE = str(Path(jobspan.__file__).parents[1])


def ask(address: str, path: str, body: Any = None) -> Any:
    """Return the result of a control request, or what it says went wrong."""
    raw = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{address}/{path}", raw, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)["result"]
    except urllib.error.HTTPError as refused:
        with refused:
            return json.load(refused)["error"]


def test_faults_are_ordered_and_ended_over_http(client: Client, server: AirtableServer) -> None:
    assert ask(server.control_url, "fail", {"action": "status", "status": 502, "times": 2}) == "502 before"
    assert client.on("GET", JOBS).status == 502
    ask(server.control_url, "clear_faults", {})
    assert client.on("GET", JOBS).status == 200
    ask(server.control_url, "outage", {"kind": "refused"})
    with pytest.raises(OSError):
        client.on("GET", JOBS)
    ask(server.control_url, "end_outage", {})
    ask(server.control_url, "revoke", {})
    assert client.on("GET", JOBS).status == 401
    ask(server.control_url, "restore", {})
    assert client.on("GET", JOBS).status == 200


def test_a_person_acts_and_rows_are_seen_over_http(client: Client, server: AirtableServer) -> None:
    control = server.control_url
    record_id = ask(control, "person/add", {"table": JOBS, "fields": {"Run ID": "a"}})
    ask(control, "person/edit", {"table": JOBS, "row": {"Run ID": "a"}, "fields": {"Status": "Canceled"}})
    ask(control, "person/rename_column", {"table": JOBS, "name": "Error", "to": "Fehler"})
    assert client.create(JOBS, Error="x").status == 422
    assert ask(control, "rows?" + urlencode({"table": JOBS})) == [
        {"id": record_id, "Run ID": "a", "Status": "Canceled"}
    ]
    (seen,) = ask(control, "requests")
    assert (seen["kind"], seen["status"], seen["error"]) == ("create", 422, "UNKNOWN_FIELD_NAME")
    assert ask(control, "counts") == {"kinds": {"create": 1}, "busiest_second": 1, "rate_limited": 0}


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("explode", {}, "no verb"),
        ("person/__init__", {}, "no verb"),
        ("stop", {}, "no verb"),
        ("fail", {"action": "explode"}, "unknown action"),
        ("fail", {"nonsense": 1}, "TypeError"),
        ("fail", [], "TypeError"),
        ("person/edit", {"table": JOBS, "row": "none", "fields": {}}, "0 rows"),
        ("nothing", None, "no 'nothing'"),
        ("rows", None, "no table"),
    ],
)
def test_a_wrong_control_request_is_told_why(server: AirtableServer, path: str, body: Any, says: str) -> None:
    assert says in ask(server.control_url, path, body)


def test_a_server_may_have_no_control_endpoint() -> None:
    with AirtableServer(control_port=None) as server, pytest.raises(RuntimeError):
        _ = server.control_url


def test_a_server_not_started_says_so() -> None:
    server = AirtableServer()
    assert "not started" in repr(server)
    assert server.token not in repr(server)
    with pytest.raises(RuntimeError, match="not started"):
        _ = server.url


@pytest.fixture
def process() -> Iterator[dict[str, str]]:
    """Run the server as a process of its own; give what it printed."""
    command = [sys.executable, "-m", "jobspan.testing.airtable", "--port", "0", "--rate-limit", "0",
               "--missing", "Error"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            yield json.loads(running.stdout.readline())
        finally:
            running.terminate()
            assert running.wait(10) == 0


def test_the_module_runs_and_prints_where_it_is(process: dict[str, str]) -> None:
    def get(path: str) -> Any:
        headers = {"Authorization": f"Bearer {process['token']}"}
        request = urllib.request.Request(f"{process['url']}/v0/{path}", headers=headers)
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    tables = get(f"meta/bases/{process['base_id']}/tables")["tables"]
    assert [table["name"] for table in tables] == ["Job Tracking", "Client Run Results"]
    assert "Error" not in [field["name"] for field in tables[0]["fields"]]
    assert len(ask(process["control_url"], "requests")) == 1


def test_the_server_imports_only_the_standard_library() -> None:
    code = (
        "import sys, jobspan; before = set(sys.modules)\n"
        "import jobspan.testing.airtable, jobspan.testing.airtable.__main__\n"
        "roots = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "roots -= {'jobspan', *sys.stdlib_module_names}\n"
        "print([name for name in roots if not name.startswith('_sysconfigdata')])"
    )
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (run.stdout.strip(), run.stderr) == ("[]", "")


def test_the_example_in_the_documentation_runs() -> None:
    from jobspan.testing.airtable import server

    assert doctest.testmod(server) == (0, 1)


def test_the_fixture_gives_a_fresh_server_with_the_rate_limit_on(airtable_server: AirtableServer) -> None:
    client = Client(airtable_server)
    assert client.upsert(JOBS, {"Run ID": "a"}).status == 200
    client.close()
    assert [row["Run ID"] for row in airtable_server.rows(JOBS)] == ["a"]
    limits = airtable_server.limits
    assert (limits.rate, limits.user_rate, limits.lockout_seconds) == (5, 50, 30)


@pytest.mark.parametrize("airtable_server", [{"missing": ["Error"], "rate_limit": None}], indirect=True)
def test_the_fixture_takes_options(airtable_server: AirtableServer) -> None:
    client = Client(airtable_server)
    assert client.create(JOBS, Error="x").error == "UNKNOWN_FIELD_NAME"
    client.close()
    assert airtable_server.rows(JOBS) == []
