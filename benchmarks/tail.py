"""How long the slowest `with client_run()` takes, beside a raw OpenTelemetry span, in the same run.

Three settings: alone; beside one CPU-bound Python thread; in eight processes on one ledger. Each contender is
measured in processes of its own, started in turn. Between two blocks it computes for `PAUSE_SECONDS`, as a
program does that keeps the interpreter lock; in eight processes, which have not a core each, it sleeps ten
times as long. The background fold is on, and has begun (`WARM_UP_SECONDS`). Shown are the medians over the
rounds of the quantiles of each round; of eight processes the worst counts. What else the machine does falls
on the tails first: as root, ``chrt -f 5`` before the command makes it wait.
``python benchmarks/tail.py [rounds] [blocks] [processes]``
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from measure import busy_thread
from raw import raw_provider

import jobspan
from jobspan import client_run, job

RAW, BLOCK, WRITTEN = "raw span", "block", "block, journal=write"
CONTENDERS = (RAW, BLOCK, WRITTEN)
ALONE, BESIDE, MANY = "alone", "beside a busy thread", "many"
PROCESSES = 8
PAUSE_SECONDS = 200e-6
WARM_UP_SECONDS = 2.5
"""The first fold loads its modules: some ten blocks wait 1 to 4 ms, once in a process."""
SHARES = (0.5, 0.99, 0.999)
Quantiles = tuple[float, ...]


def times_of(one: Callable[[], None], count: int, *, sleeps: bool = False) -> list[int]:
    """Return the sorted nanoseconds of `count` calls with pauses between them, once it is warm."""
    clock = time.perf_counter_ns
    pause_ns = int(PAUSE_SECONDS * 1e9)
    warm_at = clock() + int(WARM_UP_SECONDS * 1e9)
    times: list[int] = []
    while len(times) < count:
        start = clock()
        one()
        end = clock()
        if start >= warm_at:
            times.append(end - start)
        if sleeps:
            time.sleep(10 * PAUSE_SECONDS)
        while clock() - end < pause_ns:
            pass
    return sorted(times)


def beside_a_busy_thread(one: Callable[[], None], count: int) -> list[int]:
    """Measure while another Python thread computes without a pause."""
    with busy_thread():
        return times_of(one, count)


def block() -> None:
    with client_run("x") as run:
        run.add(leads=1)


def measure(contender: str, setting: str, count: int, ledger: Path) -> list[int]:
    """Measure one contender in this process."""
    times = beside_a_busy_thread if setting == BESIDE else partial(times_of, sleeps=setting == MANY)
    if contender == RAW:
        with raw_provider() as provider:
            tracer = provider.get_tracer("bench")

            def span() -> None:
                with tracer.start_as_current_span("client_run") as span:
                    span.set_attribute("leads", 1)

            return times(span, count)
    jobspan.configure(ledger=ledger, journal="write" if contender == WRITTEN else "mapped")
    with job("bench"):
        return times(block, count)


def run_apart(contender: str, setting: str, count: int, folder: Path, processes: int) -> Quantiles:
    """Measure in fresh processes on one ledger, many or one; return the µs at each of `SHARES`."""
    ledger = folder / f"{CONTENDERS.index(contender)}.db"
    command = [sys.executable, __file__, "--apart", contender, setting, str(count), str(ledger)]
    many = processes if setting == MANY else 1
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(many)]
    found = [tuple(map(float, process.communicate()[0].split())) for process in started]
    return max(found, key=lambda quantiles: quantiles[-1])


def measured(rounds: int, count: int, processes: int) -> dict[tuple[str, str], Quantiles]:
    """Return (setting, contender) -> µs at each of `SHARES`, the median of the rounds."""
    found: dict[tuple[str, str], list[Quantiles]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for setting in (ALONE, BESIDE, MANY):
                for contender in CONTENDERS:
                    quantiles = run_apart(contender, setting, count, Path(folder), processes)
                    found.setdefault((setting, contender), []).append(quantiles)
    return {case: tuple(map(statistics.median, zip(*many, strict=True))) for case, many in found.items()}


def main(rounds: int = 5, count: int = 10_000, processes: int = PROCESSES) -> None:
    """Print the table."""
    found = measured(rounds, count, processes)
    print(f"{'':44}{'p50 µs':>10}{'p99 µs':>10}{'p99.9 µs':>10}{'p99 to raw':>12}")
    for (setting, contender), quantiles in found.items():
        ratio = quantiles[1] / found[setting, RAW][1]
        line = "".join(f"{value:10.1f}" for value in quantiles)
        shown = f"in {processes} processes" if setting == MANY else setting
        print(f"{shown + ', ' + contender:44}{line}{ratio:12.2f}")


def _apart(contender: str, setting: str, count: str, ledger: str) -> None:
    times = measure(contender, setting, int(count), Path(ledger))
    print(*(times[min(int(len(times) * share), len(times) - 1)] / 1000 for share in SHARES))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--apart"]:
        _apart(*sys.argv[2:])
    else:
        main(*map(int, sys.argv[1:]))
