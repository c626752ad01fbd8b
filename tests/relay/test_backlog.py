"""A large backlog: memory stays flat, every row arrives, and a restart goes on where it was."""

from __future__ import annotations

import threading
from dataclasses import replace

import psutil
import pytest

import jobspan
from jobspan import _runtime
from jobspan.ledger.assigning import assign
from tests.relay.conftest import Deliver
from tests.relay.support import CLIENT_RUNS, SWIFT, assert_equal_to_ledger, batch, kinds, settings


@pytest.mark.parametrize("count", [600, pytest.param(10_000, marks=pytest.mark.slow)])
def test_memory_stays_flat_with_a_large_backlog(deliver: Deliver, count: int) -> None:
    server = deliver(timing=replace(SWIFT, spacing=0.0), rate_limit=None, user_rate_limit=None)
    own = _runtime.runtime()
    home = own.settings.ledger
    jobspan.configure(ledger=home, strict=True, mode="offline")
    batch(count)
    assert jobspan.flush(60)
    jobspan.configure(ledger=home, strict=True, airtable=settings(server))
    batch(1)
    assert jobspan.flush(30)
    server.forget_requests()
    own = _runtime.runtime()
    assert own.deliveries.airtable is not None
    before = psutil.Process().memory_info().rss
    peak = [before]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            # the server keeps each request it saw: that is not the relay's
            server.forget_requests()
            peak[0] = max(peak[0], psutil.Process().memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert assign(own.ledger, own.deliveries.airtable.destination) == 1
    relay = own.deliveries.relay
    assert relay is not None
    assert relay.flush(100)
    done.set()
    watcher.join()
    assert len(server.rows(CLIENT_RUNS)) == count + 1
    grown = (peak[0] - before) / 2**20
    print(f"{count} rows: {grown:.1f} MiB more")
    assert grown < 12 + count * 0.008, "the rows themselves lie in the server, in this process"
    assert_equal_to_ledger(server)


def test_a_restart_sends_only_what_is_left(deliver: Deliver) -> None:
    server = deliver()
    batch(20)
    assert jobspan.flush(15)
    server.forget_requests()
    jobspan.configure(ledger=_runtime.runtime().settings.ledger, strict=True, airtable=settings(server))
    assert jobspan.flush(5)
    assert kinds(server)["upsert"] == 0


def test_a_rebuild_projects_everything_anew_onto_the_same_rows(deliver: Deliver) -> None:
    server = deliver()
    batch(12)
    assert jobspan.flush(15)
    before = {row["id"] for row in server.rows(CLIENT_RUNS)}
    server.person.edit(CLIENT_RUNS, next(iter(before)), {"Posts Processed": 999})
    relay = _runtime.runtime().deliveries.relay
    assert relay is not None
    relay.outbox.start_over()
    assert jobspan.flush(15)
    assert {row["id"] for row in server.rows(CLIENT_RUNS)} == before
    assert_equal_to_ledger(server)
