"""What `map` costs for each client, beside `ThreadPoolExecutor.map`, and whether its memory stays flat.

`job.map` over trivial clients with `concurrency=8`, `ThreadPoolExecutor(8).map` over the same, and client
runs in a plain loop, in alternating rounds of one process: time per client. The bound is the pool and 1.5
client runs. Then, in processes of their own, by how much the peak of memory grows when `map` goes over a
generator, beside a plain list of as many outcomes.
``python benchmarks/map.py [rounds] [clients] [clients of the generator]``
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from measure import Timing, interleaved

import jobspan
from jobspan import client_run, job
from jobspan.model.status import Status
from jobspan.runs.outcome import ClientOutcome

CONCURRENCY = 8
POOL, MAP, LOOP = "ThreadPoolExecutor.map", "job.map", "a client run, in a loop"


def trivial(client: str) -> int:
    return len(client)


def by_pool(clients: list[str]) -> None:
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        list(pool.map(trivial, clients))


def by_map(clients: list[str]) -> None:
    with job("bench") as j:
        j.map(trivial, clients, concurrency=CONCURRENCY)


def by_loop(clients: list[str]) -> None:
    with job("bench"):
        for client in clients:
            with client_run(client):
                trivial(client)


def timed(work: Callable[[list[str]], None], clients: list[str]) -> float:
    """Return microseconds per client until the ledger has them: when it is folded makes no difference."""
    start = time.perf_counter()
    work(clients)
    assert jobspan.flush(60)
    return (time.perf_counter() - start) / len(clients) * 1e6


def called(work: Callable[[list[str]], None], clients: list[str]) -> float:
    """Return microseconds per client of the call alone; the ledger has everything before the next."""
    start = time.perf_counter()
    work(clients)
    took = time.perf_counter() - start
    assert jobspan.flush(60)
    return took / len(clients) * 1e6


def measured(rounds: int, count: int) -> tuple[dict[str, Timing], dict[str, Timing]]:
    """Return the microseconds per client of the three: until all is in the ledger, and of the call alone."""
    clients = [f"client {number}" for number in range(count)]
    cases = {POOL: by_pool, MAP: by_map, LOOP: by_loop}
    with tempfile.TemporaryDirectory() as folder:
        jobspan.configure(ledger=Path(folder) / "ledger.db")
        in_all = {name: partial(timed, work, clients) for name, work in cases.items()}
        of_call = {name: partial(called, work, clients) for name, work in cases.items()}
        found = interleaved(in_all, rounds, 1), interleaved(of_call, rounds, 1)
        jobspan.shutdown()
    return found


def peak_of(kind: str, count: int) -> float:
    """Return by how many MiB a process of its own grows that maps over a generator, or makes a list."""
    command = [sys.executable, __file__, "--peak", kind, str(count)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def _peak(kind: str, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        jobspan.configure(ledger=Path(folder) / "ledger.db")
        with job("bench") as j:
            j.map(trivial, [f"warm {number}" for number in range(2_000)], concurrency=CONCURRENCY)
            before = _highest_kib()
            clients = (f"client {number}" for number in range(count))
            if kind == MAP:
                kept = j.map(trivial, clients, concurrency=CONCURRENCY)
            else:
                kept = [
                    ClientOutcome(client, f"{client}"[:], Status.COMPLETED, trivial(client), None, 1)
                    for client in clients
                ]
            assert len(kept) == count
            print((_highest_kib() - before) / 1024)
        jobspan.shutdown()


def _highest_kib() -> int:
    """Return the peak of this process's memory; `ru_maxrss` would have that of its parent in it."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


def main(rounds: int = 7, count: int = 10_000, generated: int = 1_000_000) -> None:
    """Print both tables."""
    for what, found in zip(("in the ledger", "call returned"), measured(rounds, count), strict=True):
        bound = found[POOL].median + 1.5 * found[LOOP].median
        print(f"{'µs per client, until ' + what:48}{'median':>10}{'of the bound':>14}")
        for name, timing in found.items():
            print(f"{name:48}{timing.median:10.2f}{timing.median / bound:14.2f}")
    mapped, listed = peak_of(MAP, generated), peak_of("list", generated)
    print(f"{f'MiB for {generated:,} outcomes, job.map':48}{mapped:10.1f}")
    print(f"{f'MiB for {generated:,} outcomes, a plain list':48}{listed:10.1f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        _peak(sys.argv[2], int(sys.argv[3]))
    else:
        main(*map(int, sys.argv[1:]))
