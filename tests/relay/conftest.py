"""Fixtures of the trials: a server, and a jobspan that delivers to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import jobspan
from jobspan import _delivery, _runtime
from jobspan._guard import guard
from jobspan.testing.airtable import AirtableServer
from tests.relay.support import SWIFT, settings

Deliver = Callable[..., AirtableServer]


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Path]:
    """Give a home for a ledger; put the runtime back as it was."""
    before, _runtime._runtime = _runtime._runtime, None
    timing = _delivery.TIMING
    guard.reset()
    yield tmp_path
    jobspan.shutdown(0)
    _runtime._runtime, _delivery.TIMING = before, timing
    guard.strict = False
    guard.reset()


@pytest.fixture
def deliver(fresh: Path) -> Iterator[Deliver]:
    """Start a strict server and configure jobspan to deliver to it; returns the server."""
    started: list[AirtableServer] = []

    def start(
        *,
        timing: Any = SWIFT,
        airtable: dict[str, Any] | None = None,
        ledger: str = "ledger.db",
        **server: Any,
    ) -> AirtableServer:
        made = AirtableServer(**{"lockout_seconds": 1.5, **server}).start()
        started.append(made)
        _delivery.TIMING = timing
        jobspan.configure(ledger=fresh / ledger, strict=True, airtable=settings(made, **(airtable or {})))
        return made

    yield start
    jobspan.shutdown(0)
    for server in started:
        server.stop()
