"""The cells of the matrix: each opens what it is told to, records, and ends there as it is told to.

``python -m tests.life.cell DEATH …`` runs a cell for each death and subject, each in a process of its own.
When all have ended it prints one line, ``{"<death>/<subject>": [exit code, when, in seconds since 1970]}``;
told to go on, it delivers what the detached runs wait for.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import jobspan

SUBJECTS = ("job", "client run", "operation", "detached")


def blocks_of(cell: str) -> list[Any]:
    """Return the blocks to enter in a cell, the outermost first."""
    subject = cell.partition("/")[2]
    blocks = [jobspan.job(cell), jobspan.client_run("Guy-Wilson"), jobspan.operation("scoring")]
    return blocks[: {"job": 1, "operation": 3}.get(subject, 2)]


def record(run: Any, cell: str) -> Any:
    """Record three leads in the run that was opened, and let go of it if it is to be detached."""
    run.add(leads=3)
    if cell.endswith("/detached"):
        run.detach(external_id=cell, deadline="45m")
    return run


def add_two(run: Any) -> None:
    """Record two more leads, in whatever process or thread this is called."""
    run.add(leads=2)


def end_by(number: int) -> None:
    """Send this process a signal and wait for what it does."""
    os.kill(os.getpid(), number)
    time.sleep(30)


def handled() -> None:
    """Have jobspan handle SIGTERM, and send it."""
    jobspan.configure(handle_signals=True)
    end_by(signal.SIGTERM)


def handled_by_user(code: int, then: Callable[[], None] = lambda: end_by(signal.SIGTERM)) -> None:
    """Have a handler of the user's raise SystemExit at SIGTERM, and send it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(code))
    then()


def fork(run: Any, end: Callable[[], Any]) -> None:
    """Record in a forked child, which then ends in the middle of the inherited blocks."""
    pid = os.fork()
    if pid == 0:
        add_two(run)
        end()
    os.waitpid(pid, 0)


def spawn(run: Any) -> None:
    """Record in a spawned child, which is given the handle."""
    child = multiprocessing.get_context("spawn").Process(target=add_two, args=(run,))
    child.start()
    child.join(60)
    assert child.exitcode == 0


def pool(run: Any) -> None:
    """Record in threads that know the run by its handle, and by the context carried to them."""
    with ThreadPoolExecutor(2) as threads:
        threads.submit(run.add, leads=1).result()
        threads.submit(jobspan.wrap(lambda: jobspan.current_run().add(leads=1))).result()


def fail() -> None:
    """Raise what business code raises."""
    raise ValueError("bad profile")


DEATHS: dict[str, Callable[[Any], Any]] = {
    "normal": lambda _: None,
    "raise": lambda _: fail(),
    "sys.exit(0)": lambda _: sys.exit(0),
    "sys.exit(1)": lambda _: sys.exit(1),
    "sys.exit(text)": lambda _: sys.exit("text"),
    "os._exit(7)": lambda _: os._exit(7),
    "SIGINT": lambda _: end_by(signal.SIGINT),
    "SIGTERM": lambda _: end_by(signal.SIGTERM),
    "SIGTERM, handle_signals": lambda _: handled(),
    "SIGTERM, a handler exits 0": lambda _: handled_by_user(0),
    "SIGTERM, a handler exits 143": lambda _: handled_by_user(143),
    "SIGTERM, handle_signals and a handler exits 0": lambda _: handled_by_user(0, handled),
    "SIGKILL": lambda _: end_by(signal.SIGKILL),
    "fork, the child raises": lambda run: fork(run, fail),
    "fork, the child exits": lambda run: fork(run, lambda: sys.exit(3)),
    "fork, the child is killed": lambda run: fork(run, lambda: end_by(signal.SIGKILL)),
    "spawn": spawn,
    "thread pool": pool,
}
"""What happens in the innermost block."""


def die_in_blocks(death: str, cell: str) -> None:
    """Enter the blocks and end inside them."""
    with ExitStack() as blocks:
        for block in blocks_of(cell):
            run = blocks.enter_context(block)
        DEATHS[death](record(run, cell))


async def wait_in_blocks(cell: str, inside: asyncio.Event) -> None:
    """Enter the blocks and wait inside them."""
    async with AsyncExitStack() as blocks:
        for block in blocks_of(cell):
            run = await blocks.enter_async_context(block)
        record(run, cell)
        inside.set()
        await asyncio.sleep(30)


async def cancel(cell: str) -> None:
    """Cancel a task from outside while it waits in its blocks."""
    inside = asyncio.Event()
    task = asyncio.create_task(wait_in_blocks(cell, inside))
    await inside.wait()
    task.cancel()
    await asyncio.wait([task])


def leads(cell: str) -> Generator[int]:
    """Yield inside the blocks."""
    with ExitStack() as blocks:
        for block in blocks_of(cell):
            run = blocks.enter_context(block)
        record(run, cell)
        yield from range(5)


def drop(cell: str) -> None:
    """Take one item of a generator and let it go."""
    for _ in leads(cell):
        break


def keep(cell: str) -> None:
    """Take one item of a generator that is never finished, and end without any cleaning up."""
    generator = leads(cell)
    next(generator)
    os._exit(0)


WAYS: dict[str, Callable[[str], Any]] = {
    "asyncio cancel": lambda cell: asyncio.run(cancel(cell)),
    "generator dropped": drop,
    "generator never finished": keep,
}


def run_cell(death: str, cell: str) -> None:
    """Run one cell in this process, to the end of its blocks or of itself."""
    os.close(0)
    os.dup2(2, 1)
    if death in WAYS:
        WAYS[death](cell)
    else:
        die_in_blocks(death, cell)


def main(deaths: list[str]) -> None:
    """Fork a process for each cell, tell how they ended, and deliver when told to."""
    how: dict[str, tuple[int, float]] = {}
    for death in deaths:
        children: dict[int, str] = {}
        for cell in (f"{death}/{subject}" for subject in SUBJECTS):
            pid = os.fork()
            if pid == 0:
                return run_cell(death, cell)
            children[pid] = cell
        while children:
            pid, status = os.wait()
            how[children.pop(pid)] = os.waitstatus_to_exitcode(status), time.time()
    print(json.dumps(how), flush=True)
    sys.stdin.readline()
    for death in deaths:
        with jobspan.attach(external_id=f"{death}/detached") as run:
            run.add(leads=4)
    return None


if __name__ == "__main__":
    main(sys.argv[1:])
