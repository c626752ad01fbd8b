"""Runs one contender in an interpreter of its own: ``child.py NAME MODE [BACKEND|-] [MARK]``.

Started by run.py, in an empty working directory that is also the home. It speaks JSON lines over what was
its standard output; whatever the contender prints goes to standard error.

Modes:
    block: times blocks on request: a line ``block`` or ``decorated`` is answered by the µs of one.
    exit: says so, does ten units of work, and returns; the runner sees how long the process lives.
    kill: does one unit of tracked work and kills itself by SIGKILL on the next line.
    found: tells whether the local store has the unit `MARK` whole.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import loopback_only
from contenders import CONTENDERS, Units

PENDING = 10
ROUND_US = 15_000  # a round is about so long, that of a slow contender is one block
MOST_BLOCKS = 500


def timed(work: Callable[[], None], blocks: int) -> float:
    """Return microseconds per block."""
    start = time.perf_counter_ns()
    for _ in range(blocks):
        work()
    return (time.perf_counter_ns() - start) / blocks / 1000


def calibrated(work: Callable[[], None]) -> int:
    """Return how many blocks make a round."""
    timed(work, 2)
    return max(1, min(MOST_BLOCKS, int(ROUND_US / timed(work, 10))))


def block(units: Units, say: Callable[..., None]) -> None:
    forms: dict[str, Callable[[], None]] = {"block": lambda: units.block("x")}
    if units.decorated is not None:
        forms["decorated"] = units.decorated
    blocks = {name: calibrated(work) for name, work in forms.items()}
    say(blocks=blocks)
    for line in iter(sys.stdin.readline, ""):
        form = line.strip()
        say(us=timed(forms[form], blocks[form]))


def main(name: str, mode: str, backend: str = "-", mark: str = "x") -> None:
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def say(**what: Any) -> None:
        print(json.dumps(what), file=channel)

    loopback_only.install(Path.cwd())
    contender = CONTENDERS[name]
    if mode == "found":
        assert contender.found is not None
        say(found=contender.found(mark))
        return
    units = contender.setup(None if backend == "-" else backend)
    with units.around:
        if mode == "block":
            block(units, say)
        elif mode == "kill":
            units.block(mark)
            os.kill(os.getpid(), signal.SIGKILL)
        elif mode == "exit":
            say(working=True)
            for _ in range(PENDING):
                units.block(mark)


if __name__ == "__main__":
    main(*sys.argv[1:])
