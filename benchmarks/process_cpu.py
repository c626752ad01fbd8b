"""What a whole process pays for `with client_run()`, folding included, beside a raw OpenTelemetry span.

CPU time of all threads: 20,000 blocks until ``flush()`` has returned, so that the ledger has them all, and as
many raw spans with a BatchSpanProcessor (its exporter does nothing) until ``force_flush()`` has. Rounds
alternate in one process; the medians are compared. ``python benchmarks/process_cpu.py [blocks] [rounds]``
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

from measure import Timing, interleaved
from opentelemetry.sdk.trace import TracerProvider
from raw import ledger_beside_raw

import jobspan
from jobspan import client_run, job

_AT_ONCE = 1_000
"""A BatchSpanProcessor drops what exceeds its queue of 2,048: both are paced alike."""
RAW = "raw span + BatchSpanProcessor, force_flush()"
OURS = "with client_run(): run.add(), flush()"
FRESH = "the same, each of another client"


def cpu_of(work: Callable[[int], None], blocks: int) -> float:
    """Return microseconds of CPU per block, of all threads."""
    start = time.process_time_ns()
    work(blocks)
    return (time.process_time_ns() - start) / blocks / 1000


def raw_spans(provider: TracerProvider) -> Callable[[int], None]:
    """Return what opens and ends spans and has them exported."""
    tracer = provider.get_tracer("bench")

    def work(blocks: int) -> None:
        for first in range(0, blocks, _AT_ONCE):
            for _ in range(first, min(first + _AT_ONCE, blocks)):
                with tracer.start_as_current_span("client_run") as span:
                    span.set_attribute("leads", 1)
            assert provider.force_flush()

    return work


def client_runs(blocks: int) -> None:
    """Enter a client run of one job again and again, and have it in the ledger."""
    with job("bench"):
        for _ in range(blocks):
            with client_run("x") as run:
                run.add(leads=1)
    assert jobspan.flush(60)


def fresh_client_runs(blocks: int) -> None:
    """Open and close client runs of one job, each of another client, and have them in the ledger."""
    with job("bench"):
        for number in range(blocks):
            with client_run(f"client {number}") as run:
                run.add(leads=1)
    assert jobspan.flush(60)


def measured(blocks: int, rounds: int) -> dict[str, Timing]:
    """Return the microseconds of CPU per block of each case."""
    with ledger_beside_raw() as provider:
        spans = raw_spans(provider)
        works = {RAW: spans, OURS: client_runs, FRESH: fresh_client_runs}
        cases = {name: partial(cpu_of, work, blocks) for name, work in works.items()}
        return interleaved(cases, rounds, warm_up=1)


def main(blocks: int = 20_000, rounds: int = 5) -> None:
    """Print the table."""
    found = measured(blocks, rounds)
    base = found[RAW].median
    print(f"{'case':48} {'median µs':>10} {'min µs':>8} {'ratio':>6}")
    for name, timing in found.items():
        print(f"{name:48} {timing.median:10.2f} {timing.best:8.2f} {timing.median / base:6.2f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
