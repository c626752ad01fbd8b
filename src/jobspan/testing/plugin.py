"""pytest fixtures of jobspan; importing this module does nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from jobspan.testing.airtable import AirtableServer


@pytest.fixture
def airtable_server(request: pytest.FixtureRequest) -> Iterator[AirtableServer]:
    """Give a strict Airtable server on loopback with jobspan's two tables, a new one per test.

    ``@pytest.mark.parametrize("airtable_server", [{"missing": ["Error"]}], indirect=True)`` passes
    options to `AirtableServer`.
    """
    from jobspan.testing.airtable import AirtableServer

    with AirtableServer(**getattr(request, "param", {})) as server:
        yield server
