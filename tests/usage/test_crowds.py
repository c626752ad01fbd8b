"""Crowds of witnesses that say the same: told apart in time that grows with their number, not faster."""

from __future__ import annotations

import time

import pytest

from jobspan.model.usage.fact import UsageFact
from jobspan.model.usage.resolve import resolve

SECOND = 1_000_000_000


def fact(trace: str, span: str, scope: str, start_ns: int, end_ns: int, *, manual: bool = False) -> UsageFact:
    return UsageFact(
        prompt=10,
        trace_id=trace,
        span_id=span,
        parent_span_id=None,
        scope=scope,
        start_ns=start_ns,
        end_ns=end_ns,
        manual=manual,
    )


@pytest.mark.parametrize("calls", [10, 60])
def test_equal_calls_one_after_the_other_with_a_record_after_each_are_resolved_soon(calls: int) -> None:
    trace = "4f33e3c7188366741e8b0005d2f35767"
    facts: list[UsageFact] = []
    for number in range(calls):
        at = SECOND + number * 1_000_000
        seen = fact(trace, f"{number:016x}", "opentelemetry.instrumentation.x", at, at + 300_000)
        hand = fact(trace, f"w!{number}", "jobspan", at + 400_000, at + 400_000, manual=True)
        facts += [seen, hand]
    begun = time.thread_time()
    calls_found = resolve(facts).calls
    assert time.thread_time() - begun < 5
    assert calls <= len(calls_found) <= 2 * calls
