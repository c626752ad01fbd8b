"""A row that is refused whatever is left out of it costs few requests, and none of the other rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import jobspan
from jobspan import _runtime
from jobspan.testing.airtable import AirtableServer
from tests.airtable.bending import Answer, Gateway, gateway
from tests.relay.conftest import Deliver
from tests.relay.support import CLIENT_RUNS, JOBS, rows, settings

REFUSED = b'{"error": {"type": "INVALID_REQUEST_UNKNOWN", "message": "Invalid request"}}'


def ten(poisoned: int) -> str:
    """Run a job over ten clients, one of them the poison; return its run id."""
    with jobspan.job("ten") as job:
        for number in range(10):
            with job.client("poison" if number == poisoned else f"client-{number}") as run:
                run.add(posts=number)
    return job.run_id


@contextmanager
def refusing(deliver: Deliver, status: int, what: bytes) -> Iterator[tuple[AirtableServer, Gateway]]:
    """Deliver by way of a gateway that refuses requests which hold these bytes."""
    server = deliver()

    def refuse(answer: Answer) -> Answer:
        return Answer(status, {"Content-Type": "application/json"}, REFUSED)

    with gateway(server, refuse, refuses=what) as bent:
        ledger, airtable = _runtime.runtime().settings.ledger, settings(server, endpoint_url=bent.url)
        jobspan.configure(ledger=ledger, strict=True, airtable=airtable)
        yield server, bent


def shown(server: AirtableServer) -> dict[object, object]:
    """Return the posts by client; of a row without Client ID the client is None."""
    return {row.get("Client ID"): row["Posts Processed"] for row in rows(server, CLIENT_RUNS)}


@pytest.mark.parametrize(
    ("status", "poisoned"),
    [(422, 6), *(pytest.param(*each, marks=pytest.mark.slow) for each in ((422, 0), (422, 9), (413, 4)))],
)
def test_a_row_refused_whatever_it_shows_is_found_in_nine_requests_and_parked(
    deliver: Deliver, status: int, poisoned: int
) -> None:
    with refusing(deliver, status, b'-poison"') as (server, bent):  # its run id
        ten(poisoned)
        assert not jobspan.flush(20), "one row was not delivered"
        assert shown(server) == {f"client-{n}": n for n in range(10) if n != poisoned}
        assert [row["Status"] for row in rows(server, JOBS)] == ["Completed"]
        relay = _runtime.runtime().deliveries.relay
        assert relay is not None
        assert (relay.outbox.waiting().rows, relay.outbox.waiting().parked) == (1, 1)
        assert str(status) in str(relay.outbox.last_trouble())
        sizes = [size for size in bent.sizes[bent.sizes.index(10) :] if size]
        print(f"rows in each upsert: {sizes}")
        sizes.remove(1)  # the job's end
        found = max(place for place, size in enumerate(sizes) if size > 1) + 1
        assert len(sizes[:found]) + 2 <= 10, "ten, halves, and the two of the last pair"
        assert len(sizes) <= 9 + 1 + 10, "the rest looks by halves for a cell to blame, in vain"
        made = len(bent.sizes)
        assert not jobspan.flush(2)
        assert len(bent.sizes) <= made + 1, "it is not tried again before something changes"


@pytest.mark.slow
def test_a_row_refused_for_a_cell_arrives_without_it(deliver: Deliver) -> None:
    with refusing(deliver, 422, b'"poison"') as (server, bent):  # its client id
        ten(6)
        assert jobspan.flush(20)
        assert shown(server) == {(f"client-{n}" if n != 6 else None): n for n in range(10)}
        sizes = [size for size in bent.sizes[bent.sizes.index(10) :] if size]
        print(f"rows in each upsert: {sizes}")
        assert len(sizes) <= 9 + 1 + 6, "nine find the row, the halves of its cells the rest"


def test_a_row_too_large_by_itself_arrives_without_the_cell_to_blame(deliver: Deliver) -> None:
    server = deliver(max_body_bytes=3_000)
    with jobspan.job("large") as job:
        with job.client("large") as run:
            run.add(posts=3)
            for number in range(60):
                run.note(f"page {number} was looked at, and is long to tell of " + "x" * 60)
        for number in range(3):
            with job.client(f"small-{number}") as run:
                run.add(posts=number)
    jobspan.flush(20)
    there = {row["Client ID"]: row["Posts Processed"] for row in rows(server, CLIENT_RUNS)}
    assert there == {"large": 3, "small-0": 0, "small-1": 1, "small-2": 2}
