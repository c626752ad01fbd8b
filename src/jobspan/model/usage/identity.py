"""Who a witness is, and whether two witnesses may have seen the same call."""

from __future__ import annotations

from jobspan.model.usage import attribute
from jobspan.model.usage.fact import LLM, UsageFact

LITELLM = "litellm"

_SHORTEST_UNIQUE_ID = 20
"""Ollama's OpenAI layer numbers its responses from 0 to 998: a short id says nothing."""

_INVENTED_PREFIXES = ("run-", "lc_run", "lc_")
_FAMILIES = ("resp_", "chatcmpl-", "msg_", "gen-")
_NATIVE_SCOPES = frozenset({"com.anthropic.sdk.python", "mistralai_sdk_tracer"})
_OFFICIAL_SCOPES = frozenset(
    {
        "opentelemetry.instrumentation.google_genai",
        "opentelemetry.instrumentation.openai_v2",
        "opentelemetry.instrumentation.vertexai_v2",
    }
)
_RANKS = (
    ("opentelemetry.instrumentation.genai.", 2),
    ("openinference.", 3),
    ("logfire", 4),
    ("pydantic-ai", 5),
    (LITELLM, 7),
)
_OTHERS = 6
_SAME_MODEL_PREFIX = 12


def emitter(fact: UsageFact) -> str:
    """Return who made the fact: its scope, but LiteLLM for usage found on one of our own spans.

    LiteLLM's callback writes on the current span instead of making one of its own (measured).
    """
    return LITELLM if on_own_span(fact) else fact.scope


def on_own_span(fact: UsageFact) -> bool:
    """Tell whether somebody wrote the usage on a span of ours: its place and times mean nothing."""
    return not fact.manual and fact.scope == attribute.OWN_SCOPE


def is_witness(fact: UsageFact) -> bool:
    """Tell whether a fact states the whole usage of what claims to be one call."""
    return fact.role == LLM and fact.has_usage and fact.metered


def rank(fact: UsageFact) -> int:
    """Return how late this witness speaks for a call: 0 speaks first.

    By hand, provider SDK, official genai, OpenInference, logfire, pydantic-ai, others, LiteLLM
    (which estimates where a stream reported nothing).
    """
    if fact.manual:
        return 0
    scope = emitter(fact)
    if scope in _NATIVE_SCOPES:
        return 1
    if scope in _OFFICIAL_SCOPES:
        return 2
    for prefix, place in _RANKS:
        if scope.startswith(prefix):
            return place
    return _OTHERS


def unique_id(fact: UsageFact) -> str | None:
    """Return the response id if it is long enough to name one call and comes from a provider."""
    text = fact.response_id
    if text is None or len(text) < _SHORTEST_UNIQUE_ID or text.startswith(_INVENTED_PREFIXES):
        return None
    return text


def telling_id(fact: UsageFact) -> str | None:
    """Return the id if a *different* one proves another call: LiteLLM invents ids, so its never do."""
    return None if LITELLM in emitter(fact) else unique_id(fact)


def id_family(text: str) -> str:
    """Return the scheme an id belongs to; ids of two schemes say nothing about each other.

    One response of OpenAI has a `resp_` id and holds messages with `msg_` ids.
    """
    return next((family for family in _FAMILIES if text.startswith(family)), "")


def ids_differ(mine: set[str], theirs: set[str]) -> bool:
    """Tell whether two sets of telling ids prove that two calls are not the same."""
    if not mine or not theirs or not mine.isdisjoint(theirs):
        return False
    return not {id_family(text) for text in mine}.isdisjoint({id_family(text) for text in theirs})


def models_agree(mine: set[str], theirs: set[str]) -> bool:
    """Tell whether two witnesses may mean one model: one name in the other, or the same beginning.

    An unknown model agrees with all.
    """
    if not mine or not theirs:
        return True
    return any(
        one in other or other in one or one[:_SAME_MODEL_PREFIX] == other[:_SAME_MODEL_PREFIX]
        for one in mine
        for other in theirs
    )


def model_names(fact: UsageFact) -> set[str]:
    """Return the names this witness gives the model, to be compared by `models_agree`."""
    names: set[str] = set()
    for name in (fact.model, fact.request_model):
        if name and "arn:" not in name:  # a private inference profile names no model
            names.add(name.lower().rpartition("/")[2] or name.lower())
    return names
