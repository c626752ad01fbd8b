"""In your tests: what was recorded, what Airtable would show, and a strict Airtable. Run it by pytest."""

from datetime import timedelta

import pytest

import jobspan
from jobspan.testing.airtable import AirtableServer
from jobspan.testing.captured import CapturedJobs


@jobspan.job("lead_scoring")
def nightly(leads: dict[str, int]) -> None:
    for client_id, count in leads.items():
        with jobspan.client_run(client_id) as run:
            run.add(leads=100 // count)


def test_each_client_is_counted(capjobs: CapturedJobs) -> None:
    nightly({"Acme": 20, "Bolt": 50})
    assert {run.client_id: run.leads_processed for run in capjobs.client_runs} == {"Acme": 5, "Bolt": 2}
    assert [row["Items Processed"] for row in capjobs.airtable["Job Tracking"]] == [7]


def test_an_hour_of_work_takes_no_time(capjobs: CapturedJobs) -> None:
    with jobspan.job("crawl"):
        capjobs.clock.advance(3600)
    (record,) = capjobs.jobs
    assert record.start_time is not None
    assert record.end_time is not None
    assert record.end_time - record.start_time == timedelta(hours=1)


def test_a_failure_is_shown(capjobs: CapturedJobs, airtable_server: AirtableServer) -> None:
    base = {"api_key": airtable_server.token, "base_id": airtable_server.base_id}
    jobspan.configure(mode="online", airtable={**base, "endpoint_url": airtable_server.url})
    with pytest.raises(ZeroDivisionError):
        nightly({"Acme": 20, "Bolt": 0})
    assert jobspan.flush(10)
    assert [row["Status"] for row in airtable_server.rows("Client Run Results")] == ["Completed", "Failed"]
