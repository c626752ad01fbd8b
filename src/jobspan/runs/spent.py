"""Adds up what a run and the runs in it have spent, from the facts this process books: each call once."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from jobspan.ledger.price import price_of
from jobspan.model.usage.call import Call
from jobspan.model.usage.fact import UsageFact
from jobspan.model.usage.number import PICO
from jobspan.model.usage.resolve import resolve
from jobspan.model.usage.tree import SpanKey
from jobspan.spans.usage import usage_processor

_MOST_FACTS = 20_000
_KEPT_FACTS = 5_000

Place = tuple[str, SpanKey]
"""Where a fact stands: the part it was booked in, and its span, or the id it was given by hand."""


@dataclass(frozen=True, slots=True)
class _Total:
    tokens: int = 0
    pico: int = 0


class Spent:
    """Sums of facts. `most_…` are the plain sums over all witnesses: what was spent is never more.

    Only the newest facts are kept: a witness of a call that comes 5,000 facts after another one counts
    it again.
    """

    def __init__(self, *, by_part: bool) -> None:
        self._by_part = by_part
        self.errors = 0
        self.most_tokens = 0
        self.most_pico = 0
        self._facts: dict[Place, UsageFact] = {}
        self._parts: dict[str, dict[SpanKey, UsageFact]] = {}
        self._calls: dict[str, tuple[Call, ...]] = {}
        """By part, where no fact came since they were resolved."""
        self._links: dict[SpanKey, str | None] = {}
        self._costs: dict[tuple[str, str], int] = {}
        self._prices: dict[SpanKey, int] = {}
        self._unpriced: list[UsageFact] = []
        self._before = _Total()
        """Of facts that are no longer kept."""

    def add(self, part: str, key: SpanKey, fact: UsageFact, is_loose: bool) -> None:
        """Take a fact, in the place of the one with the same key."""
        if is_loose and self._by_part:  # it may be about calls of the parts: they are resolved together
            self._by_part = False
            self._calls.clear()
            for (_, known), kept in self._facts.items():
                self._parts.setdefault("", {})[known] = kept
        part = part if self._by_part else ""
        self.void(part, key)
        self._facts[part, key] = fact
        self._parts.setdefault(part, {})[key] = fact
        self._calls.pop(part, None)
        self.most_tokens += fact.total
        self.most_pico += _pico(fact.cost)
        if fact.cost is None and fact.total:
            self._unpriced.append(fact)
        if len(self._facts) > _MOST_FACTS:
            self._forget()

    def void(self, part: str, key: SpanKey) -> None:
        """Take a fact away."""
        part = part if self._by_part else ""
        fact = self._parts.get(part, {}).pop(key, None)
        if fact is not None:
            self._facts.pop((part, key), None)
            self._calls.pop(part, None)
            self.most_tokens -= fact.total
            self.most_pico -= _pico(fact.cost) + self._prices.pop((fact.trace_id, fact.span_id), 0)

    def add_cost(self, key: tuple[str, str], micro_usd: int) -> None:
        """Take a cost, in the place of the one with the same key."""
        pico = micro_usd * 1_000_000
        self.most_pico += pico - self._costs.get(key, 0)
        self._costs[key] = pico

    def add_error(self) -> None:
        """Count an error."""
        self.errors += 1

    @property
    def can_price(self) -> bool:
        """Whether there is a price list now for calls whose cost nobody reported."""
        return bool(self._unpriced) and hasattr(sys.modules.get("genai_prices"), "calc_price")

    def price(self) -> None:
        """Look up what nobody reported, if the list is loaded: loading it is the background's to do."""
        if not self.can_price:
            return
        unpriced, self._unpriced = self._unpriced, []
        for fact in unpriced:
            found = price_of(fact)
            if found is not None:
                pico = self._prices[fact.trace_id, fact.span_id] = _pico(Decimal(found[0]))
                self.most_pico += pico

    def tokens(self) -> int:
        """Return the tokens of all calls, each counted once."""
        return self._total().tokens

    def pico(self) -> int:
        """Return what all calls and all else cost, as far as it is known."""
        return self._total().pico

    def _total(self) -> _Total:
        for part, facts in self._parts.items():
            if part not in self._calls:
                self._calls[part] = resolve(facts.values(), links=self._links_above(facts.values())).calls
        calls = _each_id_once(call for part in self._calls.values() for call in part)
        tokens, pico = self._before.tokens, self._before.pico + sum(self._costs.values())
        for call in calls:
            tokens += call.total
            pico += self._prices.get(call.speaker, 0) if call.cost is None else _pico(call.cost)
        return _Total(tokens, pico)

    def _links_above(self, facts: Iterable[UsageFact]) -> dict[SpanKey, str | None]:
        for fact in facts:
            if fact.parent_span_id and fact.trace_id:
                self._links.update(usage_processor.links_above(fact.trace_id, fact.parent_span_id))
        return self._links

    def _forget(self) -> None:
        """Keep the newest facts, and of the others what they add up to."""
        all_of_them = self._total()
        for part, key in list(self._facts)[:-_KEPT_FACTS]:
            fact = self._facts.pop((part, key))
            facts = self._parts[part]
            del facts[key]
            if not facts:
                del self._parts[part]
            self._prices.pop((fact.trace_id, fact.span_id), None)
        self._links.clear()
        self._calls.clear()
        kept = self._total()
        before = self._before
        self._before = _Total(
            before.tokens + all_of_them.tokens - kept.tokens, before.pico + all_of_them.pico - kept.pico
        )


def _each_id_once(calls: Iterable[Call]) -> list[Call]:
    """Return the calls; of several with one id the latest."""
    found: dict[object, Call] = {}
    for number, call in enumerate(calls):
        name: object = number if call.id is None else call.id
        held = found.get(name)
        if held is None or (held.at_ns, held.speaker) < (call.at_ns, call.speaker):
            found[name] = call
    return list(found.values())


def _pico(cost: Decimal | None) -> int:
    return 0 if cost is None else int(cost * PICO)
