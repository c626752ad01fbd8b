"""pytest fixtures of jobspan; pytest finds them where jobspan is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from jobspan.testing.airtable import AirtableServer
    from jobspan.testing.captured import CapturedJobs


@pytest.fixture
def airtable_server(request: pytest.FixtureRequest) -> Iterator[AirtableServer]:
    """Give a strict Airtable server on loopback with jobspan's two tables, a new one per test.

    ``@pytest.mark.parametrize("airtable_server", [{"missing": ["Error"]}], indirect=True)`` passes
    options to `AirtableServer`.
    """
    from jobspan.testing.airtable import AirtableServer

    with AirtableServer(**getattr(request, "param", {})) as server:
        yield server


@pytest.fixture
def capjobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CapturedJobs]:
    """Record the test's jobs in a ledger of its own, offline and strictly, under a clock that stands still.

    ``.jobs`` and ``.client_runs`` are the records so far, ``.airtable`` the rows Airtable would show,
    ``.clock.advance(seconds)`` lets time pass. What the test or its code configures itself still uses
    this ledger, unless it names another; ``jobspan.configure(mode="online", airtable={...})`` delivers,
    say to `airtable_server`. The clock is that of all records, and of how long rows are held back after a
    connection broke or a 429: advance it to have them sent. Time-outs are measured by another one, which
    goes on.
    """
    from jobspan.testing.captured import capturing

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOBSPAN_LEDGER", str(tmp_path_factory.mktemp("jobspan") / "ledger.db"))
        patch.setenv("JOBSPAN_MODE", "offline")
        patch.setenv("JOBSPAN_STRICT", "1")
        patch.setenv("JOBSPAN_EXIT_FLUSH", "0")
        with capturing() as captured:
            yield captured
