"""Recognise the usage objects of provider SDKs and frameworks by their fields, importing none of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

from jobspan.model.usage.number import count, dollars, whole_counts


@dataclass(frozen=True, slots=True)
class Counts:
    """What a usage object says, cached tokens included in `prompt`, reasoning in `completion`."""

    shape: str
    prompt: int
    completion: int
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    cost: Decimal | None = None
    requests: int = 1


def field(owner: object, *names: str) -> Any:
    """Return the first of the entries or attributes that is there and not None.

    A property of somebody else's object may raise anything; then it is not there.
    """
    if isinstance(owner, Mapping):
        found = cast("Mapping[str, Any]", owner)
        for name in names:
            with suppress(Exception):
                value = found.get(name)
                if value is not None:
                    return value
        return None
    for name in names:
        with suppress(Exception):
            value = getattr(owner, name, None)
            if value is not None:
                return value
    return None


def number(owner: object, *names: str) -> int | None:
    """Return the first of the entries or attributes that is a token count."""
    for name in names:
        value = count(field(owner, name))
        if value is not None:
            return value
    return None


def read_counts(usage: object, *, langchain: bool = False) -> Counts | None:
    """Return what a usage object says, or None when it is no usage of a model.

    `langchain` says that it was found as `usage_metadata`. The order of the tests matters: the
    shapes share names and differ in what these include.
    """
    for read in _SHAPES:
        counts = read(usage, langchain)
        if counts is not None:
            return counts
    return None


def _cohere(usage: object, langchain: bool) -> Counts | None:
    billed = field(usage, "billed_units")
    if billed is None:
        return None
    prompt, completion = number(billed, "input_tokens"), number(billed, "output_tokens")
    if prompt is None and completion is None:
        return None
    cached = number(usage, "cached_tokens")
    return Counts("cohere", prompt or 0, completion or 0, cache_read=cached)


def _gemini(usage: object, langchain: bool) -> Counts | None:
    prompt = number(usage, "prompt_token_count", "promptTokenCount")
    completion = number(
        usage, "candidates_token_count", "candidatesTokenCount", "response_token_count", "responseTokenCount"
    )
    thoughts = number(usage, "thoughts_token_count", "thoughtsTokenCount")
    if prompt is None and completion is None and thoughts is None:
        return None
    tools = number(usage, "tool_use_prompt_token_count", "toolUsePromptTokenCount")
    cached = number(usage, "cached_content_token_count", "cachedContentTokenCount")
    generated = (completion or 0) + (thoughts or 0)
    return Counts("gemini", (prompt or 0) + (tools or 0), generated, cache_read=cached, reasoning=thoughts)


def _bedrock(usage: object, langchain: bool) -> Counts | None:
    prompt, completion = number(usage, "inputTokens"), number(usage, "outputTokens")
    if prompt is None and completion is None:
        return None
    read = number(usage, "cacheReadInputTokens", "cacheReadInputTokenCount")
    write = number(usage, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    whole = (prompt or 0) + (read or 0) + (write or 0)
    return Counts("bedrock", whole, completion or 0, cache_read=read, cache_write=write)


def _openai_chat(usage: object, langchain: bool) -> Counts | None:
    prompt, completion = number(usage, "prompt_tokens"), number(usage, "completion_tokens")
    if prompt is None and completion is None:
        return None
    details = field(usage, "prompt_tokens_details")
    read = number(details, "cached_tokens")
    if read is None:
        read = number(usage, "cache_read_input_tokens", "prompt_cache_hit_tokens")
    write = number(details, "cache_write_tokens", "cache_creation_tokens")
    if write is None:
        write = number(usage, "cache_creation_input_tokens")
    reasoning = number(field(usage, "completion_tokens_details"), "reasoning_tokens")
    whole, generated = whole_counts(
        prompt, completion, None, cached=(read or 0) + (write or 0), reasoning=reasoning or 0
    )
    return Counts("openai", whole, generated, read, write, reasoning, cost=_reported_cost(usage))


def _langchain(usage: object, langchain: bool) -> Counts | None:
    prompt = number(usage, "input_tokens")
    details = field(usage, "input_token_details")
    if prompt is None or not (langchain or details is not None):
        return None
    completion, total = number(usage, "output_tokens") or 0, number(usage, "total_tokens")
    read, write = number(details, "cache_read", "cached_tokens"), number(details, "cache_creation")
    cached = (read or 0) + (write or 0)
    if cached and total == prompt + completion + cached:
        prompt += cached
    reasoning = number(field(usage, "output_token_details"), "reasoning", "reasoning_tokens")
    return Counts("langchain", prompt, completion, read, write, reasoning)


def _agent_sum(usage: object, langchain: bool) -> Counts | None:
    prompt = number(usage, "input_tokens")
    requests = number(usage, "requests")
    if prompt is None or (requests is None and number(usage, "cache_read_tokens") is None):
        return None
    inputs, outputs = field(usage, "input_tokens_details"), field(usage, "output_tokens_details")
    read = number(usage, "cache_read_tokens")
    return Counts(
        "agent",
        prompt,
        number(usage, "output_tokens") or 0,
        read if read is not None else number(inputs, "cached_tokens"),
        number(usage, "cache_write_tokens"),
        number(outputs, "reasoning_tokens") or number(field(usage, "details"), "reasoning_tokens"),
        requests=1 if requests is None else requests,
    )


def _openai_responses(usage: object, langchain: bool) -> Counts | None:
    prompt = number(usage, "input_tokens")
    details, total = field(usage, "input_tokens_details"), number(usage, "total_tokens")
    if prompt is None or (details is None and total is None):
        return None
    reasoning = number(field(usage, "output_tokens_details"), "reasoning_tokens")
    read, write = number(details, "cached_tokens"), number(details, "cache_write_tokens")
    completion = number(usage, "output_tokens") or 0
    return Counts("openai", prompt, completion, read, write, reasoning, cost=_reported_cost(usage))


def _anthropic(usage: object, langchain: bool) -> Counts | None:
    prompt, completion = number(usage, "input_tokens"), number(usage, "output_tokens")
    if prompt is None and completion is None:
        return None
    read, write = number(usage, "cache_read_input_tokens"), number(usage, "cache_creation_input_tokens")
    reasoning = number(field(usage, "output_tokens_details"), "thinking_tokens")
    whole = (prompt or 0) + (read or 0) + (write or 0)
    return Counts("anthropic", whole, completion or 0, read, write, reasoning)


def _reported_cost(usage: object) -> Decimal | None:
    """Return the price that OpenRouter and Perplexity put into the usage."""
    cost = field(usage, "cost")
    return dollars(cost) or dollars(field(cost, "total_cost"))


_SHAPES: tuple[Callable[[object, bool], Counts | None], ...] = (
    _cohere,
    _gemini,
    _bedrock,
    _openai_chat,
    _langchain,
    _agent_sum,
    _openai_responses,
    _anthropic,
)
