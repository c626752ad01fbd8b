"""What the processes of the kill trials do; forked from a server that has jobspan imported."""

from __future__ import annotations

import json
import os
import random
import threading
from multiprocessing.connection import Connection

import jobspan
from jobspan import client_run, job
from jobspan._runtime import runtime


def write(ledger: str, seed: int, pipe: Connection) -> None:
    """Write client runs in four threads, each acknowledged after its block is left."""
    jobspan.configure(ledger=ledger, segment_bytes=6000, strict=True)
    pick = random.Random(seed)

    def acknowledge(*record: object) -> None:
        os.write(pipe.fileno(), (json.dumps(record) + "\n").encode())

    def work(number: int, job_id: str) -> None:
        for n in range(100_000):
            posts, leads, is_error = pick.randrange(50), pick.randrange(50), n % 5 == 0
            with client_run(f"{number}-{n % 7}") as run:
                run.add(posts=posts)
                with run.operation("scoring") as op:
                    op.add(leads=leads)
                    op.note(f"note {n}")
                if is_error:
                    run.error(ValueError("bad profile"))
            acknowledge(job_id, f"{number}-{n % 7}", posts, leads, is_error)

    with job("killed") as j:
        acknowledge(j.run_id)
        threads = [threading.Thread(target=jobspan.wrap(work), args=(n, j.run_id)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def read(ledger: str) -> None:
    """Fold and read without end."""
    jobspan.configure(ledger=ledger, strict=True)
    while True:
        with runtime().reading() as reader:
            list(reader.jobs(1))
