"""Read the usage out of whatever a provider SDK or framework returned."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import cast

from jobspan.model.usage import attribute
from jobspan.model.usage.fact import AGGREGATE, LLM, UsageFact, Used
from jobspan.model.usage.name import hidden_cost, id_of, model_of, provider_of, text_of
from jobspan.model.usage.number import count, dollars, whole_counts
from jobspan.model.usage.shape import Counts, field, number, read_counts

_APIFY_FIELDS = ("usageTotalUsd", "usage_total_usd", "actId", "act_id", "actorTaskId", "actor_task_id")
_APIFY_UNITS = ("ACTOR_COMPUTE_UNITS", "actor_compute_units", "DATASET_READS", "dataset_reads")
_USED = tuple(spec.name for spec in fields(Used))
_INNER = ("response", "message", "data", "metadata", "delta", "context_wrapper")


@dataclass(slots=True, unsafe_hash=True)
class Reading(Used):
    """What a response says it used. `prompt` and `completion` are None when it says nothing.

    `metered` is False when the usage is unknown or only seen in part; `aggregate` is True when it may
    be the sum of `requests` calls.
    """

    metered: bool = False
    aggregate: bool = False

    def to_fact(self, *, trace_id: str, span_id: str, parent_span_id: str | None, at_ns: int) -> UsageFact:
        """Return this reading as a fact made by hand at an instant, beneath the current span.

        The same response recorded twice is one call when it has an id, else when `span_id` is equal.
        """
        return UsageFact(
            *[getattr(self, name) for name in _USED],
            trace_id=trace_id,
            span_id=span_id,
            parent_span_id=parent_span_id,
            scope=attribute.OWN_SCOPE,
            start_ns=at_ns,
            end_ns=at_ns,
            role=AGGREGATE if self.aggregate else LLM,
            metered=self.metered,
            manual=True,
        )


def read_response(response: object) -> Reading | None:
    """Return what a response used, or None when it is no response of a model.

    Objects and dicts work the same, of: OpenAI (chat, completions, embeddings, Responses and its
    events), Anthropic, Gemini, Bedrock converse, Cohere, Mistral, LiteLLM and other OpenAI-alikes,
    LangChain messages and results, pydantic-ai and openai-agents results and usages. A response that
    carries no usage gives a reading that is not metered. None is given for text, numbers, None, an
    agent result without any request, and an Apify run, whose `usage` counts compute units. Nothing
    raises: a property that fails is taken as absent. Nothing is called but a method named `usage`.
    """
    if response is None or isinstance(response, str | bytes | int | float | Decimal):
        return None
    if is_apify_run(response):
        return None
    found = find_counts(response)
    if found is None:
        return _silent(response)
    counts, owner = found
    if counts.shape == "agent" and counts.requests == 0:
        return None
    if not counts.prompt and not counts.completion:
        return _silent(response)
    return reading_of(counts, owner, response)


def given_usage(
    *,
    input_tokens: object = None,
    output_tokens: object = None,
    cached_tokens: object = None,
    reasoning_tokens: object = None,
    model: str | None = None,
    provider: str | None = None,
    response_id: str | None = None,
    cost_usd: object = None,
) -> Reading:
    """Return a reading of numbers given by hand; a bad number is none, and without any it is unmetered.

    `input_tokens` and `output_tokens` include cached and reasoning tokens; where a part is larger
    than its whole it was left out, and is added. A cost of 0 is a cost.
    """
    prompt, completion, cost = count(input_tokens), count(output_tokens), dollars(cost_usd)
    read, reasoning = count(cached_tokens), count(reasoning_tokens)
    metered = prompt is not None or completion is not None or cost is not None
    if metered:
        prompt, completion = whole_counts(
            prompt or 0, completion, None, cached=read or 0, reasoning=reasoning or 0
        )
    return Reading(
        prompt,
        completion,
        read if metered else None,
        None,
        reasoning if metered else None,
        cost,
        text_of(provider),
        text_of(model),
        text_of(response_id),
        metered=metered,
    )


def reading_of(counts: Counts, owner: object, response: object) -> Reading:
    """Return the reading for counts found in a part (`owner`) of a response."""
    model = model_of(owner) or model_of(response)
    return Reading(
        counts.prompt,
        counts.completion,
        counts.cache_read,
        counts.cache_write,
        counts.reasoning,
        hidden_cost(response) or counts.cost,
        provider_of(response, model, counts.shape),
        model,
        id_of(owner) or id_of(response),
        metered=True,
        aggregate=counts.requests > 1,
        requests=max(1, counts.requests),
    )


def _silent(response: object) -> Reading:
    model = model_of(response)
    return Reading(provider=provider_of(response, model, ""), model=model, response_id=id_of(response))


def is_apify_run(response: object) -> bool:
    """Tell whether this is the run of an Apify actor, as a dict or as the client's object."""
    usage = field(response, "usage")
    if number(usage, "prompt_tokens", "input_tokens", "inputTokens") is not None:
        return False
    if any(isinstance(field(usage, name), int | float) for name in _APIFY_UNITS):
        return True
    return isinstance(field(response, "id"), str) and any(
        isinstance(field(response, name), str | float | int) for name in _APIFY_FIELDS
    )


