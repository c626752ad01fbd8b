"""A run that another process goes on with is shown where that process, or the first one, shows its runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobspan.testing.airtable import AirtableServer
from tests.faults.process import jobs, run
from tests.relay.support import CLIENT_RUNS, JOBS, rows

LEAVE = """
with job("scoring") as j:
    with j.client("Guy-Wilson") as r:
        r.add(leads=5)
        r.detach(external_id="E1", deadline="45m")
    with j.client("Wilson") as r:
        r.add(leads=1)
"""
DELIVER = "with jobspan.attach({how}) as r: r.add(leads=90)\nassert jobspan.flush(20)"
KEY = "a shared secret for tokens"


@pytest.fixture
def server() -> Iterator[AirtableServer]:
    with AirtableServer() as made:
        yield made


def settings(server: AirtableServer) -> dict[str, str]:
    return {
        "AIRTABLE_API_KEY": server.token,
        "AIRTABLE_BASE_ID": server.base_id,
        "AIRTABLE_ENDPOINT_URL": server.url,
    }


def shown(server: AirtableServer) -> tuple[list[str], dict[str, tuple[str, int]]]:
    clients = rows(server, CLIENT_RUNS)
    assert len({row["Run ID"] for row in clients}) == len(clients)
    return (
        [row["Status"] for row in rows(server, JOBS)],
        {row["Client ID"]: (row["Status"], row["Leads Processed"]) for row in clients},
    )


def test_a_job_opened_without_a_destination_is_shown_once_a_process_with_one_goes_on(
    tmp_path: Path, server: AirtableServer
) -> None:
    ledger = tmp_path / "ledger.db"
    run(ledger, LEAVE, JOBSPAN_MODE="offline")
    run(ledger, DELIVER.format(how='external_id="E1"'), **settings(server))
    assert shown(server) == (["Completed"], {"Guy-Wilson": ("Completed", 95), "Wilson": ("Completed", 1)})


def test_a_token_brings_the_run_to_the_base_of_a_process_with_an_empty_ledger(
    tmp_path: Path, server: AirtableServer
) -> None:
    code = LEAVE.replace("r.detach(", "say(r.token); r.detach(")
    (token,) = run(tmp_path / "here.db", code, JOBSPAN_MODE="offline", JOBSPAN_TOKEN_KEY=KEY)
    there = tmp_path / "there.db"
    deliver = DELIVER.format(how=f"token={token!r}")
    for _ in range(2):
        run(there, deliver, JOBSPAN_TOKEN_KEY=KEY, **settings(server))
    _, clients = shown(server)
    assert clients == {"Guy-Wilson": ("Completed", 90)}
    assert not rows(server, JOBS), "a job is shown by the ledger that opened it; only its run was named"
    (row,) = rows(server, CLIENT_RUNS)
    assert [f"{job['run_id']}-Guy-Wilson" for job in jobs(there)] == [row["Run ID"]]


def test_a_base_that_a_job_has_stays_its_own(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    with AirtableServer() as first, AirtableServer() as second:
        run(ledger, LEAVE + "\nassert jobspan.flush(20)", **settings(first))
        run(ledger, DELIVER.format(how='external_id="E1"').split("\n")[0], **settings(second))
        relay = "from jobspan._runtime import run_relay; run_relay(until_empty=True)"
        run(ledger, relay, **settings(first))
        run(ledger, relay, **settings(second))
        assert sorted(shown(first)[1].values()) == [("Completed", 1), ("Completed", 95)]
        assert rows(second, JOBS) == []
