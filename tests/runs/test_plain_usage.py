"""Usage recorded by plain numbers takes a shorter road: what it writes is what the long one writes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import jobspan
from jobspan import client_run, job
from jobspan.runs import recorder
from tests.conftest import Fresh

NUMBERS = st.one_of(
    st.none(),
    st.integers(-2, 5000),
    st.just(2**53),
    st.just(2**53 + 1),
    st.booleans(),
    st.just(1.5),
    st.just("7"),
)
NAMES = st.one_of(st.none(), st.sampled_from(["", "gpt-4o-mini", 'a"b\n', "x" * 201, "sk-" + "a1B2" * 12]))
USAGE = st.fixed_dictionaries(
    {},
    optional={
        "input_tokens": NUMBERS,
        "output_tokens": NUMBERS,
        "cached_tokens": NUMBERS,
        "reasoning_tokens": NUMBERS,
        "model": NAMES,
        "provider": NAMES,
        "id": st.sampled_from([None, "r1"]),
        "cost_usd": st.sampled_from([None, "0.5"]),
    },
)


def written(usage: dict[str, Any], monkeypatch: pytest.MonkeyPatch, *, plain: bool) -> list[dict[str, Any]]:
    """Return the events of one call, without what differs each time."""
    events: list[dict[str, Any]] = []
    with client_run("A") as run, monkeypatch.context() as patch:
        patch.setattr(run, "_write", lambda body, at_ns=0: events.append(json.loads("{" + body + "}")))
        if not plain:
            patch.setattr(recorder, "plain_usage", lambda *told: None)
        run.record_usage(**usage)
    for event in events:
        for key in ("t", "p"):
            event.get("u", {}).pop(key, None)
    return events


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(usage=USAGE)
def test_both_roads_write_the_same(fresh: Fresh, usage: dict[str, Any]) -> None:
    patch = pytest.MonkeyPatch()
    with job("nightly"):
        assert written(usage, patch, plain=True) == written(usage, patch, plain=False)


def test_the_short_road_is_taken(fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "usage_reading", None)  # the long one would fail
    with job("nightly"), client_run("A"):
        jobspan.record_usage(input_tokens=900, output_tokens=80, cached_tokens=5, model="m", provider="p")
        jobspan.record_usage(input_tokens=100)
    assert (fresh.client("A").prompt_tokens, fresh.client("A").completion_tokens) == (1000, 80)
