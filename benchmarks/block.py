"""What one `with client_run()` costs, beside a raw OpenTelemetry span, in the same run, as a ratio.

Both are timed on the calling thread in alternating rounds, by the wall clock and by the CPU the thread takes;
the medians of the rounds are compared. The wall clock has the background fold in it, which is not through
when the raw spans have their turn, and burdens those alike. The journal is durable (a real file, not on a
memory disk); the raw span has a BatchSpanProcessor and an exporter that does nothing.
``python benchmarks/block.py [rounds]``
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable
from functools import partial

from measure import Timing, interleaved
from opentelemetry.sdk.trace import TracerProvider
from raw import ledger_beside_raw

import jobspan
from jobspan import client_run, job, record_usage

BLOCKS = 500
RAW, OURS = "raw OpenTelemetry span + BatchSpanProcessor", "with client_run(): run.add()"


def timed(work: Callable[[], None], cpu: list[float]) -> float:
    """Return microseconds per block; add those of the thread's CPU to `cpu`."""
    start, start_cpu = time.perf_counter_ns(), time.thread_time_ns()
    work()
    cpu.append((time.thread_time_ns() - start_cpu) / BLOCKS / 1000)
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


_names = (f"client-{number}" for number in itertools.count())


def fresh() -> None:
    for _ in range(BLOCKS):
        with client_run(next(_names)) as run:
            run.add(leads=1)


def nested() -> None:
    with client_run("outer"):
        block()


def usage() -> None:
    with client_run("x"):
        for _ in range(BLOCKS):
            record_usage(input_tokens=900, output_tokens=80, model="gpt-4o-mini")


def measured(rounds: int) -> dict[str, tuple[Timing, Timing]]:
    """Return the microseconds per block of each case: by the wall clock, and of the thread's CPU."""
    with ledger_beside_raw() as provider:
        cases = {
            RAW: raw_span(provider),
            OURS: block,
            "@client_run, add()": decorated,
            "with client_run() of a client not seen before": fresh,
            "with client_run() in another client's": nested,
            "record_usage()": usage,
        }
        cpu: dict[str, list[float]] = {name: [] for name in cases}
        measures = {name: partial(timed, work, cpu[name]) for name, work in cases.items()}
        with job("bench"):
            wall = interleaved(measures, rounds)
    return {name: (wall[name], Timing(tuple(cpu[name][-rounds:]))) for name in cases}


def main(rounds: int = 60) -> None:
    """Print the table."""
    found = measured(rounds)
    base, base_cpu = (timing.median for timing in found[RAW])
    print(f"{'case':48} {'median µs':>10} {'min µs':>8} {'ratio':>6} {'CPU µs':>8} {'ratio':>6}")
    for name, (wall, cpu) in found.items():
        print(
            f"{name:48} {wall.median:10.2f} {wall.best:8.2f} {wall.median / base:6.2f}"
            f" {cpu.median:8.2f} {cpu.median / base_cpu:6.2f}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
