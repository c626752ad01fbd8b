"""A first job: decorate the batch and its step per client; the records write themselves."""

from jobspan import JobTracking, client_run, current_run, job, operation

LEADS = {"Guy-Wilson": ["Ann", "Bo", ""], "Acme": ["Cy"]}


@operation("lead_scoring")
def score_lead(name: str) -> int:
    if not name:
        raise ValueError("lead without a name")
    return len(name)


@client_run(client="client_id")
def score_client(client_id: str) -> None:
    run = current_run()
    for number, name in enumerate(LEADS[client_id], start=1):
        try:
            score_lead(name)
            run.add(leads=1)
        except ValueError as error:
            run.error(error, item=f"lead {number}")


@job("lead_scoring")
def nightly() -> str:
    for client_id in LEADS:
        score_client(client_id)
    return current_run().run_id


if __name__ == "__main__":
    record = JobTracking().get_job(nightly())
    assert record is not None
    print(f"{record.job_type}: {record.status}, {record.items_processed} items, {record.errors} error")
    for run in record.client_runs:
        print(f"  {run.client_id}: {run.status}, {run.leads_processed} leads")
