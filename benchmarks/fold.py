"""How fast journals fold into the ledger, how large it gets, and how long it takes to answer.

The journal holds what ``with j.client(name) as run: run.add(leads=1)`` writes: three events a client run.
Beside it, in the same run and on the same data, the floor: JSON, CRC and three bare inserts. CPU time of
the process. ``python benchmarks/fold.py [client runs ...]``, say ``10000 100000 1000000``.
"""

from __future__ import annotations

import json
import random
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import Any

from jobspan.journal.frame import encode, scan
from jobspan.journal.place import Place
from jobspan.ledger.ledger import Ledger

START = 1_780_000_000_000_000_000
BASE = "airtable:appXXXXXXXXXXXXXX"
JOB = "7ac03745215adf93033f67bb"
_FLOOR_BATCH = 4_000


@dataclass
class Folding:
    """What folding some client runs took."""

    runs: int
    cpu_seconds: float
    bytes_per_run: float
    peak_mib: float
    queries_ms: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def rate(self) -> float:
        return self.runs / self.cpu_seconds


def events(runs: int, clients: int | None = None, to: str = "") -> Iterator[str]:
    """Yield the events of one job; `clients` fewer than `runs` come again and again. `to`: a destination."""
    first = random.Random(7).getrandbits(63)
    at = START
    process = {"e": "process", "process": "7ac03745e7554898", "pid": 1, "host": "bench"}
    yield json.dumps(process, separators=(",", ":"))
    lane = f'"lane":{140035395976064}'
    job = f'"kind":"j","job":"{JOB}","name":"bench","id":"260601-000000"'
    shown = f',"to":["{to}"]' if to else ""
    yield f'{{"w":"{JOB}","q":0,"t":{at},"e":"open",{lane},{job}{shown}}}'
    for number in range(runs):
        uid, client = f"7ac03745{first + number:016x}", f"client {number % (clients or runs)}"
        head = f'"w":"{uid}","q"'
        place = f'"parent":"{JOB}","kind":"c","job":"{JOB}","name":"{client}","client":"{client}"'
        yield f'{{{head}:0,"t":{at},"e":"open",{lane},{place}}}'
        yield f'{{{head}:1,"t":{at + 40_000},"e":"add","c":{{"leads":1}}}}'
        yield f'{{{head}:2,"t":{at + 50_000},"e":"close","how":"ok",{lane}}}'
        at += 60_000
    yield f'{{"w":"{JOB}","q":1,"t":{at},"e":"close","how":"ok",{lane}}}'


def write_journal(ledger: Path, payloads: Iterator[str]) -> Path:
    """Write the journal of a process that has ended, where the ledger at `ledger` finds it."""
    place = Place(ledger)
    place.prepare()
    path = place.journal / "1-1780000000000000000-0badcafe-000001.j"
    with path.open("wb") as file:
        for payload in payloads:
            file.write(encode(payload))
    return path


def fold(folder: Path, runs: int, clients: int | None = None, to: str = "") -> Folding:
    """Fold the client runs of one job into a new ledger, and ask it what people ask."""
    path = folder / f"ledger-{runs}-{clients}-{len(to)}.db"
    write_journal(path, events(runs, clients, to))
    ledger = Ledger(path, lambda start_ns: None, UTC)
    start = time.process_time()
    assert ledger.fold(seconds=3600.0)
    took = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with ledger.reading() as reader:
        asked = _asked(reader)
    ledger.close()
    return Folding(runs, took, path.stat().st_size / runs, peak, asked)


def _asked(reader: object) -> dict[str, float]:
    from jobspan.ledger.reading import LedgerReader

    assert isinstance(reader, LedgerReader)
    cases = {
        "runs": lambda: list(reader.job_lines(20)),
        "show a client run": lambda: reader.client_run("260601-000000", "client 0"),
        "usage --by client": lambda: reader.usage("client"),
    }
    found: dict[str, float] = {}
    for name, ask in cases.items():
        start = time.perf_counter()
        assert ask() is not None
        found[name] = (time.perf_counter() - start) * 1000
    (line,) = reader.job_lines(20)
    assert sum(line.clients.values()) >= 1
    return found


def floor(folder: Path, runs: int) -> float:
    """Return client runs a second of JSON, CRC and three bare inserts of the same data."""
    path = folder / f"floor-{runs}-{time.monotonic_ns()}.db"
    data = write_journal(path, events(runs)).read_bytes()
    start = time.process_time()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE TABLE events (writer TEXT, seq INTEGER, at_ns INTEGER, data TEXT)")
    payloads = scan(data, sealed=True).payloads
    for first in range(0, len(payloads), _FLOOR_BATCH):
        rows: list[tuple[str | None, int | None, int | None, bytes]] = []
        for payload in payloads[first : first + _FLOOR_BATCH]:
            event = json.loads(payload)
            rows.append((event.get("w"), event.get("q"), event.get("t"), payload))
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
    connection.close()
    return runs / (time.process_time() - start)


def main(sizes: list[int]) -> None:
    """Print a line for each size; of the first also for one client that comes again, and with a base."""
    print(f"{'client runs':>16} {'a second':>9} {'µs':>6} {'of floor':>8} {'bytes':>6} {'peak MiB':>8}  ms")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for runs in sizes:
            cases: dict[str, dict[str, Any]] = {f"{runs:,}": {}}
            if runs == sizes[0]:
                cases |= {f"{runs:,} of 1": {"clients": 1}, f"{runs:,} to a base": {"to": BASE}}
            for what, case in cases.items():
                done = fold(folder, runs, **case)
                base = floor(folder, min(runs, 50_000))
                asked = ", ".join(f"{what} {ms:.1f}" for what, ms in done.queries_ms.items())
                print(
                    f"{what:>16} {done.rate:9,.0f} {1e6 / done.rate:6.1f} {done.rate / base:8.2f}"
                    f" {done.bytes_per_run:6.0f} {done.peak_mib:8.0f}  {asked}",
                    flush=True,
                )


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [10_000, 100_000])
