"""An exit is never held up for longer than `exit_flush`, whatever there is still to do."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.process import PRELUDE, environment, jobs, run
from tests.program import run_python

HANGING = """
from opentelemetry.sdk.trace.export import SpanExporter
class Hanging(SpanExporter):
    def export(self, spans): time.sleep(60)
    def shutdown(self): time.sleep(60)
    def force_flush(self, timeout_millis=0): time.sleep(60)
jobspan.configure(exporters=[Hanging()], exit_flush=0.5)
with job("a"): pass
say(time.time())
"""

BACKLOG = """
jobspan.configure(exit_flush=0.5)
runtime().keeper.stop()
with job("a") as j:
    for n in range(50000): j.add(leads=1); j.note("x")
say(time.time())
"""


def test_a_hanging_exporter_does_not_hold_up_the_exit(ledger: Path) -> None:
    (ended,) = run(ledger, HANGING)
    assert time.time() - float(ended) < 2.5


def test_a_hundred_thousand_unfolded_events_do_not_hold_up_the_exit(ledger: Path) -> None:
    (ended,) = run(ledger, BACKLOG)
    assert time.time() - float(ended) < 2.5
    assert jobs(ledger)[0]["status"] == "Completed"


INTERRUPTED = """
try:
    with job("a") as j:
        j.add(leads=1)
        os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    if {is_caught}: sys.exit(3)
    raise
"""


@pytest.mark.parametrize(("is_caught", "code"), [(False, -signal.SIGINT), (True, 3)])
def test_what_is_loaded_at_the_exit_leaves_a_process_dying_of_ctrl_c(
    ledger: Path, is_caught: bool, code: int
) -> None:
    text = PRELUDE + INTERRUPTED.format(is_caught=is_caught)
    done = subprocess.run(
        [sys.executable, "-c", text], env=environment(ledger), capture_output=True, timeout=60
    )
    assert done.returncode == code, done.stderr
    assert jobs(ledger)[0]["status"] == "Canceled"


def test_a_child_forked_by_c_code_leaves_the_open_ledger_alone(ledger: Path) -> None:
    code = """
with job("parent") as j:
    jobspan.flush()
    with runtime().reading(): pass
    child = ctypes.PyDLL(None).fork()
    if child == 0:
        with j.client("in the child") as c: c.add(leads=2)
        jobspan.configure(strict=False)
        assert jobspan.flush(0.5) is False
        assert "forked by C code" in (jobspan.health().last_error or ""), jobspan.health()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""
    run(ledger, code)
    (one,) = jobs(ledger)
    assert one["status"] == "Completed"
    assert one["client_runs"][0]["leads_processed"] == 2


def test_pools_record_what_their_workers_do(ledger: Path) -> None:
    code = """
import multiprocessing
from math import sqrt
def work(n):
    with client_run(f"c{n}") as run: run.add(leads=n)
with multiprocessing.get_context("fork").Pool(2) as pool:
    with job("parent") as j: pool.map(work, range(20))
    pool.close()
    pool.join()
"""
    run(ledger, code)
    found = [run for one in jobs(ledger) for run in one["client_runs"]]
    assert sorted(run["leads_processed"] for run in found) == list(range(20))


def test_a_provisional_id_is_replaced_and_stays_an_alias(ledger: Path) -> None:
    code = """
from jobspan.journal.claim import RunIdClaims
claim, RunIdClaims.claim = RunIdClaims.claim, lambda *_: None
runtime().keeper.stop()
with job("a") as j: say(j.run_id)
RunIdClaims.claim = claim
assert jobspan.flush()
with runtime().reading() as reader: say(reader.job(j.run_id).run_id)
"""
    provisional, claimed = run(ledger, code)
    assert provisional[13] == "~"
    assert claimed == provisional[:13]
    assert [one["run_id"] for one in jobs(ledger)] == [claimed]


PENDING = """
import sys, time
import jobspan, jobspan.airtable.destination, jobspan.ledger.folder, jobspan.relay.worker
url, flush, clients = sys.argv[1:]
airtable = {"endpoint_url": url, "api_key": "pat" + "x" * 14 + "." + "0" * 64, "base_id": "app" + "x" * 14}
jobspan.configure(mode="online", strict=False, exit_flush=float(flush), airtable=airtable)
if int(clients):
    with jobspan.job("exit") as job:
        for number in range(int(clients)):
            with job.client(f"client-{number}") as run: run.add(leads=1)
print(time.time(), flush=True)
"""


def seconds_to_exit(home: Path, url: str, exit_flush: float, clients: int) -> float:
    """Return the seconds from the last line of a program until its process is gone."""
    done = run_python(["-c", PENDING, url, str(exit_flush), str(clients)], home)
    return time.time() - float(done.stdout)


@pytest.mark.parametrize("exit_flush", [0.0, 2.0])
@pytest.mark.parametrize("listens", [True, False], ids=["silent", "refusing"])
def test_a_thousand_pending_rows_do_not_hold_up_the_exit(
    tmp_path: Path, listens: bool, exit_flush: float
) -> None:
    """Beside the exit of a process that loaded the same and has nothing to do; one of three must do."""
    most = exit_flush + 0.15
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        if listens:
            place.listen(64)
        url = f"http://127.0.0.1:{place.getsockname()[1]}"
        longer: list[float] = []
        for number in range(3):
            home = tmp_path / str(number)
            home.mkdir()
            idle = seconds_to_exit(home, url, exit_flush, 0)
            longer.append(seconds_to_exit(home, url, exit_flush, 999) - idle)
            if longer[-1] <= most:
                break
    assert longer[-1] <= most, f"{longer} s longer, at most {most} allowed"
