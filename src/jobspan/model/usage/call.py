"""One call of a model, as its witnesses together tell it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from jobspan.model.usage.fact import UsageFact
from jobspan.model.usage.group import Groups
from jobspan.model.usage.identity import unique_id
from jobspan.model.usage.tree import SpanKey


@dataclass(frozen=True, slots=True)
class Call:
    """One call that counts: its usage, and which witness spoke.

    `key` is the same however often the call is resolved from the same facts. `id` is the provider's id of
    the response, or the one it was recorded with by hand. `speaker` is the span of the witness whose
    numbers hold. `requests` is above 1
    where only a sum over several calls is known. `metered` is False where only a part was seen.
    `cost` is in US dollars, None when no witness reported one.
    """

    key: str
    prompt: int
    completion: int
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    cost: Decimal | None = None
    provider: str | None = None
    model: str | None = None
    requests: int = 1
    metered: bool = True
    at_ns: int = 0
    spans: tuple[SpanKey, ...] = ()
    id: str | None = None
    speaker: SpanKey = ("", "")

    @property
    def total(self) -> int:
        """Return prompt plus completion."""
        return self.prompt + self.completion

    @property
    def cached(self) -> int | None:
        """Return the input tokens read from a cache, a part of `prompt`."""
        return self.cache_read


def call_of(groups: Groups, root: int) -> Call | None:
    """Make the call of a group, or None when no witness in it has numbers.

    One witness gives both counts; what it does not report (cache, reasoning, cost, names) comes from
    the first other one that does and agrees with it.
    """
    speaker = groups.speaker(root)
    if speaker is None:
        return None
    voices = [groups.facts[i] for i in dict.fromkeys((speaker, *groups.by_voice(root)))]
    first = voices[0]
    absorbing = groups.root(root) in groups.absorber
    same = [first] if absorbing else voices
    name = min((text for fact in voices if (text := unique_id(fact))), default=None)
    name = name or min(
        (fact.response_id for fact in voices if fact.manual and fact.response_id), default=None
    )
    return Call(
        key=name or _span_text(first),
        prompt=first.prompt or 0,
        completion=first.completion or 0,
        cache_read=_part([fact.cache_read for fact in same], first.prompt),
        cache_write=_part([fact.cache_write for fact in same], first.prompt),
        reasoning=_part([fact.reasoning for fact in same], first.completion),
        cost=next((fact.cost for fact in same if fact.cost is not None), None),
        provider=next((fact.provider for fact in voices if fact.provider), None),
        model=next((fact.model for fact in voices if fact.model), None),
        requests=first.requests,
        metered=first.metered,
        at_ns=first.end_ns,
        spans=tuple(sorted((fact.trace_id, fact.span_id) for fact in voices)),
        id=name,
        speaker=(first.trace_id, first.span_id),
    )


def silent_call(groups: Groups, root: int) -> Call:
    """Make the call of a group that has no numbers."""
    voices = [groups.facts[i] for i in groups.by_voice(root)]
    first = voices[0]
    return Call(
        key=_span_text(first),
        prompt=0,
        completion=0,
        provider=next((fact.provider for fact in voices if fact.provider), None),
        model=next((fact.model for fact in voices if fact.model), None),
        requests=0,
        metered=False,
        at_ns=first.end_ns,
        spans=tuple(sorted((fact.trace_id, fact.span_id) for fact in voices)),
        speaker=(first.trace_id, first.span_id),
    )


def _span_text(fact: UsageFact) -> str:
    return f"{fact.trace_id}:{fact.span_id}"


def _part(values: list[int | None], whole: int | None) -> int | None:
    return next((value for value in values if value is not None and value <= (whole or 0)), None)
