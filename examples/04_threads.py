"""Threads: `map` carries the run by itself; for a pool of your own, wrap what you submit."""

from concurrent.futures import ThreadPoolExecutor

import jobspan
from jobspan import current_run, job

tries: dict[str, int] = {}


def score(client: str) -> int:
    tries[client] = tries.get(client, 0) + 1
    current_run().add(leads=10)
    if client == "flaky" and tries[client] == 1:
        raise ConnectionError("reset by peer")
    return tries[client]


def count_posts(page: int) -> None:
    current_run().add(posts=page)


with job("threaded") as batch:
    for outcome in batch.map(score, ["Acme", "flaky", "Guy-Wilson"], concurrency=3, retries=1):
        print(f"{outcome.client_id}: {outcome.status} after {outcome.attempts} attempts")
    with batch.client("own-pool") as run, ThreadPoolExecutor(4) as pool:
        list(pool.map(jobspan.wrap(count_posts), [1, 2, 3, 4]))  # without wrap: threads know no run

record = jobspan.JobTracking().get_job(batch.run_id)
assert record is not None
for client in record.client_runs:
    print(f"{client.client_id}: {client.counts}")
