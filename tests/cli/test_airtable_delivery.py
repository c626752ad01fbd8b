"""`status`, `sync` and `relay` against the strict server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

from jobspan.testing.airtable import AirtableServer
from tests.cli.conftest import BATCH, ENTRY, Shell
from tests.relay.support import CLIENT_RUNS, JOBS, rows


def state(shell: Shell) -> dict[str, object]:
    result = shell.run("status", "--json")
    assert result.returncode == 0, result.stderr
    (found,) = json.loads(result.stdout)["destinations"]
    return found


def test_sync_delivers_what_waits(online: Shell, server: AirtableServer) -> None:
    online.python(BATCH, JOBSPAN_RELAY="off")
    before = state(online)
    assert (before["pending"], before["refused"], before["has_token"]) == (4, 0, True)
    assert before["oldest"]
    result = online.run("sync")
    assert (result.returncode, result.stdout) == (0, "Delivered: 4 rows.\n"), result.stderr
    assert len(rows(server, JOBS)) == 1
    assert len(rows(server, CLIENT_RUNS)) == 3
    after = state(online)
    assert (after["pending"], after["lag_seconds"], after["last_error"]) == (0, 0.0, None)
    assert after["calls_this_month"] == len(server.requests) - _by_hand(server)
    assert online.run("sync").stdout == "Nothing waits: all is delivered.\n"
    assert server.token not in online.run("status").stdout + result.stdout + result.stderr


def _by_hand(server: AirtableServer) -> int:
    return sum("python-requests" not in each.headers.get("user-agent", "") for each in server.requests)


def test_jobs_made_offline_go_nowhere_until_assigned(online: Shell, server: AirtableServer) -> None:
    online.python(BATCH, JOBSPAN_MODE="offline")
    assert online.run("sync").returncode == 0
    assert rows(server, JOBS) == []
    assert "1 jobs are to be shown nowhere" in online.run("status").stdout
    assert online.run("sync", "--assign").returncode == 0
    assert len(rows(server, JOBS)) == 1
    assert len(rows(server, CLIENT_RUNS)) == 3


def test_a_refused_token_is_told_and_exits_with_1(online: Shell, server: AirtableServer) -> None:
    online.python(BATCH, JOBSPAN_RELAY="off")
    for command in (["sync"], ["sync", "--wait"], ["relay", "--until-empty"]):
        result = online.run(*command, AIRTABLE_API_KEY="patWrong.123")
        assert result.returncode == 1, command
        assert "not delivered: 4 rows wait" in result.stderr
        assert "patWrong.123" not in result.stderr + result.stdout
    assert state(online)["pending"] == 4


def test_without_settings_commands_say_what_to_set(shell: Shell) -> None:
    for command in (["sync"], ["relay"]):
        result = shell.run(*command)
        assert (result.returncode, "AIRTABLE_BASE_ID" in result.stderr) == (2, True)
    assert "No base is set" in shell.run("status").stdout


def test_a_relay_of_its_own_delivers_what_others_record(online: Shell, server: AirtableServer) -> None:
    relay = subprocess.Popen(
        [sys.executable, "-c", ENTRY, "relay"],
        env=online.environment,
        cwd=online.home,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert relay.stdout is not None
        assert relay.stdout.readline().startswith("Delivering to airtable:")
        online.python(BATCH, JOBSPAN_RELAY="off")
        until = time.monotonic() + 20
        while state(online)["pending"]:
            assert time.monotonic() < until
    finally:
        relay.send_signal(signal.SIGTERM)
        said, _ = relay.communicate(timeout=10)
    assert (relay.returncode, said) == (0, "Stopped; 0 rows wait.\n")
    assert len(rows(server, CLIENT_RUNS)) == 3


def test_a_relay_until_empty_returns(online: Shell, server: AirtableServer) -> None:
    online.python(BATCH, JOBSPAN_RELAY="off")
    assert online.run("relay", "--until-empty").returncode == 0
    assert len(rows(server, CLIENT_RUNS)) == 3
