"""A vendor works for us and calls back, twice: the run stays Running, and counts what came once."""

from __future__ import annotations

import subprocess
import sys

from jobspan import JobTracking, attach, job


def ask_vendor(client: str) -> str:
    """Start the vendor's job; a real one answers 202 and calls a webhook later."""
    return f"vendor job of {client}"


def webhook(payload: dict[str, str]) -> None:
    """Take the vendor's call, in a process of its own."""
    with attach(external_id=payload["id"]) as run:
        run.add(leads=90)


def status(run_id: str) -> str:
    found = JobTracking().get_client_run(run_id, "Guy-Wilson")
    return "unknown" if found is None else f"{found.status.value}, {found.counts}"


if __name__ == "__main__" and len(sys.argv) > 1:
    webhook({"id": sys.argv[1]})
elif __name__ == "__main__":
    with job("enrichment") as j, j.client("Guy-Wilson") as run:
        run.add(leads=5)
        vendor_job = ask_vendor(run.client_id)
        run.detach(external_id=vendor_job, deadline="45m")  # nobody calls in time: Timed_out
    print("after the job:", status(j.run_id))
    for _ in range(2):  # vendors deliver at least once
        subprocess.run([sys.executable, __file__, vendor_job], check=True)
    print("after two deliveries:", status(j.run_id))
