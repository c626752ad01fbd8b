"""Turn the attributes of any instrumentation's GenAI span into one `UsageFact`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

from jobspan.model.usage import attribute
from jobspan.model.usage.dialect import Dialect, Names, dialect
from jobspan.model.usage.fact import AGGREGATE, UsageFact
from jobspan.model.usage.name import text_of
from jobspan.model.usage.number import LARGEST_BITS, count, dollars, whole_counts
from jobspan.model.usage.speaker import Get, Speaker, speaker_of

Counted = tuple[int | None, int | None, int | None, int | None, int | None]
"""All input, all generated, cache read, cache written, reasoning."""

Telling = tuple[Speaker, Counted, str | None, Decimal | None, str, bool]
"""Who speaks, the counts, response id, cost, role, and whether it was recorded by hand.

A fact without its ids and times, in the form that takes least to make: on the caller's path.
"""

_UNKNOWN: Counted = (None, None, None, None, None)
_NOTHING: Counted = (0, 0, None, None, None)

_OUTPUT_SCANNED = 16_384
_TOP_LEVEL_ID = re.compile(r'\s*\{\s*"id"\s*:\s*"([^"\\]{1,200})"')
_INNER_ID = re.compile(r'(?<!\\)"(?:response_)?id"\s*:\s*"((?:resp_|chatcmpl-|msg_)[^"\\]{1,200})"')
_INNER_HINTS = ('"resp_', '"chatcmpl-', '"msg_')


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
    telling = read_usage(_plain(attributes), scope)
    if telling is None or (failed and not has_tokens(telling)):
        return None
    return fact_from(telling, trace_id, span_id, parent_span_id, start_ns, end_ns)


def read_usage(attributes: Mapping[str, Any], scope: str) -> Telling | None:
    """Return what a plain mapping of attributes says one LLM call used; None when it says nothing.

    As `normalise`, for whoever cannot wait for a whole fact. Where it has no tokens it counts only if the
    span did not fail.
    """
    said = dialect(frozenset(attributes.keys() & attribute.KNOWN))
    speaker, get = speaker_of(said, scope, attributes), attributes.get
    role, manual = speaker.role, False
    if said.is_flagged:
        manual = get(attribute.MANUAL) is True
        if get(attribute.AGGREGATE) is True:
            role = AGGREGATE
    cost = _first_cost(get, said.cost) if said.cost else None
    counts = _counts(get, said, speaker)
    if counts is None:
        if role == AGGREGATE or not (manual or speaker.tells_call) or get(attribute.ERROR_TYPE):
            return None
        # images and the like may cost money without tokens
        counts = _UNKNOWN if cost is None else _NOTHING
    return speaker, counts, None if role == AGGREGATE else _response_id(get), cost, role, manual


def has_tokens(telling: Telling) -> bool:
    """Tell whether a call used any tokens, as far as is known."""
    return bool(telling[1][0] or telling[1][1])


def fact_from(
    telling: Telling, trace_id: str, span_id: str, parent_span_id: str | None, start_ns: int, end_ns: int
) -> UsageFact:
    """Return what a span says as a fact."""
    speaker, counts, response_id, cost, role, manual = telling
    return UsageFact(
        *counts,
        cost,
        speaker.provider,
        speaker.model,
        response_id,
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent_span_id,
        scope=speaker.scope,
        start_ns=start_ns,
        end_ns=end_ns,
        role=role,
        request_model=speaker.request_model,
        metered=counts[0] is not None,
        manual=manual,
    )


def _counts(get: Get, said: Dialect, speaker: Speaker) -> Counted | None:
    """Return all tokens of a call; None where there are none, or none but zeros."""
    found = prompt, completion, total, read, write, reasoning = (*map(get, said.first_counts),)
    if (*map(type, found),) != said.usual_types or (
        (prompt or 0) | (completion or 0) | (total or 0) | (read or 0) | (write or 0) | (reasoning or 0)
    ) >> LARGEST_BITS:  # a bad value, or a count in another form: then by the other names
        prompt, completion, total, read, write, reasoning = [_first(get, names) for names in said.counts]
    if not (prompt or completion or total):
        return None
    prompt, completion = whole_counts(
        prompt,
        completion,
        total,
        (read or 0) + (write or 0),
        reasoning or 0,
        speaker.excludes_cache,
        speaker.is_google,
    )
    return prompt, completion, read, write, reasoning


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
            number = count(value)
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


def _response_id(get: Get) -> str | None:
    direct = text_of(get(attribute.RESPONSE_ID))
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
