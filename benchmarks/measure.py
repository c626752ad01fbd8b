"""Medians of alternating rounds, so that what else the machine does falls on every case alike."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

WARM_UP = 3


@dataclass(frozen=True)
class Timing:
    """The rounds of one case, in whatever unit its measure returned."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def best(self) -> float:
        return min(self.rounds)


def interleaved(
    cases: Mapping[str, Callable[[], float]], rounds: int, warm_up: int = WARM_UP
) -> dict[str, Timing]:
    """Measure each case once per round, in turn, and return all but the first rounds, which warm up."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for round_number in range(rounds + warm_up):
        for name, measure in cases.items():
            took = measure()
            if round_number >= warm_up:
                times[name].append(took)
    return {name: Timing(tuple(values)) for name, values in times.items()}


@contextmanager
def busy_thread() -> Iterator[None]:
    """Have another Python thread compute without a pause."""
    stopped = threading.Event()

    def compute() -> None:
        while not stopped.is_set():
            sum(range(200))

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
