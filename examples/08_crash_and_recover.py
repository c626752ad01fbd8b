"""A job is killed in the middle, and goes on in the same row: what is Completed is not done again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from jobspan import JobTracking, job

CLIENTS = ["Acme", "Bolt", "Guy-Wilson"]


def nightly(dies_at: str | None) -> None:
    with job("lead_scoring", resume="auto") as j:  # or JOBSPAN_RESUME=<run id> from outside
        for run in j.clients(CLIENTS):
            with run:
                print("working on", run.client, flush=True)
                run.add(leads=30)
                if run.client == dies_at:
                    os.kill(os.getpid(), signal.SIGKILL)
    print("run id", j.run_id, flush=True)


if __name__ == "__main__" and sys.argv[1:]:
    nightly(sys.argv[1])
elif __name__ == "__main__":
    first = subprocess.run([sys.executable, __file__, "Bolt"], check=False)
    print("killed by signal", -first.returncode, flush=True)
    second = subprocess.run(
        [sys.executable, __file__, "nobody"], check=True, stdout=subprocess.PIPE, text=True
    )
    print(second.stdout, end="")
    run_id = second.stdout.split()[-1]
    record = JobTracking().get_job(run_id)
    assert record is not None
    print(f"{record.status.value}: {record.items_processed} leads of {len(record.client_runs)} clients")
