"""Booking on whatever run is current, from anywhere below it."""

from __future__ import annotations

from typing import Any

from jobspan.runs.current import live_run
from jobspan.runs.handle import RunHandle
from jobspan.runs.kinds import JobRun
from jobspan.runs.opening import inert_client_run, inert_job, job_of
from jobspan.runs.usage import NOTHING


def current_run() -> RunHandle:
    """Return the innermost run of this context; outside of all, one that records nothing."""
    return live_run() or inert_client_run()


def current_job() -> JobRun:
    """Return the job of this context; outside of all, one that records nothing."""
    return job_of(live_run()) or inert_job()


def record_usage(
    response: object = NOTHING,
    /,
    *,
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    cached_tokens: int | None = None,
    reasoning_tokens: int | None = None,
    model: str | None = None,
    provider: str | None = None,
    id: str | None = None,
    cost_usd: Any = None,
) -> None:
    """Book the tokens of one LLM call on the current run; see `RunHandle.record_usage`."""
    current_run().record_usage(
        response,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_tokens=cached_tokens,
        reasoning_tokens=reasoning_tokens,
        model=model,
        provider=provider,
        id=id,
        cost_usd=cost_usd,
    )


def record_cost(source: str, usd: object, *, id: object = None) -> None:
    """Book a cost in US dollars on the current run; see `RunHandle.record_cost`."""
    current_run().record_cost(source, usd, id=id)
