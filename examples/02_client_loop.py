"""A loop over clients: one that fails is recorded, and the loop goes on."""

import sys

from jobspan import job, record_usage

CLIENTS = [
    {"id": "Guy-Wilson", "tier": "Pro", "posts": 43},
    {"id": "Wilson", "tier": "Basic", "posts": 7},
    {"id": "Acme", "tier": "Pro", "posts": 0},
]


def harvest(client: dict) -> int:
    if not client["posts"]:
        raise LookupError("no posts found")
    return client["posts"]


with job("post_harvest") as batch:
    for run in batch.clients(CLIENTS, key="id"):
        with run:
            if run.client["tier"] == "Basic":
                run.skip("tier Basic")
                continue
            with run.operation("harvest") as step:
                step.add(posts=harvest(run.client))
            record_usage(input_tokens=900, output_tokens=120, model="gpt-4o-mini", cost_usd="0.0002")

print(f"job {batch.run_id} ended with exit code {batch.exit_code}")
if __name__ == "__main__":
    sys.exit(0 if batch.exit_code == 2 else 1)  # 2: completed, with errors
