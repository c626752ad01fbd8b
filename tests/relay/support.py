"""What the trials of delivery share: a plain HTTP reader of rows, and the ledger's word beside it."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable
from typing import Any

import jobspan
from jobspan import _runtime
from jobspan.ledger.leasing import lease_of
from jobspan.model.record import instant_text
from jobspan.relay.pace import Timing
from jobspan.testing.airtable import AirtableServer

JOBS, CLIENT_RUNS = "Job Tracking", "Client Run Results"
JOB_COLUMNS = {
    "Run ID": "run_id",
    "Status": "status",
    "Job Type": "job_type",
    "Start Time": "start_time",
    "End Time": "end_time",
    "Items Processed": "items_processed",
    "Error": "error",
    "Apify Run ID": "apify_run_id",
    "System Notes": "system_notes",
}
CLIENT_RUN_COLUMNS = {
    "Run ID": "run_id",
    "Client ID": "client_id",
    "Status": "status",
    "Start Time": "start_time",
    "End Time": "end_time",
    "Posts Processed": "posts_processed",
    "Leads Processed": "leads_processed",
    "Errors": "errors",
    "Token Usage": "token_usage",
    "Prompt Tokens": "prompt_tokens",
    "Completion Tokens": "completion_tokens",
    "Total Tokens": "total_tokens",
    "Apify API Costs": "apify_api_costs",
    "System Notes": "system_notes",
}
SWIFT = Timing(
    linger=0.6, lease=1.5, renew=0.4, penalty=1.5, broken=0.6, overtaken=1.0, retry_most=1.0,
    stopped=0.3, stopped_most=0.6, notes=1.0, cancel_poll=0.6, cancel_poll_late=0.6,
)  # fmt: skip
"""The relay's waits, compressed; the spacing of requests stays real."""


def settings(server: AirtableServer, **more: Any) -> dict[str, Any]:
    """Return the Airtable settings of a server."""
    given = {"api_key": server.token, "base_id": server.base_id, "endpoint_url": server.url}
    return {**given, **more}


def rows(server: AirtableServer, table: str, *, token: str | None = None) -> list[dict[str, Any]]:
    """Return the rows of a table, read by plain HTTP; {"id": record id, column: value}."""
    found: list[dict[str, Any]] = []
    offset: str | None = None
    limits, server.limits.rate = server.limits.rate, None
    try:
        server.release_limits()
        while True:
            query = {"pageSize": "100"} | ({"offset": offset} if offset else {})
            place = f"{server.base_id}/{urllib.parse.quote(table)}"
            url = f"{server.url}/v0/{place}?{urllib.parse.urlencode(query)}"
            request = urllib.request.Request(
                url, headers={"Authorization": f"Bearer {token or server.token}"}
            )
            with urllib.request.urlopen(request, timeout=10) as answer:
                page = json.load(answer)
            found += [{"id": each["id"], **each["fields"]} for each in page["records"]]
            offset = page.get("offset")
            if not offset:
                return found
    finally:
        server.limits.rate = limits


def in_ledger() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the ledger's records by run id: (jobs, client runs)."""
    with _runtime.runtime().reading() as reader:
        jobs = list(reader.jobs())
    return {j.run_id: j for j in jobs}, {c.run_id: c for j in jobs for c in j.client_runs}


def expected(record: Any, columns: dict[str, str]) -> dict[str, Any]:
    """Return the cells a record has in Airtable, empty ones left out."""
    cells: dict[str, Any] = {}
    for column, name in columns.items():
        value = getattr(record, name)
        if name.endswith("_time"):
            value = instant_text(value)
        elif name == "apify_api_costs" and value is not None:
            value = float(value)
        elif name == "status":
            value = value.value
        if value not in (None, ""):
            cells[column] = value
    return cells


def assert_equal_to_ledger(server: AirtableServer, *, without: set[str] = frozenset()) -> None:  # type: ignore[assignment]
    """Assert one row for each record, and each cell as the ledger says; `without` names columns left out."""
    jobs, clients = in_ledger()
    for table, records, columns in ((JOBS, jobs, JOB_COLUMNS), (CLIENT_RUNS, clients, CLIENT_RUN_COLUMNS)):
        there = rows(server, table)
        key = "Run ID"
        counted = Counter(row.get(key) for row in there)
        assert sorted(counted) == sorted(records), table
        assert set(counted.values()) <= {1}, f"doubled: {counted.most_common(3)}"
        for row in there:
            wanted = expected(records[row[key]], columns)
            shown = {column: value for column, value in row.items() if column in columns}
            notes, shown_notes = wanted.pop("System Notes"), shown.pop("System Notes", "")
            for column in without:
                wanted.pop(column, None)
                shown.pop(column, None)
            assert shown == wanted, row
            if "System Notes" not in without:
                assert notes in shown_notes
                assert shown_notes.splitlines()[-1].startswith("jobspan ")


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until `condition` holds; fail if it does not in time."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def batch(clients: int, *, job_type: str = "trial") -> str:
    """Run a job over so many clients; return its run id."""
    with jobspan.job(job_type) as job:
        for number in range(clients):
            with job.client(f"client-{number}") as run:
                run.add(posts=number, leads=2 * number)
    return job.run_id


def fence_of(server: AirtableServer) -> int:
    """Return how often the lease on the server's base has gone to another sender."""
    lease = lease_of(_runtime.runtime().ledger, f"airtable:{server.base_id}")
    return 0 if lease is None else lease[1]


def kinds(server: AirtableServer) -> Counter[str]:
    """Return how many requests of each kind the relay made."""
    return Counter(
        request.kind
        for request in server.requests
        if "python-requests" in request.headers.get("user-agent", "")
    )
