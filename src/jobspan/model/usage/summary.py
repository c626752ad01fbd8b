"""Sum calls into what a client run or job used, and say it in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from jobspan.model.usage.call import Call

UNKNOWN_MODEL = "unknown model"
_TIMES = "\u00d7"


@dataclass(frozen=True, slots=True)
class UsageSummary:
    """Sums over distinct calls. `cached` and `reasoning` are parts of prompt and completion.

    `cost` is the sum of what is priced, in US dollars, None when nothing is. `unmetered` calls told
    no usage, or only a part; those without numbers are not in `calls`. `unpriced` calls have
    tokens but no cost, so `cost` is then a lower bound; `unpriced_models` names their models.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0
    cost: Decimal | None = None
    calls: int = 0
    unmetered: int = 0
    unpriced: int = 0
    models: tuple[tuple[str, int], ...] = ()
    unpriced_models: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Return prompt plus completion, always."""
        return self.prompt + self.completion

    def __str__(self) -> str:
        return usage_line(self)


def summarise(calls: Iterable[Call], *, unmetered: int = 0) -> UsageSummary:
    """Return the sums over `calls`, and over `unmetered` calls without numbers or with a part of them."""
    prompt = completion = cached = reasoning = count = unpriced = 0
    cost: Decimal | None = None
    models: Counter[str] = Counter()
    without_price: set[str] = set()
    for call in calls:
        prompt += call.prompt
        completion += call.completion
        cached += call.cached or 0
        reasoning += call.reasoning or 0
        count += call.requests
        model = call.model or UNKNOWN_MODEL
        models[model] += call.requests
        if call.cost is not None:
            cost = (cost or Decimal(0)) + call.cost
        elif call.total:
            unpriced += call.requests
            without_price.add(model)
    by_use = sorted(models.items(), key=lambda item: (-item[1], item[0]))
    return UsageSummary(
        prompt,
        completion,
        cached,
        reasoning,
        cost,
        count,
        unmetered,
        unpriced,
        tuple(by_use),
        tuple(sorted(without_price)),
    )


def usage_line(summary: UsageSummary) -> str:
    """Return the sums in one line for people; empty when there was no call at all.

    As `12 calls: 9,500 in (6,000 cached) + 1,500 out (900 reasoning) = 11,000; $0.0123` and then the
    models with their number of calls, and how many calls reported no usage.
    """
    parts: list[str] = []
    if summary.calls:
        parts.append(f"{_calls(summary.calls)}: {_tokens(summary)}")
        parts += [text for text in (_money(summary), _models(summary)) if text]
    if summary.unmetered:
        parts.append(f"{_calls(summary.unmetered)} reported no usage")
    return "; ".join(parts)


def money(amount: Decimal) -> str:
    """Return dollars with two decimals, or as many as four digits that count need when it is less."""
    if not amount:
        return "$0.00"
    if amount >= 1:
        return f"${amount.quantize(Decimal('0.01'), ROUND_HALF_UP):,}"
    places = max(4, 1 - amount.adjusted())
    return f"${amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):f}"


def _calls(number: int) -> str:
    return f"{number:,} call" if number == 1 else f"{number:,} calls"


def _tokens(summary: UsageSummary) -> str:
    cached = f" ({summary.cached:,} cached)" if summary.cached else ""
    reasoning = f" ({summary.reasoning:,} reasoning)" if summary.reasoning else ""
    return f"{summary.prompt:,} in{cached} + {summary.completion:,} out{reasoning} = {summary.total:,}"


def _money(summary: UsageSummary) -> str:
    if summary.cost is None:
        return ""
    return f"≥ {money(summary.cost)}" if summary.unpriced or summary.unmetered else money(summary.cost)


def _models(summary: UsageSummary) -> str:
    return ", ".join(f"{name} {_TIMES}{number:,}" for name, number in summary.models if name != UNKNOWN_MODEL)