def find_counts(response: object) -> tuple[Counts, object] | None:
    """Return the first usage found in a response and the part of it that holds id and model."""
    for usage, owner, langchain in _places(response):
        counts = read_counts(usage, langchain=langchain)
        if counts is not None:
            return counts, owner
    return _langchain_result(response)


def _places(response: object) -> Iterator[tuple[object, object, bool]]:
    """Yield where a usage may be: (the usage, the part that holds it, whether LangChain named it)."""
    yield from _direct(response, response)
    for name in _INNER:
        inner = field(response, name)
        if inner is not None and not isinstance(inner, str | list | tuple):
            yield from _direct(inner, response if name == "delta" else inner)
            deeper = field(inner, "response")
            if deeper is not None:
                yield from _direct(deeper, deeper)
    output = field(response, "llm_output")
    usage = field(output, "token_usage", "usage")
    if usage is not None:
        yield usage, output, False
    yield response, response, False


def _direct(part: object, owner: object) -> Iterator[tuple[object, object, bool]]:
    metadata = field(part, "usage_metadata")
    if metadata is not None:
        yield metadata, owner, True
    metadata = field(part, "usageMetadata")
    if metadata is not None:
        yield metadata, owner, False
    usage = _called(field(part, "usage"))
    if usage is not None:
        yield usage, owner, False
    meta = field(part, "meta")
    if meta is not None:
        yield meta, owner, False


def _called(usage: object) -> object:
    """Return the usage itself where it is a method (pydantic-ai), never awaiting anything."""
    if not (inspect.ismethod(usage) or inspect.isfunction(usage)) or inspect.iscoroutinefunction(usage):
        return usage
    with suppress(Exception):
        return cast("object", usage())
    return None


def _langchain_result(response: object) -> tuple[Counts, object] | None:
    """Return the usage of a LangChain `LLMResult` that keeps it with each generated message."""
    outer = field(response, "generations")
    if not isinstance(outer, list) or not outer:
        return None
    found: list[tuple[Counts, object]] = []
    for generations in cast("list[object]", outer)[:1000]:
        first = (
            cast("Sequence[object]", generations)[0]
            if isinstance(generations, list) and generations
            else None
        )
        message = field(first, "message")
        counts = read_counts(field(message, "usage_metadata"), langchain=True)
        if counts is not None:
            found.append((counts, message))
    if not found:
        return None
    return found[0] if len(found) == 1 else (summed([counts for counts, _ in found]), response)


def summed(parts: Sequence[Counts]) -> Counts:
    """Return the sum of several counts of one shape."""
    return Counts(
        parts[0].shape,
        sum(part.prompt for part in parts),
        sum(part.completion for part in parts),
        _sum([part.cache_read for part in parts]),
        _sum([part.cache_write for part in parts]),
        _sum([part.reasoning for part in parts]),
        requests=len(parts),
    )


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
