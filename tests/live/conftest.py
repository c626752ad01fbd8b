"""A provider for each test; no library here looks for anything outside this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.live.server import Provider, provider

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"


@pytest.fixture
def server() -> Iterator[Provider]:
    with provider() as made:
        yield made
