"""Sums over calls, and the line that people read."""

from __future__ import annotations

import ast
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import jobspan.model.usage
from jobspan.model.usage.call import Call
from jobspan.model.usage.response import given_usage
from jobspan.model.usage.summary import money, summarise, usage_line


def call(prompt: int, completion: int, model: str | None = "gpt-4o", **fields: Any) -> Call:
    return Call(key="k", prompt=prompt, completion=completion, model=model, **fields)


def test_the_line_says_everything() -> None:
    calls = [call(900, 140, cache_read=600, reasoning=90, cost=Decimal("0.00123")) for _ in range(10)]
    calls += [call(250, 50, "text-embedding-3-small", cost=Decimal(0)) for _ in range(2)]
    summary = summarise(calls, unmetered=1)
    assert usage_line(summary) == (
        "12 calls: 9,500 in (6,000 cached) + 1,500 out (900 reasoning) = 11,000; ≥ $0.0123; "
        "gpt-4o \u00d710, text-embedding-3-small \u00d72; 1 call reported no usage"
    )
    assert (summary.prompt, summary.completion, summary.total) == (9500, 1500, 11_000)


def test_the_sum_of_costs_is_exact_when_all_is_priced() -> None:
    summary = summarise([call(1, 1, cost=Decimal("0.1")) for _ in range(3)])
    assert summary.cost == Decimal("0.3")
    assert usage_line(summary) == "3 calls: 3 in + 3 out = 6; $0.3000; gpt-4o \u00d73"


def test_what_is_unpriced_is_named_and_makes_the_sum_a_lower_bound() -> None:
    summary = summarise([call(1, 1, cost=Decimal(2)), call(5, 5, "new-model"), call(5, 5, None)])
    assert (summary.unpriced, summary.unpriced_models) == (2, ("new-model", "unknown model"))
    assert "≥ $2.00" in usage_line(summary)


def test_nothing_priced_shows_no_cost() -> None:
    summary = summarise([call(1, 1)])
    assert summary.cost is None
    assert "$" not in usage_line(summary)


def test_one_call_is_singular_and_no_call_is_empty() -> None:
    assert usage_line(summarise([call(1, 0)])).startswith("1 call: 1 in + 0 out = 1")
    assert usage_line(summarise([])) == ""
    assert usage_line(summarise([], unmetered=2)) == "2 calls reported no usage"


def test_a_sum_over_requests_counts_as_so_many_calls() -> None:
    assert summarise([call(780, 72, requests=3)]).calls == 3


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"),
        ("0.0123", "$0.0123"),
        ("0.00000132", "$0.0000013"),
        ("1.005", "$1.01"),
        ("1234.5", "$1,234.50"),
    ],
)
def test_money_is_short_and_never_zero_when_it_is_not(amount: str, text: str) -> None:
    assert money(Decimal(amount)) == text


CALLS = st.builds(
    Call,
    key=st.just("k"),
    prompt=st.integers(0, 10**6),
    completion=st.integers(0, 10**6),
    cost=st.one_of(st.none(), st.decimals(0, 10, places=9)),
    model=st.sampled_from([None, "a", "b"]),
)


@given(st.lists(CALLS), st.randoms(use_true_random=False))
def test_sums_do_not_depend_on_order(calls: list[Call], chance: Any) -> None:
    shuffled = list(calls)
    chance.shuffle(shuffled)
    summary = summarise(calls)
    assert summarise(shuffled) == summary
    assert summary.total == sum(one.total for one in calls)
    assert sum(number for _, number in summary.models) == summary.calls == len(calls)


def test_numbers_given_by_hand_are_checked() -> None:
    reading = given_usage(input_tokens=100, output_tokens=20, cached_tokens=60, cost_usd="0.01", model="m")
    assert (reading.prompt, reading.completion, reading.cache_read) == (100, 20, 60)
    assert (reading.cost, reading.metered) == (Decimal("0.01"), True)
    assert given_usage(input_tokens=True, output_tokens=-1, cost_usd="x").metered is False
    assert given_usage(input_tokens=0).metered
    assert given_usage(cost_usd=0).cost == 0


def test_the_part_is_pure() -> None:
    allowed = {"__future__", "bisect", "collections", "contextlib", "dataclasses", "decimal", "functools"}
    allowed |= {"inspect", "operator", "re", "typing"}
    for path in Path(jobspan.model.usage.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                own = name.startswith("jobspan.model.usage")
                assert own or name.partition(".")[0] in allowed, (path.name, name)
