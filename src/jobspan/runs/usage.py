"""Usage booked by hand: responses read, numbers checked, and put into the words of the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from json.encoder import encode_basestring_ascii as quote
from typing import Any, Final

from opentelemetry.trace import get_current_span

from jobspan._guard import guarded
from jobspan.model.counters import clean_count, clean_money
from jobspan.model.usage.attribute import OWN_SCOPE
from jobspan.model.usage.fact import UsageFact
from jobspan.model.usage.number import LARGEST_COUNT, dollars
from jobspan.model.usage.response import Reading, given_usage, is_apify_run, read_response
from jobspan.runs.naming import said
from jobspan.spans.context import SPAN_KEY, current_context
from jobspan.spans.fact_text import fact_json, names_json
from jobspan.spans.roster import Home, roster
from jobspan.spans.span import RunSpan
from jobspan.spans.usage import usage_processor

NOTHING: Final[Any] = object()
"""Stands for a response that was not given: None is one that a call may have returned."""

_COUNTS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
_LONGEST_NAME = 200
_PLACE = guarded("usage.place")


def plain_usage(
    home: Home,
    prompt: object,
    completion: object,
    cached: object,
    reasoning: object,
    model: object,
    provider: object,
) -> str | None:
    """Return the event of a call of which no more is known than its numbers, as `book_reading` writes it.

    A tenth of the time of that, for whoever records each call by hand. None: it is not so plain.
    """
    span = current_context().get(SPAN_KEY)
    if type(span) is not RunSpan or type(prompt) is not int or not 0 <= prompt <= LARGEST_COUNT:
        return None
    if completion is None:
        completion = 0
    elif type(completion) is not int or not 0 <= completion <= LARGEST_COUNT:
        return None
    trace, parent = span.hex_ids
    rest = ""
    if cached is not None:
        if type(cached) is not int or not 0 <= cached <= prompt:
            return None
        rest += f',"cr":{cached}'
    if reasoning is not None:
        if type(reasoning) is not int or not 0 <= reasoning <= completion:
            return None
        rest += f',"re":{reasoning}'
    named = _plain_names(home, model, provider)
    if named is None:
        return None
    return (
        f'"e":"usage","u":{{"t":"{trace}","s":"","b":0,"e":0,"p":"{parent}","in":{prompt},"out":{completion}'
        f'{rest}{named},"h":true}}'
    )


def _plain_names(home: Home, model: object, provider: object) -> str | None:
    if model is not None and (type(model) is not str or not 0 < len(model) <= _LONGEST_NAME):
        return None
    if provider is not None and (type(provider) is not str or not 0 < len(provider) <= _LONGEST_NAME):
        return None
    return names_json(home, (OWN_SCOPE, model, provider, None))


def usage_reading(
    response: object,
    numbers: Sequence[object],
    model: object,
    provider: object,
    id: object,
    cost_usd: object,
) -> tuple[Reading | None, list[str]]:
    """Return what is to be booked, if anything, and what was left out and why.

    What is given beside a response holds against what the response says.
    """
    given, problems = _checked(numbers, model, provider, id, cost_usd)
    if response is NOTHING:
        return given, problems
    reading = read_response(response)
    if reading is None:
        if is_apify_run(response):
            problems.append("record_usage was given an Apify run, which counts compute units, not tokens")
            return None, problems
        if not (response is None or isinstance(response, str | bytes | int | float | Decimal)):
            return None, problems  # an agent that asked no model
        reading = Reading()
    return with_given(reading, given), problems


def _checked(
    numbers: Sequence[object], model: object, provider: object, id: object, cost_usd: object
) -> tuple[Reading, list[str]]:
    counts: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in zip(_COUNTS, numbers, strict=True):
        counts[name], reason = (None, None) if value is None else clean_count(value)
        if reason:
            problems.append(f"{name} were left out: {reason}")
    cost = None
    if cost_usd is not None:
        micro, reason = clean_money(cost_usd)
        cost = dollars(cost_usd) if micro is not None else None
        if cost is None and micro is not None:
            cost = Decimal(micro) / 1_000_000
        if reason:
            problems.append(f"cost was left out: {reason}")
    texts = [None if value is None else said(value) for value in (model, provider, id)]
    given = given_usage(**counts, model=texts[0], provider=texts[1], response_id=texts[2], cost_usd=cost)
    return given, problems


def with_given(reading: Reading, given: Reading) -> Reading:
    """Return a reading with what else is known of the call in the place of what it says itself."""
    if given.prompt or given.completion:
        reading = replace(
            reading,
            prompt=given.prompt,
            completion=given.completion,
            cache_read=given.cache_read,
            cache_write=given.cache_write,
            reasoning=given.reasoning,
            metered=given.metered,
            aggregate=given.aggregate,
            requests=given.requests,
        )
    told = {name: getattr(given, name) for name in ("cost", "provider", "model", "response_id")}
    return replace(reading, **{name: value for name, value in told.items() if value is not None})


def home_of_call() -> tuple[Home | None, str]:
    """Return the run a call belongs to that is made here, and how it was guessed if nothing says it."""
    home = roster.live()
    if home is not None and home.is_known:
        return home, ""
    guessed = roster.guess()
    return roster.last_resort() if guessed[0] is None else guessed


def book_reading(home: Home, reading: Reading, by: str = "") -> None:
    """Book what a response says it used, beneath the current span; `by` says how the run was guessed."""
    fact, place = _reading_fact(reading)
    key = "" if reading.response_id is None else f',"key":{quote(home.clean_key(reading.response_id))}'
    guess = f',"by":"{by}"' if by else ""
    text = fact_json(home, replace(fact, response_id=None))
    home.book(f'"e":"usage"{guess},"u":{text}{key}')
    if home.budget is not None:
        home.budget.take(home, fact, by)
    if place is not None:
        usage_processor.expect(*place, home)


def _reading_fact(reading: Reading) -> tuple[UsageFact, tuple[int, int] | None]:
    """Return a reading as a fact, and the foreign span it stands beneath, if any.

    The span id and the times are the event's own.
    """
    trace_id = span_id = 0
    place: tuple[int, int] | None = None
    with _PLACE:
        current = get_current_span()
        context = current.get_span_context()
        if context.is_valid:
            trace_id, span_id = context.trace_id, context.span_id
            place = None if isinstance(current, RunSpan) else (trace_id, span_id)
    fact = reading.to_fact(
        trace_id=f"{trace_id:032x}" if trace_id else "",
        span_id="",
        parent_span_id=f"{span_id:016x}" if span_id else None,
        at_ns=0,
    )
    return fact, place
