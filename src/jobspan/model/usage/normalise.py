"""Turn the attributes of any instrumentation's GenAI span into one `UsageFact`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, cast

from jobspan.model.usage import attribute
from jobspan.model.usage.dialect import Dialect, Names, dialect
from jobspan.model.usage.fact import AGGREGATE, LLM, UsageFact
from jobspan.model.usage.number import LARGEST_COUNT, count, dollars

Get = Callable[[str], Any]
Counted = tuple[int | None, int | None, int | None, int | None, int | None]
"""All input, all generated, cache read, cache written, reasoning."""

_UNKNOWN: Counted = (None, None, None, None, None)
_NOTHING: Counted = (0, 0, None, None, None)

_LONGEST_TEXT = 200
_OUTPUT_SCANNED = 16_384
_TOP_LEVEL_ID = re.compile(r'\s*\{\s*"id"\s*:\s*"([^"\\]{1,200})"')
_INNER_ID = re.compile(r'(?<!\\)"(?:response_)?id"\s*:\s*"((?:resp_|chatcmpl-|msg_)[^"\\]{1,200})"')
_INNER_HINTS = ('"resp_', '"chatcmpl-', '"msg_')
_GOOGLE = ("google", "gemini", "gcp", "vertex")


def might_be_genai(attributes: Mapping[str, Any] | None) -> bool:
    """Tell cheaply whether `normalise` could make anything of a foreign span: at most 1 µs.

    False is certain. True means only that a name is there that GenAI spans use.
    """
    if not attributes:
        return False
    return not _plain(attributes).keys().isdisjoint(attribute.MARKERS)


def normalise(
    attributes: Mapping[str, Any] | None,
    *,
    scope: str,
    name: str = "",
    trace_id: str,
    span_id: str,
    parent_span_id: str | None,
    start_ns: int,
    end_ns: int,
    kind: object = None,
    failed: bool = False,
) -> UsageFact | None:
    """Return what a span says one LLM call used, or None when it says nothing about a call.

    A span that says it is a call of a model but carries no usage gives a fact that is not metered,
    unless it failed (`failed`, or an `error.type`): a refused request is not billed. A bad value
    (bool, negative, NaN, above 2^53, any other type) is no value; nothing raises. `name` and `kind`
    never decide: five instrumentations call their client spans INTERNAL and names are free text.
    """
    if not attributes:
        return None
    plain = _plain(attributes)
    get, said = plain.get, dialect(frozenset(plain.keys() & attribute.KNOWN))
    aggregate = said.tells_kind and _is_aggregate(get)
    manual = get(attribute.MANUAL) is True
    cost = _first_cost(get, said.cost) if said.cost else None
    provider = _first_text(get, said.provider)
    counts = _counts(get, said, scope, provider)
    if counts is None:
        if aggregate or failed or not (manual or _is_call(get)) or get(attribute.ERROR_TYPE):
            return None
        # images and the like may cost money without tokens
        counts = _UNKNOWN if cost is None else _NOTHING
    asked = _text(get(attribute.REQUEST_MODEL))
    model = _first_text(get, said.model) or asked
    return UsageFact(
        *counts,
        cost,
        provider,
        model,
        None if aggregate else _response_id(get),
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent_span_id,
        scope=scope,
        start_ns=start_ns,
        end_ns=end_ns,
        role=AGGREGATE if aggregate else LLM,
        request_model=asked if asked != model else None,
        metered=counts[0] is not None,
        manual=manual,
    )


def _counts(get: Get, said: Dialect, scope: str, provider: str | None) -> Counted | None:
    """Return all tokens of a call; None where there are none, or none but zeros."""
    prompt, completion = _first(get, said.prompt), _first(get, said.completion)
    total = _first(get, said.total)
    if not (prompt or completion or total):
        return None
    read = _first(get, said.cache_read) if said.cache_read else None
    write = _first(get, said.cache_write) if said.cache_write else None
    reasoning = _first(get, said.reasoning) if said.reasoning else None
    prompt, completion = whole_counts(
        prompt,
        completion,
        total,
        cached=(read or 0) + (write or 0),
        reasoning=reasoning or 0,
        exclusive=scope in attribute.CACHE_EXCLUSIVE_SCOPES,
        google=bool(read or write) and _is_google(scope, provider),
    )
    return prompt, completion, read, write, reasoning


def whole_counts(
    prompt: int | None,
    completion: int | None,
    total: int | None,
    *,
    cached: int,
    reasoning: int,
    exclusive: bool = False,
    google: bool = False,
) -> tuple[int, int]:
    """Return (all input tokens, all generated tokens) from what an emitter reports of one call.

    Cached tokens are added where they were left out: known emitters, more cached than prompt, or
    a total that includes them (never Google's, whose totals include thoughts instead). What a
    total has beyond both parts was generated (Gemini's thoughts under OpenLLMetry).
    """
    if prompt is None:
        prompt = max(0, (total or 0) - (completion or 0))
    completion = completion or 0
    if cached and (
        exclusive
        or cached > prompt
        or (not google and total is not None and total == prompt + completion + cached)
    ):
        prompt += cached
    if total is not None and total > prompt + completion:
        completion = total - prompt
    if reasoning > completion:
        completion += reasoning
    return prompt, completion


def _plain(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the plain dict inside the SDK's locked mapping, whose own look-ups cost 20 times more."""
    if type(attributes) is dict:
        return cast("dict[str, Any]", attributes)
    inner = cast("object", getattr(attributes, "_dict", None))
    return cast("dict[str, Any]", inner) if type(inner) is dict else attributes


def _first(get: Get, names: Names) -> int | None:
    for name in names:
        value = get(name)
        if value is not None:
            number = value if type(value) is int and 0 <= value <= LARGEST_COUNT else count(value)
            if number is not None:
                return number
    return None


def _first_cost(get: Get, names: Names) -> Decimal | None:
    """Return the first cost above zero: a reported zero is how unknown models are priced."""
    for name in names:
        value = get(name)
        if value is not None:
            amount = dollars(value)
            if amount:
                return amount
    return None


def _text(value: object) -> str | None:
    if isinstance(value, str) and value:
        return value if len(value) <= _LONGEST_TEXT else value[:_LONGEST_TEXT]
    return None


def _first_text(get: Get, names: Names) -> str | None:
    for name in names:
        value = get(name)
        if value is not None:
            text = _text(value)
            if text is not None:
                return text
    return None


def _is_aggregate(get: Get) -> bool:
    operation, kind, task = (
        get(attribute.OPERATION),
        get(attribute.OPENINFERENCE_KIND),
        get(attribute.TRACELOOP_KIND),
    )
    return (
        (isinstance(operation, str) and operation in attribute.AGGREGATE_OPERATIONS)
        or (isinstance(kind, str) and kind in attribute.AGGREGATE_KINDS)
        or (isinstance(task, str) and task in attribute.AGGREGATE_TRACELOOP_KINDS)
        or get(attribute.AGGREGATE) is True
        or (operation is kind is task is None and _is_nameless_agent(get))
    )


def _is_nameless_agent(get: Get) -> bool:
    """Tell whether a span without any operation or kind names an agent."""
    return get(attribute.REQUEST_TYPE) is None and any(
        get(name) is not None for name in attribute.AGENT_NAMES
    )


def _is_call(get: Get) -> bool:
    operation, kind, request = (
        get(attribute.OPERATION),
        get(attribute.OPENINFERENCE_KIND),
        get(attribute.REQUEST_TYPE),
    )
    return (
        (isinstance(operation, str) and operation in attribute.CALL_OPERATIONS)
        or (isinstance(kind, str) and kind in attribute.CALL_KINDS)
        or (isinstance(request, str) and request in attribute.CALL_OPERATIONS)
    )


def _is_google(scope: str, provider: str | None) -> bool:
    where = f"{scope} {provider or ''}".lower()
    return any(word in where for word in _GOOGLE)


def _response_id(get: Get) -> str | None:
    direct = _text(get(attribute.RESPONSE_ID))
    if direct is not None:
        return direct
    output = get(attribute.OUTPUT_VALUE)
    return id_in_output(output) if isinstance(output, str) else None


def id_in_output(output: str) -> str | None:
    """Return the response id inside an OpenInference `output.value`, or None when there is no one id.

    Only the beginning is read. Quotes inside message text are escaped in JSON, so a text that
    mentions an id does not count; several ids of one kind are ambiguous and give None.
    """
    top = _TOP_LEVEL_ID.match(output)
    if top is not None:
        return top.group(1)
    head = output[:_OUTPUT_SCANNED]
    if not head.lstrip().startswith("{") or not any(hint in head for hint in _INNER_HINTS):
        return None
    found = set(_INNER_ID.findall(head))
    for prefix in ("resp_", "chatcmpl-", "msg_"):
        same_kind = [text for text in found if text.startswith(prefix)]
        if same_kind:
            return same_kind[0] if len(same_kind) == 1 else None
    return None
