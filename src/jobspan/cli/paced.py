"""Requests of commands to the base: paced like the relay's, and never beside a relay of this ledger."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from jobspan import _clock
from jobspan.airtable.client import AirtableClient
from jobspan.cli.delivering import Delivering
from jobspan.exceptions import DeliveryError
from jobspan.relay.lease import HeldLease
from jobspan.relay.pace import Pace, Timing, jittered

T = TypeVar("T")
Json = dict[str, Any]

_LEASE_SECONDS = 2.0
_BESIDE_A_RELAY = 1.25
"""Seconds between requests while a relay makes its four a second: five are allowed."""
_ATTEMPTS = 3
MOST_ROWS = 10


class PacedBase:
    """Makes the requests of one command, at most four a second.

    Args:
        place: Which base.
        client: Speaks to it.
        lease: Keeps relays of this ledger from sending meanwhile.
        pace: Spaces the requests of the client.
    """

    def __init__(self, place: Delivering, client: AirtableClient, lease: HeldLease, pace: Pace) -> None:
        self._client = client
        self._outbox = place.outbox
        self._lease = lease
        self._pace = pace

    def ask(self, send: Callable[[AirtableClient], T]) -> T:
        """Make a request; wait and repeat it where the base only wants to be left alone for a moment.

        Raises:
            DeliveryError: It failed.
        """
        for attempt in range(_ATTEMPTS):
            self._wait()
            self._outbox.count_calls(1)
            try:
                return send(self._client)
            except DeliveryError as error:
                if error.status != 429 or "BILLING" in error.type or attempt == _ATTEMPTS - 1:
                    raise
                self._outbox.block(jittered(error.retry_after or Timing().penalty), str(error))
        raise AssertionError("every attempt returns or raises")

    def _wait(self) -> None:
        blocked_ns, _ = self._outbox.blocked()
        left = min((blocked_ns - _clock.now_ns()) / 1e9, 2 * Timing().penalty)
        if left > 0:
            _sleep(left)
        self._pace.wait(_sleep)
        self._lease.take()

    def rows(self, table: str, fields: Sequence[str]) -> Iterator[Json]:
        """Yield all rows of a table, 100 a request.

        Raises:
            DeliveryError: A request failed.
        """
        offset: str | None = None
        while True:
            records, offset = self._page(table, fields, offset)
            yield from records
            if not offset:
                return

    def _page(self, table: str, fields: Sequence[str], offset: str | None) -> tuple[list[Json], str | None]:
        return self.ask(lambda client: client.page(table, fields, offset))

    def delete(self, table: str, record_ids: Sequence[str]) -> None:
        """Delete at most ten rows.

        Raises:
            DeliveryError: It failed.
        """
        self.ask(lambda client: client.delete(table, record_ids))

    def put(self, table: str, records: Sequence[Json], key: str) -> None:
        """Change at most ten rows, each named by its id.

        Raises:
            DeliveryError: It failed.
        """
        self.ask(lambda client: client.upsert(table, records, [key], by_id=True))


@contextmanager
def paced_base(place: Delivering) -> Generator[PacedBase]:
    """Give a base to make requests to; relays of this ledger wait meanwhile."""
    settings = place.airtable
    assert settings.api_key is not None
    holder = f"command-{os.urandom(8).hex()}"
    lease = HeldLease(place.ledger, place.outbox.destination, holder, Timing())
    pace = Pace(Timing(), lease.rested) if _has(lease) else Pace(Timing(spacing=_BESIDE_A_RELAY))
    client = AirtableClient(
        settings.api_key,
        settings.base_id,
        settings.endpoint_url,
        settings.read_timeout,
        gate=pace,
    )
    try:
        yield PacedBase(place, client, lease, pace)
    finally:
        lease.give_back()
        client.close()


def _has(lease: HeldLease) -> bool:
    until = _clock.monotonic() + _LEASE_SECONDS
    while not lease.take():
        if _clock.monotonic() >= until:
            return False
        _sleep(0.1)
    return True


def _sleep(seconds: float) -> bool:
    _clock.sleep(seconds)
    return False
