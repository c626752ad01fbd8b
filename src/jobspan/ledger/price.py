"""What a call costs when nobody reported it: looked up in the price list of genai-prices, if installed.

Prices are asked for while a fact is folded, in the background as a rule, and kept with the fact together
with the version of the list: lists drop retired models, so pricing months later would give nothing.
"""

from __future__ import annotations

import functools
import importlib
from decimal import Decimal
from typing import Any

from jobspan._ending import ending
from jobspan._guard import guarded
from jobspan.model.usage.fact import UsageFact
from jobspan.model.usage.number import dollars

_ALIASES = {
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "az.ai.openai": "azure",
    "az.ai.inference": "azure",
    "gcp.gen_ai": "google",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "gemini": "google",
    "vertex_ai": "google",
    "vertexai": "google",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "x_ai": "x-ai",
    "xai": "x-ai",
    "bedrock": "aws",
    "aws.bedrock": "aws",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
}
"""Names that instrumentations give a provider, and the one the price list knows it by."""

_FRAMEWORKS = frozenset({"langchain", "langgraph", "litellm", "pydantic_ai", "strands", "unknown"})
"""Names in the place of a provider's that say nothing about who bills."""

_MAKERS = (
    (("gpt-", "o1", "o3", "o4", "chatgpt-", "text-embedding-"), "openai"),
    (("claude-",), "anthropic"),
    (("gemini-",), "google"),
    (("command-", "embed-"), "cohere"),
    (("mistral-", "codestral-", "ministral-"), "mistral"),
)
"""Whose a model is when nobody names its provider."""

_KEPT = 4096


def price_of(fact: UsageFact) -> tuple[str, str] | None:
    """Return (US dollars as a decimal text, name and version of the list); None where no price is known."""
    if not fact.model or fact.requests != 1:
        return None
    prices = _list()
    if prices is None:
        return None
    with guarded("price"):
        cached = (fact.cache_read or 0, fact.cache_write or 0)
        if sum(cached) > (fact.prompt or 0):
            return None  # they are part of it: these counts make no sense
        amount = _amount(fact.model, fact.provider or "", fact.prompt or 0, fact.completion or 0, *cached)
        return None if amount is None else (amount, prices[1])
    return None


@functools.cache
def _list() -> tuple[Any, str] | None:
    """Return genai-prices and its version, if it is installed; importing it takes half a second."""
    try:
        with ending.loading():
            module = importlib.import_module("genai_prices")
        version = importlib.import_module("importlib.metadata").version("genai-prices")
    except ImportError:
        return None
    return module, f"genai-prices {version}"


@functools.lru_cache(_KEPT)
def _amount(model: str, provider: str, prompt: int, completion: int, read: int, write: int) -> str | None:
    prices = _list()
    assert prices is not None
    module = prices[0]
    usage = module.Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cache_read_tokens=read or None,
        cache_write_tokens=write or None,
    )
    for name, owner in _guesses(model, provider):
        try:
            total = module.calc_price(usage, name, provider_id=owner).total_price
        except (LookupError, ValueError):  # an unknown model or provider; counts that make no sense
            continue
        amount = dollars(Decimal(total))
        return None if amount is None else f"{amount:f}"
    return None


def _guesses(model: str, provider: str) -> list[tuple[str, str | None]]:
    """Return (model, provider id) in the order in which they are tried."""
    owner = provider.strip().lower()
    owner = _ALIASES.get(owner, owner)
    prefix, slash, bare = model.rpartition("/")
    found: list[tuple[str, str | None]] = []
    if owner and owner not in _FRAMEWORKS:
        found += [(model, owner), *([(bare, owner)] if slash else [])]
    if slash:
        named = prefix.rpartition("/")[2].lower()
        found.append((bare, _ALIASES.get(named, named)))
    if not owner or owner in _FRAMEWORKS:
        found += [(model, None), *([(bare, None)] if slash else [])]
        found += [(bare, maker) for starts, maker in _MAKERS if bare.startswith(starts)]
    return found
