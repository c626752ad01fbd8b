"""What one journal event costs, mapped beside `os.write`, in the same run.

Three settings: alone; beside one CPU-bound Python thread; in eight processes at once. Each gives the
time of `JournalWriter.append` (encoding included) in µs at the median, 99 % and 99.9 %, as medians of
alternating rounds. Events come with a pause between them, as from a program that works in between.
``python benchmarks/journal.py [rounds]``; run it where the ledger would lie, not on a memory disk.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from measure import busy_thread

from jobspan.journal import JournalWriter, Place, mapping

KINDS = ("os.write", "mapped")
PROCESSES = 8
PAUSE_SECONDS = 20e-6
EVENT = '{"e": "add", "run": "0123456789abcdef", "t": 1750000000000000000, "text": "' + "x" * 140 + '"}'
Quantiles = tuple[float, float, float]


def open_journal(folder: Path, kind: str) -> JournalWriter:
    """Return a journal of `kind` below `folder`."""
    safe = mapping.is_safe
    journal = JournalWriter(Place(folder / f"{kind}.db"), lambda: "{}")
    try:
        if kind != "mapped":
            mapping.is_safe = lambda folder: False
        journal.append(EVENT)
    finally:
        mapping.is_safe = safe
    return journal


def append_times(journal: JournalWriter, count: int, pause_seconds: float = 0.0) -> Quantiles:
    """Return the quantiles of `count` appends in µs."""
    append, clock = journal.append, time.perf_counter_ns
    times: list[int] = []
    pause_ns = int(pause_seconds * 1e9)
    for _ in range(count):
        start = clock()
        append(EVENT)
        end = clock()
        times.append(end - start)
        while clock() - end < pause_ns:
            pass
    times.sort()
    p50, p99, p999 = (times[min(int(count * share), count - 1)] / 1000 for share in (0.5, 0.99, 0.999))
    return p50, p99, p999


def beside_a_busy_thread(journal: JournalWriter, count: int) -> Quantiles:
    """Measure while another Python thread computes without a pause."""
    with busy_thread():
        return append_times(journal, count, PAUSE_SECONDS)


def in_eight_processes(folder: Path, kind: str, count: int) -> Quantiles:
    """Measure in eight processes that start together on one ledger; the worst process counts."""
    command = [sys.executable, __file__, "--process", str(folder), kind, str(count)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    found: list[Quantiles] = []
    for process in processes:
        output, _ = process.communicate(timeout=60)
        p50, p99, p999 = (float(word) for word in output.split())
        found.append((p50, p99, p999))
    return max(found, key=lambda quantiles: quantiles[2])


def measured(folder: Path, rounds: int, count: int) -> dict[tuple[str, str], Quantiles]:
    """Return (setting, kind) -> quantiles, from rounds that alternate between the kinds."""
    found: dict[tuple[str, str], list[Quantiles]] = {}
    settings: dict[str, Callable[[JournalWriter], Quantiles]] = {
        "alone": lambda journal: append_times(journal, count, PAUSE_SECONDS),
        "alone, without a pause": lambda journal: append_times(journal, count),
        "beside a busy thread": lambda journal: beside_a_busy_thread(journal, max(count // 10, 100)),
    }
    journals = {kind: open_journal(folder, kind) for kind in KINDS}
    for _ in range(rounds):
        for setting, measure in settings.items():
            for kind in KINDS:
                found.setdefault((setting, kind), []).append(measure(journals[kind]))
    for journal in journals.values():
        journal.close()
    for _ in range(max(rounds // 5, 1)):
        for kind in KINDS:
            quantiles = in_eight_processes(folder, kind, count)
            found.setdefault(("in eight processes", kind), []).append(quantiles)
    return {case: _median(quantiles) for case, quantiles in found.items()}


def _median(found: list[Quantiles]) -> Quantiles:
    p50, p99, p999 = (statistics.median(column) for column in zip(*found, strict=True))
    return p50, p99, p999


def main(rounds: int = 10, count: int = 10_000) -> dict[tuple[str, str], Quantiles]:
    """Print the table; return (setting, kind) -> (p50, p99, p99.9) in µs."""
    with tempfile.TemporaryDirectory() as folder:
        if not mapping.is_safe(Path(folder)):
            print("files are not mapped in this directory: both kinds are os.write")
        found = measured(Path(folder), rounds, count)
    print(f"{'µs per event':36}{'p50':>10}{'p99':>10}{'p99.9':>10}")
    for (setting, kind), quantiles in found.items():
        print(f"{setting + ', ' + kind:36}" + "".join(f"{value:10.2f}" for value in quantiles))
    return found


def _process(folder: str, kind: str, count: str) -> None:
    journal = open_journal(Path(folder), kind)
    append_times(journal, int(count) // 10)
    print(*append_times(journal, int(count), PAUSE_SECONDS))
    journal.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--process"]:
        _process(*sys.argv[2:])
    else:
        main(*(int(argument) for argument in sys.argv[1:2]))
