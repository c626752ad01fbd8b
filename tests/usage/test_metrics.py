"""OpenTelemetry metrics of runs and tokens, where a meter provider is set."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import jobspan
from tests.conftest import Fresh


def batch() -> None:
    with jobspan.job("scoring") as job:
        for run in job.clients(["A", "B"]):
            with run:
                for _ in range(2):  # the same call, told twice
                    run.record_usage(input_tokens=100, output_tokens=20, model="m", provider="p", id="r1")
                if run.client == "B":
                    raise ValueError("bad")
    assert jobspan.flush()


def points(reader: InMemoryMetricReader) -> dict[str, list[Any]]:
    data = reader.get_metrics_data()
    assert data is not None
    found = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics]
    return {metric.name: list(metric.data.data_points) for metric in found}


def test_runs_and_tokens_are_measured(fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr(metrics._internal, "_METER_PROVIDER", provider)
    batch()
    told = points(reader)
    ends = {
        (p.attributes["jobspan.run.kind"], p.attributes["jobspan.status"]): p.value
        for p in told["jobspan.run.outcomes"]
    }
    assert ends == {
        ("client_run", "Completed"): 1,
        ("client_run", "Failed"): 1,
        ("job", "Completed_with_errors"): 1,
    }
    assert sum(p.count for p in told["jobspan.run.duration"]) == 3
    tokens = {
        (p.attributes["jobspan.client.id"], p.attributes["gen_ai.token.type"]): (p.count, p.sum)
        for p in told["gen_ai.client.token.usage"]
    }
    assert tokens == {
        ("A", "input"): (1, 100),
        ("A", "output"): (1, 20),
        ("B", "input"): (1, 100),
        ("B", "output"): (1, 20),
    }
    assert all(p.attributes["gen_ai.response.model"] == "m" for p in told["gen_ai.client.token.usage"])


def test_without_a_meter_provider_nothing_is_kept(fresh: Fresh) -> None:
    batch()
    assert jobspan._runtime.runtime().metrics.waiting == 0
    assert not jobspan._runtime.runtime().metrics.is_on
