"""Usage booked by hand: numbers checked, and put into the words of the journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobspan.model.counters import clean_count, clean_money
from jobspan.model.numbers import Sums


def usage_event(numbers: Mapping[str, object], cost_usd: object) -> tuple[dict[str, Any], list[str]]:
    """Return the usage part of an event, and what was left out and why.

    A call without a single number counts as unmetered, one without a cost as unpriced: neither is 0.
    """
    sums: Sums = {"calls": 1}
    problems: list[str] = []
    for name, value in numbers.items():
        if value is None:
            continue
        number, reason = clean_count(value)
        if number is None:
            problems.append(f"{name} tokens were left out: {reason}")
        else:
            sums[name] = number
    if "prompt" not in sums and "completion" not in sums:
        sums["unmetered"] = 1
    micro, reason = (None, None) if cost_usd is None else clean_money(cost_usd)
    if micro is not None:
        sums["llm_cost"] = micro
    else:
        sums["unpriced"] = 1
        if reason:
            problems.append(f"cost was left out: {reason}")
    return {"n": sums}, problems
