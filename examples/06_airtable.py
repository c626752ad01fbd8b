"""Rows in Airtable while the batch runs: set AIRTABLE_API_KEY and AIRTABLE_BASE_ID; the code stays as it is.

The base has the tables "Job Tracking" and "Client Run Results". AIRTABLE_ENDPOINT_URL leads elsewhere: to a
proxy, or to the strict server of ``python -m jobspan.testing.airtable``.
"""

import os

import jobspan
from jobspan import JobTracking, client_run, current_run, job

LEADS = {"Guy-Wilson": 12, "Acme": 3, "Bolt": 0}


@client_run(client="client_id")
def score_client(client_id: str) -> None:
    run = current_run()
    if not LEADS[client_id]:
        run.skip("no leads")
    run.add(leads=LEADS[client_id])


@job("lead_scoring")
def nightly() -> str:
    for client_id in LEADS:
        score_client(client_id)
    return current_run().run_id


if __name__ == "__main__":
    record = JobTracking().get_job(nightly())
    assert record is not None
    print(f"recorded: {record.job_type} {record.status}, {len(record.client_runs)} client runs")
    if not os.environ.get("AIRTABLE_API_KEY") or not os.environ.get("AIRTABLE_BASE_ID"):
        print("nothing sent: set AIRTABLE_API_KEY and AIRTABLE_BASE_ID")
    elif jobspan.flush(30):
        print(f"{1 + len(record.client_runs)} rows arrived")
    else:
        print(f"{jobspan.health().pending} rows wait; the next run sends them")
