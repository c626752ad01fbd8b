"""The batch that `jobspan demo` runs, written as you would write yours: public names only."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from jobspan import ClientRun, current_job, current_run, job, operation, record_cost, record_usage

Say = Callable[[str, str], None]

CLIENTS: list[dict[str, Any]] = [
    {"id": "Guy-Wilson", "leads": ["Ada Reed", "Bo Lind", "Cleo Marsh"]},
    {"id": "Wilson", "posts": 12},
    {"id": "Northwind", "profile": "https://profiles.example/northwind"},
]


@job("demo")
def run_batch(say: Say) -> str:
    """Work for three clients, one after the other; a client that fails does not stop the others."""
    batch = current_job()
    say("job", f"{batch.run_id} opened")
    for run in batch.clients(CLIENTS, key="id"):
        with run:
            say(run.client_id, "opened")
            work_for(run, say)
        say(run.client_id, run.local_status)
    return batch.run_id


def work_for(run: ClientRun, say: Say) -> None:
    """Do what is to be done for one client."""
    client = run.client
    if "leads" in client:
        score_leads(client["leads"], say)
    elif "posts" in client:
        time.sleep(0.2)  # a real batch would scrape here
        run.add(posts=client["posts"])
        record_cost("apify", usd="0.0184")
        run.note("profile search returned one page")
        say(run.client_id, f"{client['posts']} posts, apify costs $0.0184")
    else:
        time.sleep(0.2)
        say(run.client_id, "its profile page answers 503")
        raise ConnectionError(f"{client['profile']} answered 503")


@operation("lead_scoring")
def score_leads(leads: list[str], say: Say) -> None:
    """Score leads with a model; the tokens are added up in the client run and in the job."""
    for lead in leads:
        time.sleep(0.15)  # a real batch would ask its model here
        record_usage(input_tokens=420, output_tokens=38, model="demo-model", cost_usd="0.0021")
        current_run().add(leads=1)
        say("lead_scoring", f"{lead}: 458 tokens, $0.0021")
