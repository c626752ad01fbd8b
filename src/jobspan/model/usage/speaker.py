"""Who speaks of a call, and of what kind of call: all that a span's kinds, models and provider say.

A program makes calls of a few kinds, so this is worked out once for each, not for each span.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jobspan.model.usage import attribute
from jobspan.model.usage.dialect import Dialect
from jobspan.model.usage.fact import AGGREGATE, LLM
from jobspan.model.usage.name import text_of

Get = Callable[[str], Any]

_GOOGLE = ("google", "gemini", "gcp", "vertex")
_AGGREGATES = {
    attribute.OPERATION: attribute.AGGREGATE_OPERATIONS,
    attribute.OPENINFERENCE_KIND: attribute.AGGREGATE_KINDS,
    attribute.TRACELOOP_KIND: attribute.AGGREGATE_TRACELOOP_KINDS,
}
_CALLS = {
    attribute.OPERATION: attribute.CALL_OPERATIONS,
    attribute.OPENINFERENCE_KIND: attribute.CALL_KINDS,
    attribute.REQUEST_TYPE: attribute.CALL_OPERATIONS,
}
_KEPT = 1_024
_LONGEST_KEPT = 1_000
"""Characters in all: what is longer is no name, and is not kept."""

_known: dict[tuple[object, ...], Speaker] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Speaker:
    """What is the same for all calls of one kind that one instrumentation tells of."""

    role: str
    scope: str
    model: str | None
    provider: str | None
    request_model: str | None
    """The model that was asked for, where another one answered."""
    tells_call: bool
    """Whether it says outright that this is a call of a model, with usage or without."""
    excludes_cache: bool
    """Whether its prompt leaves cached tokens out."""
    is_google: bool
    names: tuple[str | None, ...]
    """Scope, model, provider and requested model."""


def speaker_of(said: Dialect, scope: str, attributes: Mapping[str, Any]) -> Speaker:
    """Return who speaks in a span of this dialect and scope."""
    values = said.values_of_texts(attributes)
    key = (said, scope, values)
    try:
        known = _known.get(key)
    except TypeError:  # some value is a list: no text
        return _speaker(said, scope, values)
    if known is None:
        known = _speaker(said, scope, values)
        texts = (scope, *values)
        if all(type(text) is str for text in texts) and sum(map(len, texts)) <= _LONGEST_KEPT:  # type: ignore[arg-type]
            if len(_known) >= _KEPT:
                _known.clear()
            _known[key] = known
    return known


def _speaker(said: Dialect, scope: str, values: tuple[object, ...]) -> Speaker:
    given = dict(zip(said.texts, values, strict=True))
    get = given.get
    provider = _first_text(get, attribute.PROVIDER)
    asked = text_of(get(attribute.REQUEST_MODEL))
    model = _first_text(get, attribute.RESPONSE_MODEL) or asked
    request_model = asked if asked != model else None
    return Speaker(
        AGGREGATE if _is_aggregate(get) else LLM,
        scope,
        model,
        provider,
        request_model,
        _says_one_of(get, _CALLS),
        scope in attribute.CACHE_EXCLUSIVE_SCOPES,
        _is_google(scope, provider),
        (scope, model, provider, request_model),
    )


def _first_text(get: Get, names: tuple[str, ...]) -> str | None:
    return next((text for name in names if (text := text_of(get(name))) is not None), None)


def _is_aggregate(get: Get) -> bool:
    return _says_one_of(get, _AGGREGATES) or (
        all(get(name) is None for name in _AGGREGATES) and _is_nameless_agent(get)
    )


def _is_nameless_agent(get: Get) -> bool:
    """Tell whether a span without any operation or kind names an agent."""
    return get(attribute.REQUEST_TYPE) is None and any(
        get(name) is not None for name in attribute.AGENT_NAMES
    )


def _says_one_of(get: Get, kinds: Mapping[str, frozenset[str]]) -> bool:
    """Tell whether any of these attributes is one of the texts that stand beside it."""
    return any(isinstance(said := get(name), str) and said in texts for name, texts in kinds.items())


def _is_google(scope: str, provider: str | None) -> bool:
    where = f"{scope} {provider or ''}".lower()
    return any(word in where for word in _GOOGLE)
