"""How long a process takes to be gone with 1,000 rows that Airtable does not have yet.

From the last line of the program until the process is gone, for an Airtable that answers (the strict server
of `jobspan.testing`), one that refuses (a closed port) and one that takes connections and never answers;
with the default `exit_flush` of 2 s and with 0. "nothing to do" is a process that loaded the same and
opened no run: what it takes to be gone is the interpreter's, letting go of all these libraries.

``python benchmarks/exit.py [--rounds N] [--rows N]``: rounds of all cases in turn; median and longest.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from measure import interleaved

from jobspan.testing.airtable import AirtableServer

ROWS = 1_000
PROGRAM = """
import sys, time
import jobspan, pyairtable, jobspan.relay.worker, jobspan.airtable.destination, jobspan.ledger.folder
url, token, base, flush, clients = sys.argv[1:]
airtable = {"endpoint_url": url, "api_key": token, "base_id": base}
jobspan.configure(mode="online", exit_flush=float(flush), airtable=airtable)
if int(clients):
    with jobspan.job("exit") as job:
        for number in range(int(clients)):
            with job.client(f"client-{number}") as run: run.add(leads=1)
print(time.time(), flush=True)
"""


@contextmanager
def refusing() -> Generator[str]:
    """Give the address of a port nobody listens on."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused, nobody else gets it
        yield f"http://127.0.0.1:{closed.getsockname()[1]}"


@contextmanager
def silent() -> Generator[str]:
    """Give the address of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def answering() -> Generator[tuple[str, str, str]]:
    """Give address, token and base of the strict server."""
    with AirtableServer() as server:
        yield server.url, server.token, server.base_id


@contextmanager
def backend(name: str) -> Generator[tuple[str, str, str]]:
    """Give address, token and base of an Airtable that behaves as `name` says."""
    if name == "answering":
        with answering() as found:
            yield found
    else:
        with refusing() if name == "refusing" else silent() as url:
            yield url, "pat" + "x" * 14 + "." + "0" * 64, "app" + "x" * 14


def seconds_to_exit(name: str, exit_flush: float, rows: int) -> float:
    """Return the seconds from the last line of the program until its process is gone."""
    with backend(name) as place, tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "JOBSPAN_LEDGER": str(Path(folder) / "ledger.db")}
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *place, str(exit_flush), str(max(0, rows - 1))],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        ended = float(process.stdout.readline())
        process.wait(timeout=60)
        return time.time() - ended


def main(rounds: int, rows: int) -> None:
    """Print the table."""
    cases = {("nothing to do", 2.0): lambda: seconds_to_exit("refusing", 2.0, 0)}
    for name in ("answering", "refusing", "silent"):
        for exit_flush in (2.0, 0.0):
            cases[name, exit_flush] = lambda name=name, flush=exit_flush: seconds_to_exit(name, flush, rows)
    print(f"{rows:,} rows to deliver; {rounds} rounds; seconds from the last line until the process is gone")
    print(f"{'Airtable':16}{'exit_flush':>11}{'median':>9}{'longest':>9}{'over idle':>11}{'×':>7}")
    found = interleaved(cases, rounds, warm_up=0)
    idle = found["nothing to do", 2.0].median
    for (name, exit_flush), timing in found.items():
        more = f"{timing.median - idle:>+11.2f}{timing.median / idle:>7.2f}"
        print(f"{name:16}{exit_flush:>11g}{timing.median:>9.2f}{max(timing.rounds):>9.2f}{more}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="how long the end of a process takes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=ROWS)
    given = parser.parse_args()
    main(given.rounds, given.rows)
