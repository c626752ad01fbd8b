"""Make facts as the real emitters would, in the shapes in which they see one call."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

from jobspan.model.usage.call import Call
from jobspan.model.usage.fact import AGGREGATE, UsageFact
from jobspan.model.usage.resolve import Resolution, resolve

NATIVE = "com.anthropic.sdk.python"
OFFICIAL = "opentelemetry.instrumentation.genai.openai"
TL_OPENAI = "opentelemetry.instrumentation.openai.v1"
TL_ANTHROPIC = "opentelemetry.instrumentation.anthropic"
TL_LANGCHAIN = "opentelemetry.instrumentation.langchain"
OI_OPENAI = "openinference.instrumentation.openai"
OI_LANGCHAIN = "openinference.instrumentation.langchain"
OI_LITELLM = "openinference.instrumentation.litellm"
LOGFIRE = "logfire.openai"
PYDANTIC = "pydantic-ai"
STRANDS = "strands.telemetry.tracer"
LITELLM = "litellm"
OWN = "jobspan"

MS = 1_000_000
RUN = "run"

_numbers = itertools.count(1)


def long_id(text: object, prefix: str = "chatcmpl-") -> str:
    return f"{prefix}{text!s:0>24}"


def fact(scope: str, prompt: int | None = 100, completion: int | None = 20, **fields: Any) -> UsageFact:
    """Return a fact of an emitter; times `at` (start, end) are in milliseconds."""
    start, end = fields.pop("at", (0, 100))
    values: dict[str, Any] = {
        "trace_id": "trace",
        "span_id": f"span{next(_numbers)}",
        "parent_span_id": RUN,
        "scope": scope,
        "start_ns": 10**18 + int(start * MS),
        "end_ns": 10**18 + int(end * MS),
        "prompt": prompt,
        "completion": completion,
        "model": "gpt-4o",
        "metered": prompt is not None,
    }
    return UsageFact(**{**values, **fields})


def silent(scope: str, **fields: Any) -> UsageFact:
    return fact(scope, None, None, **fields)


def total_of_agent(scope: str, prompt: int, completion: int, **fields: Any) -> UsageFact:
    return fact(scope, prompt, completion, role=AGGREGATE, **fields)


def by_hand(prompt: int | None = 100, completion: int | None = 20, **fields: Any) -> UsageFact:
    return fact(OWN, prompt, completion, **{"manual": True, "at": (101, 101), **fields})


def beneath(parent: UsageFact, child: UsageFact) -> UsageFact:
    return replace(child, parent_span_id=parent.span_id, trace_id=parent.trace_id)


def totals(found: Resolution) -> tuple[int, int, int]:
    calls: tuple[Call, ...] = found.calls
    return len(calls), sum(call.prompt for call in calls), sum(call.completion for call in calls)


def counted(
    *facts: UsageFact, links: dict[tuple[str, str], str | None] | None = None
) -> tuple[int, int, int]:
    """Return (calls, prompt, completion), after checking that the reverse order gives the same."""
    found = resolve(facts, links=links)
    assert resolve(facts[::-1] + facts, links=links) == found
    return totals(found)


def unmetered(*facts: UsageFact) -> int:
    found = resolve(facts)
    assert resolve(facts[::-1] + facts) == found
    return found.unmetered
