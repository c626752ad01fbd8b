"""The promises at their real times: nothing is compressed. The short forms stand in the other modules."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

import jobspan
from jobspan.relay.pace import Timing
from jobspan.testing.airtable import AirtableServer
from tests.program import stop
from tests.relay.conftest import Deliver
from tests.relay.support import (
    CLIENT_RUNS,
    JOBS,
    assert_equal_to_ledger,
    fence_of,
    settings,
    wait_until,
)
from tests.relay.test_processes import program

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SENDER = """
import time, jobspan
with jobspan.job("sender") as job:
    for number in range(400):
        with job.client(f"client-{number}") as run:
            run.add(posts=number)
            time.sleep(0.1)
"""


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_a_sender_that_is_gone_is_relieved_within_15_s(fresh: Path, blow: signal.Signals) -> None:
    with AirtableServer() as server:
        process = program(server, fresh, code=SENDER)
        try:
            wait_until(lambda: len(server.rows(CLIENT_RUNS)) >= 10, 60)
            if blow == signal.SIGSTOP:
                stop(process.pid, fresh / "ledger.db")
            else:
                process.send_signal(blow)
            gone_at = time.monotonic()
            time.sleep(0.5)  # what had left may arrive
            before = len(server.requests)
            jobspan.configure(ledger=fresh / "ledger.db", strict=True, airtable=settings(server))
            fence = fence_of(server)
            with jobspan.job("relief") as job, job.client("A"):
                pass
            wait_until(lambda: fence_of(server) > fence, 60)
            relieved_after = time.monotonic() - gone_at
            wait_until(lambda: any(row["Client ID"] == "A" for row in server.rows(CLIENT_RUNS)), 60)
            first_after = server.requests[before].at - gone_at
            print(
                f"relieved {relieved_after:.1f} s after {blow.name}, first request after {first_after:.1f} s"
            )
            assert 9.0 < relieved_after < 15.0 + 0.5, "a lease of 15 s, renewed each 5 s"
        finally:
            process.send_signal(signal.SIGCONT)
            if blow == signal.SIGSTOP:
                process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
        wait_until(
            lambda: all(
                row["Status"] != "Running" for table in (JOBS, CLIENT_RUNS) for row in server.rows(table)
            ),
            120,
        )
        assert jobspan.flush(60)
        assert server.rate_limited == 0
        assert server.busiest_second <= 5
        assert_equal_to_ledger(server)


def test_a_cancel_in_airtable_is_seen_at_the_next_poll(deliver: Deliver) -> None:
    server = deliver(timing=Timing(), airtable={"cancel_poll": True})
    edited_at = [0.0]

    def work() -> None:
        with jobspan.job("long") as job:
            wait_until(lambda: bool(server.rows(JOBS)), 20)
            time.sleep(3)
            server.person.edit(JOBS, job.run_id, {"Status": "Canceled"})
            edited_at[0] = time.monotonic()
            while time.monotonic() - edited_at[0] < 40:
                job.checkpoint()
                time.sleep(0.05)

    with pytest.raises(jobspan.RunCanceled):
        work()
    waited = time.monotonic() - edited_at[0]
    print(f"canceled {waited:.1f} s after the edit")
    assert waited < 15.0 + 3.0, "a poll each 15 s, and a second to reach the work"
    assert jobspan.flush(20)
    assert server.rows(JOBS)[0]["Status"] == "Canceled"
