"""Usage facts as they are written into the journal: the JSON of `UsageFact.to_dict`, without secrets.

Written out by hand, and from a span without making a fact of it first: on the caller's path.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quote

from jobspan.model.usage.fact import LLM, UsageFact
from jobspan.model.usage.normalise import Counted, Telling
from jobspan.spans.roster import Home, Names

_KNOWN_ID = re.compile(
    r"(?:chatcmpl|cmpl|resp|msg|gen|embd)[-_][0-9A-Za-z_-]{1,120}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
_is_known_id = _KNOWN_ID.fullmatch
"""Neither is there a secret in such an id, nor anything that JSON would escape."""


def fact_json(home: Home | None, fact: UsageFact) -> str:
    """Return a fact as JSON, its names and its id without secrets."""
    counts = fact.prompt, fact.completion, fact.cache_read, fact.cache_write, fact.reasoning
    parent = "" if fact.parent_span_id is None else f',"p":"{fact.parent_span_id}"'
    return _fact_json(
        home,
        f'{{"t":"{fact.trace_id}","s":"{fact.span_id}","b":{fact.start_ns},"e":{fact.end_ns}{parent}',
        counts,
        (fact.scope, fact.model, fact.provider, fact.request_model),
        fact.response_id,
        _rarely_said(fact.cost, fact.role, fact.metered, fact.manual, fact.requests),
    )


def telling_json(
    home: Home | None,
    telling: Telling,
    trace_id: str,
    span_id: str,
    parent_span_id: str | None,
    start_ns: int,
    end_ns: int,
) -> str:
    """Return the same of what a span tells."""
    speaker, counts, response_id, cost, role, manual = telling
    metered = counts[0] is not None
    parent = "" if parent_span_id is None else f',"p":"{parent_span_id}"'
    is_usual = cost is None and metered and role == LLM and not manual
    return _fact_json(
        home,
        f'{{"t":"{trace_id}","s":"{span_id}","b":{start_ns},"e":{end_ns}{parent}',
        counts,
        speaker.names,
        response_id,
        "" if is_usual else _rarely_said(cost, role, metered, manual, 1),
    )


def _fact_json(
    home: Home | None, said: str, counts: Counted, names: Names, response_id: str | None, rare: str
) -> str:
    prompt, completion, read, write, reasoning = counts
    if prompt is not None:
        said += f',"in":{prompt},"out":{completion}'
    if read is not None:
        said += f',"cr":{read}'
    if write is not None:
        said += f',"cw":{write}'
    if reasoning is not None:
        said += f',"re":{reasoning}'
    said += _names_json(names if home is None else home.clean_names(names))
    if response_id:
        if _is_known_id(response_id) is not None:
            return f'{said},"id":"{response_id}"{rare}}}'
        said += f',"id":{quote(response_id if home is None else home.clean_key(response_id))}'
    return f"{said}{rare}}}"


def names_json(home: Home | None, names: Names) -> str:
    """Return the names of scope, model, provider and requested model as they stand in a fact's JSON."""
    return _names_json(names if home is None else home.clean_names(names))


@lru_cache(maxsize=1024)
def _names_json(names: Names) -> str:
    said = zip(("sc", "m", "pr", "rm"), names, strict=True)
    return "".join([f',"{key}":{quote(name)}' for key, name in said if name])


def _rarely_said(cost: Decimal | None, role: str, metered: bool, manual: bool, requests: int) -> str:
    said = "" if cost is None else f',"c":"{cost}"'
    if role != LLM:
        said += f',"r":"{role}"'
    if not metered:
        said += ',"me":false'
    if manual:
        said += ',"h":true'
    return said if requests == 1 else f'{said},"n":{requests}'
