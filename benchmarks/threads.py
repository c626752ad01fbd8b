"""How many client runs eight threads of one process record a second, beside raw OpenTelemetry spans.

Each thread has a job or trace of its own around its blocks; the raw spans go to a BatchSpanProcessor whose
exporter does nothing, and the background fold is on. Rounds alternate in one process; the medians are
compared. ``python benchmarks/threads.py [rounds] [blocks of a thread]``
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from measure import Timing, interleaved
from opentelemetry.sdk.trace import TracerProvider
from raw import ledger_beside_raw

from jobspan import client_run, job

THREADS = 8
RAW, OURS = "raw span + BatchSpanProcessor", "with client_run(): run.add()"


def on_threads(work: Callable[[int], None], blocks: int) -> float:
    """Return microseconds per block, of the wall clock, until the last thread has ended."""
    barrier = threading.Barrier(THREADS + 1)

    def begin() -> None:
        barrier.wait()
        work(blocks)

    threads = [threading.Thread(target=begin) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    barrier.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    return (time.perf_counter() - start) / (blocks * THREADS) * 1e6


def raw_spans(provider: TracerProvider) -> Callable[[int], None]:
    tracer = provider.get_tracer("bench")

    def work(blocks: int) -> None:
        with tracer.start_as_current_span("job"):
            for _ in range(blocks):
                with tracer.start_as_current_span("client_run") as span:
                    span.set_attribute("leads", 1)

    return work


def client_runs(blocks: int) -> None:
    with job("bench"):
        for _ in range(blocks):
            with client_run("x") as run:
                run.add(leads=1)


def measured(rounds: int, blocks: int) -> dict[str, Timing]:
    """Return the microseconds per block of both."""
    with ledger_beside_raw() as provider:
        spans = raw_spans(provider)
        cases = {RAW: lambda: on_threads(spans, blocks), OURS: lambda: on_threads(client_runs, blocks)}
        return interleaved(cases, rounds)


def main(rounds: int = 20, blocks: int = 500) -> None:
    """Print the table."""
    found = measured(rounds, blocks)
    base = found[RAW].median
    print(f"{'eight threads':36}{'median µs':>10}{'a second':>12}{'throughput':>12}")
    for name, timing in found.items():
        print(f"{name:36}{timing.median:10.2f}{1e6 / timing.median:12,.0f}{base / timing.median:12.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
