"""How many requests and seconds N client runs take to Airtable, beside the floor and the plain way.

The server is the strict one of `jobspan.testing`: 5 requests a second, 30 s of lock-out beyond. It answers
within milliseconds, so what is measured is requests and their spacing, not Airtable's own time to answer.

Each way runs in a process of its own, the server in this one; CPU is that process's, over the same time,
pyairtable loaded before.

- jobspan: a job of N client runs by the public API, until `flush` says all is delivered. It looks at
  schema and run ids as well; these reads are counted.
- plain pyairtable: for the job and for each client run look up the row by its run id, create it as Running,
  update it at the end, on one thread, a request every 250 ms at most (faster is locked out).
  Run for N up to 100; beyond, requests and seconds are computed from N and marked with *.
- the floor: ceil(rows / 10) upserts per table, 250 ms apart, nothing else: what no correct program
  that upserts each row once gets below.

The gap is the shortest between any two requests as the server saw them come in.

``python benchmarks/relay.py [--large] [--spacing SECONDS] [N ...]``: N is 100 and 1,000 unless given,
``--large`` adds 10,000. Another spacing than 0.25 s switches the server's limit off.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from pyairtable import Api, Table
from pyairtable.formulas import match

import jobspan
from jobspan import _delivery
from jobspan.relay.pace import Timing
from jobspan.testing.airtable import AirtableServer

SPACING = 0.25
MOST_PLAIN = 100
JOBS, CLIENT_RUNS = "Job Tracking", "Client Run Results"


@dataclass(frozen=True)
class Trial:
    """One way for one N. `rows` are those seen in the base; None: computed, not run."""

    way: str
    clients: int
    requests: int
    seconds: float
    rows: int | None = None
    refused: int = 0
    cpu: float | None = None
    gap: float | None = None


def floor(clients: int, spacing: float) -> Trial:
    """Return the fewest upserts there can be; the first need not wait."""
    requests = 1 + math.ceil(clients / 10)
    return Trial("floor", clients, requests, (requests - 1) * spacing)


def limits(spacing: float) -> dict[str, Any]:
    """Return the options of the server: Airtable's own limit at Airtable's spacing, else none."""
    return {} if spacing >= SPACING else {"rate_limit": None, "user_rate_limit": None}


def measured(way: str, name: str, clients: int, spacing: float) -> Trial:
    """Let a process of its own do the work and count; every row must have arrived once, as Completed."""
    with AirtableServer(**limits(spacing)) as server:
        arguments = [name, server.url, server.token, server.base_id, str(clients), str(spacing)]
        done = subprocess.run(
            [sys.executable, __file__, "--work", *arguments], stdout=subprocess.PIPE, text=True, check=True
        )
        told = json.loads(done.stdout)
        rows = [*server.rows(JOBS), *server.rows(CLIENT_RUNS)]
        wrong = [row for row in rows if row["Status"] != "Completed"]
        if wrong or len({row["Run ID"] for row in rows}) != len(rows) or len(rows) != clients + 1:
            raise RuntimeError(f"{way}: {len(rows)} rows for {clients}, {len(wrong)} not Completed")
        gap = min(later.at - earlier.at for earlier, later in pairwise(server.requests))
        return Trial(
            way,
            clients,
            len(server.requests),
            told["seconds"],
            len(rows),
            server.rate_limited,
            told["cpu"],
            gap,
        )


def timed(work: Callable[[], None]) -> None:
    """Do the work and print how long it took, and how much CPU."""
    start, cpu = time.monotonic(), time.process_time()
    work()
    print(json.dumps({"seconds": time.monotonic() - start, "cpu": time.process_time() - cpu}))


def deliver_by_jobspan(url: str, token: str, base_id: str, clients: int, spacing: float) -> None:
    """Deliver by jobspan; for the process that is measured."""

    def work() -> None:
        with jobspan.job("bench") as job:
            for number in range(clients):
                with job.client(f"client-{number}") as run:
                    run.add(leads=number)
        if not jobspan.flush(60 + 2 * clients * spacing):
            raise RuntimeError(f"not delivered: {jobspan.health()}")

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        base = {"api_key": token, "base_id": base_id, "endpoint_url": url}
        _delivery.TIMING = replace(Timing(), spacing=spacing)
        jobspan.configure(ledger=Path(folder) / "ledger.db", mode="online", airtable=base)
        try:
            timed(work)
        finally:
            jobspan.shutdown(5)  # nothing is written any more when the folder goes


class Plain:
    """Looks up, creates and updates single rows, a request every `spacing` seconds."""

    def __init__(self, url: str, token: str, base_id: str, spacing: float) -> None:
        self._spacing = spacing
        self._next_at = 0.0
        self._api = Api(token, endpoint_url=url, retry_strategy=None)
        self._base_id = base_id

    def table(self, name: str) -> Table:
        """Return a table by its name."""
        return self._api.table(self._base_id, name)

    def start(self, table: Table, run_id: str) -> str:
        """Look the row up, create it as Running where there is none; return its record id."""
        self._wait()
        found = table.first(formula=match({"Run ID": run_id}))
        if found is not None:
            return found["id"]
        self._wait()
        return table.create({"Run ID": run_id, "Status": "Running"})["id"]

    def end(self, table: Table, record_id: str, fields: dict[str, Any]) -> None:
        """Update the row."""
        self._wait()
        table.update(record_id, {"Status": "Completed", **fields})

    def _wait(self) -> None:
        time.sleep(max(0.0, self._next_at - time.monotonic()))
        self._next_at = time.monotonic() + self._spacing


def deliver_by_plain_pyairtable(url: str, token: str, base_id: str, clients: int, spacing: float) -> None:
    """Deliver as one does without jobspan; for the process that is measured."""
    plain = Plain(url, token, base_id, spacing)
    jobs, runs = plain.table(JOBS), plain.table(CLIENT_RUNS)

    def work() -> None:
        job = plain.start(jobs, "bench")
        for number in range(clients):
            row = plain.start(runs, f"bench-client-{number}")
            plain.end(runs, row, {"Leads Processed": number})
        plain.end(jobs, job, {"Items Processed": sum(range(clients))})

    timed(work)


WORKS = {"jobspan": deliver_by_jobspan, "plain": deliver_by_plain_pyairtable}


def by_jobspan(clients: int, spacing: float) -> Trial:
    """Deliver by jobspan."""
    return measured("jobspan", "jobspan", clients, spacing)


def by_plain_pyairtable(clients: int, spacing: float) -> Trial:
    """Deliver as one does without jobspan; beyond `MOST_PLAIN` it is only computed."""
    way = "look up, create, update"
    if clients > MOST_PLAIN:
        requests = 3 * (clients + 1)
        return Trial(way, clients, requests, (requests - 1) * spacing)
    return measured(way, "plain", clients, spacing)


def line(trial: Trial, least: Trial) -> str:
    """Return one line of the table."""
    star = "*" if trial.rows is None and trial is not least else " "
    rate = (trial.clients + 1) / trial.seconds if trial.seconds else math.inf
    return (
        f"{trial.clients:>7,} {trial.way:24}{trial.requests:>9,}{star}{trial.seconds:>9.1f}{star}"
        f"{rate:>8.1f} {trial.requests / least.requests:>9.2f} {trial.seconds / least.seconds:>8.2f}"
        f" {trial.refused:>5} {_milli(trial.gap):>7} {_milli(trial.cpu, trial.clients + 1):>8}"
    )


def _milli(seconds: float | None, parts: int = 1) -> str:
    return "" if seconds is None else f"{1000 * seconds / parts:.1f}"


def main(counts: Sequence[int], spacing: float = SPACING) -> None:
    """Print the table."""
    print(f"a request every {spacing * 1000:g} ms; * computed, not run")
    print(
        f"{'N':>7} {'way':24}{'requests':>9} {'seconds':>9} {'rows/s':>8} {'× floor':>9} {'× time':>8}"
        f" {'429':>5} {'gap ms':>7} {'CPU/row':>8}"
    )
    for clients in counts:
        least = floor(clients, spacing)
        print(line(least, least))
        for way in (by_jobspan, by_plain_pyairtable):
            print(line(way(clients, spacing), least), flush=True)


if __name__ == "__main__" and sys.argv[1:2] == ["--work"]:
    given_work, given_url, given_token, given_base, *numbers = sys.argv[2:]
    WORKS[given_work](given_url, given_token, given_base, int(numbers[0]), float(numbers[1]))
elif __name__ == "__main__":
    parser = argparse.ArgumentParser(description="requests, seconds and rows/s to Airtable")
    parser.add_argument("counts", metavar="N", type=int, nargs="*", help="client runs; default: 100 1000")
    parser.add_argument("--large", action="store_true", help="10,000 client runs, too")
    parser.add_argument("--spacing", type=float, default=SPACING, help="seconds between requests")
    given = parser.parse_args()
    main((given.counts or [100, 1_000]) + ([10_000] if given.large else []), given.spacing)
