"""Usage booked by hand: responses, streams, sums; beside an instrumentation each call still counts once."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

import jobspan
from tests.conftest import Fresh

CHAT: dict[str, Any] = {
    "id": "chatcmpl-by-hand-0000000001",
    "object": "chat.completion",
    "model": "gpt-4o",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "secret words"}}
    ],
    "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
}
APIFY = {
    "id": "run1",
    "actId": "a",
    "status": "SUCCEEDED",
    "usage": {"ACTOR_COMPUTE_UNITS": 3},
    "usageTotalUsd": 1,
}


def chunks(*, told: bool = True) -> list[dict[str, Any]]:
    head = {"id": "chatcmpl-by-hand-0000000002", "model": "gpt-4o", "object": "chat.completion.chunk"}
    delta = {**head, "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}]}
    return [delta, delta, *([{**head, "choices": [], "usage": CHAT["usage"]}] if told else [])]


def test_a_response_counts_once_however_often_and_nothing_of_its_text_is_kept(fresh: Fresh) -> None:
    with jobspan.job("x") as job, job.client("A") as run:
        jobspan.record_usage(CHAT)
        run.record_usage(CHAT)
    record = fresh.client("A")
    assert (record.prompt_tokens, record.completion_tokens, record.token_usage) == (100, 20, 120)
    assert record.cost_usd == Decimal("0.00045")
    assert "secret words" not in fresh.journal()


def test_the_price_is_kept_with_its_list_and_a_given_cost_comes_first(fresh: Fresh) -> None:
    with jobspan.job("x") as job, job.client("A") as run:
        run.record_usage(CHAT, cost_usd="0.5")
        run.record_usage(input_tokens=1, model="text-embedding-3-small")
        run.record_usage(input_tokens=1, model="nobody-knows-it")
    record = fresh.client("A")
    assert record.cost_usd == Decimal("0.50000002")
    assert "≥ $0.50" in record.system_notes
    assert "no price known for 1 call of nobody-knows-it" in record.system_notes


def test_what_carries_no_usage_is_unmetered_and_not_zero(fresh: Fresh) -> None:
    with jobspan.job("x") as job, job.client("A") as run:
        run.record_usage({"id": "chatcmpl-1", "choices": []})
        run.record_usage("only a text")
    record = fresh.client("A")
    assert record.prompt_tokens is None
    assert "2 calls reported no usage" in record.system_notes


def test_an_apify_run_is_no_call_of_a_model(fresh: Fresh) -> None:
    with jobspan.job("x") as job, job.client("A") as run:
        run.record_usage(APIFY)
    record = fresh.client("A")
    assert (record.prompt_tokens, record.total_tokens) == (None, None)
    assert "compute units, not tokens" in record.system_notes


class RunUsage:
    """As pydantic-ai's: a sum over the calls of an agent."""

    requests, input_tokens, output_tokens, cache_read_tokens = 2, 200, 40, 0


def test_a_sum_does_not_double_the_calls_it_sums_up(fresh: Fresh) -> None:
    provider = TracerProvider()
    fresh.configure(tracer_provider=provider)
    usage = {
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
    }
    with jobspan.job("x") as job:
        with job.client("seen") as run:
            for _ in range(2):
                provider.get_tracer("openinference.x").start_span("chat", attributes=usage).end()
            run.record_usage(RunUsage())
        with job.client("unseen") as run:
            run.record_usage(RunUsage())
    assert [(fresh.client(name).total_tokens) for name in ("seen", "unseen")] == [240, 240]


def test_manual_and_instrumented_counts_once(fresh: Fresh) -> None:
    provider = TracerProvider()
    fresh.configure(tracer_provider=provider)
    usage = {"gen_ai.operation.name": "embeddings", "gen_ai.usage.input_tokens": 77}
    with jobspan.job("x") as job, job.client("A") as run:
        provider.get_tracer("opentelemetry.instrumentation.openai.v1").start_span("e", attributes=usage).end()
        run.record_usage(input_tokens=77)
    assert fresh.client("A").prompt_tokens == 77


def test_a_stream_is_booked_on_its_last_chunk(fresh: Fresh) -> None:
    with jobspan.job("x") as job, job.client("A"):
        assert list(jobspan.track_stream(iter(chunks()))) == chunks()
    assert fresh.client("A").total_tokens == 120


def test_a_stream_that_is_left_is_unmetered(fresh: Fresh) -> None:
    with jobspan.job("x") as job, job.client("A"):
        stream = jobspan.track_stream(iter(chunks()))
        next(stream)
        del stream
        gc.collect()
        list(jobspan.track_stream(chunks(told=False)))
    record = fresh.client("A")
    assert record.prompt_tokens is None
    assert "reported no usage" in record.system_notes


class Manager:
    """As the SDKs' streams: a context manager, and an iterable with things of its own."""

    extra = "here"

    def __enter__(self) -> Manager:
        return self

    def __exit__(self, *left: object) -> None:
        self.extra = "left"

    def __iter__(self) -> Iterator[Any]:
        yield from chunks()


def test_a_tracked_stream_behaves_as_before(fresh: Fresh) -> None:
    plain = Manager()
    with jobspan.job("x") as job, job.client("A"):
        with jobspan.track_stream(plain) as stream:
            assert isinstance(stream, Manager)
            assert stream.extra == "here"
            assert len(list(stream)) == 3
    assert plain.extra == "left"
    assert fresh.client("A").total_tokens == 120
    assert jobspan.track_stream(plain) is plain


def test_asynchronous_streams_are_read_along(fresh: Fresh) -> None:
    async def made() -> AsyncIterator[Any]:
        for chunk in chunks():
            yield chunk

    async def asked() -> AsyncIterator[Any]:
        return made()

    async def work() -> None:
        assert len([chunk async for chunk in jobspan.track_stream(made())]) == 3
        assert len([chunk async for chunk in await jobspan.track_stream(asked())]) == 3

    with jobspan.job("x") as job, job.client("A"):
        asyncio.run(work())
    assert fresh.client("A").total_tokens == 120
    assert "Completed" in fresh.client("A").status


def test_an_error_inside_a_stream_passes_unchanged(fresh: Fresh) -> None:
    def broken() -> Iterator[Any]:
        yield chunks()[0]
        raise ValueError("cut off")

    with jobspan.job("x") as job, job.client("A"):
        with pytest.raises(ValueError, match="cut off"):
            list(jobspan.track_stream(broken()))
    assert "reported no usage" in fresh.client("A").system_notes


def test_months_and_days_are_those_of_the_zone(fresh: Fresh) -> None:
    with jobspan.job("x") as job, job.client("A") as run:
        run.record_usage(CHAT)
    with jobspan._runtime.runtime().reading(10) as reader:
        (day,) = reader.usage("day")
        assert reader.usage("day", month=day.name[:7]) == [day]
        assert reader.usage("client", month="2001-01") == []
