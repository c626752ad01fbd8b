"""What one `with client_run()` costs, beside a raw OpenTelemetry span, in the same run, as a ratio.

Both are timed on the calling thread in alternating rounds; the medians of the rounds are compared.
The journal is durable (a real file, not on a memory disk) and the background fold is on; the raw span
has a BatchSpanProcessor and an exporter that does nothing. ``python benchmarks/block.py [rounds]``
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

from measure import interleaved
from opentelemetry.sdk.trace import TracerProvider
from raw import ledger_beside_raw

import jobspan
from jobspan import client_run, job, record_usage

BLOCKS = 500


def timed(work: Callable[[], None]) -> float:
    """Return microseconds per block."""
    start = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - start) / BLOCKS / 1000


def raw_span(tracer_provider: TracerProvider) -> Callable[[], None]:
    tracer = tracer_provider.get_tracer("bench")

    def work() -> None:
        for _ in range(BLOCKS):
            with tracer.start_as_current_span("client_run") as span:
                span.set_attribute("leads", 1)

    return work


def block() -> None:
    for _ in range(BLOCKS):
        with client_run("x") as run:
            run.add(leads=1)


@client_run
def decorated_call(client_id: str) -> None:
    jobspan.current_run().add(leads=1)


def decorated() -> None:
    for _ in range(BLOCKS):
        decorated_call("x")


def usage() -> None:
    for _ in range(BLOCKS):
        record_usage(input_tokens=900, output_tokens=80, model="gpt-4o-mini")


def main(rounds: int = 60) -> dict[str, float]:
    """Print the table; return the median µs of each case."""
    with ledger_beside_raw() as provider:
        cases = {
            "raw OpenTelemetry span + BatchSpanProcessor": raw_span(provider),
            "with client_run(): run.add()": block,
            "@client_run, add()": decorated,
            "record_usage()": usage,
        }
        measures = {name: partial(timed, work) for name, work in cases.items()}
        with job("bench"), client_run("usage"):
            times = interleaved(measures, rounds)
    base = times["raw OpenTelemetry span + BatchSpanProcessor"].median
    print(f"{'case':48} {'median µs':>10} {'min µs':>8} {'ratio':>6}")
    for name, timing in times.items():
        print(f"{name:48} {timing.median:10.2f} {timing.best:8.2f} {timing.median / base:6.2f}")
    return {name: timing.median for name, timing in times.items()}


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
