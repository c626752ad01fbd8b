from __future__ import annotations

import decimal
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobspan.model.counters import clean_count, clean_money, money_text


class Indexed:
    def __init__(self, number: int) -> None:
        self.number = number

    def __index__(self) -> int:
        return self.number


class Negative(int):
    def __index__(self) -> int:
        return -1


class Broken:
    def __index__(self) -> int:
        raise RuntimeError


@given(st.integers(0, 2**53))
def test_a_whole_number_counts_whatever_its_type(number: int) -> None:
    for value in (number, float(number), Decimal(number), Fraction(number), Indexed(number)):
        assert clean_count(value) == (number, None)
        assert type(clean_count(value)[0]) is int


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (True, "is not a number but bool"),
        ("5", "is not a number but str"),
        (None, "is not a number but NoneType"),
        ([1], "is not a number but list"),
        (1j, "is not a number but complex"),
        (Broken(), "is not a number but Broken"),
        (float("nan"), "is NaN"),
        (Decimal("sNaN"), "is NaN"),
        (float("inf"), "is infinite"),
        (Decimal("-inf"), "is infinite"),
        (-1, "is negative"),
        (Decimal("-1e999999"), "is negative"),
        (1.5, "is not a whole number"),
        (Decimal("1e-999999"), "is not a whole number"),
        (Fraction(1, 3), "is not a whole number"),
        (2**53 + 1, "is more than 2^53"),
        (2**63, "is more than 2^53"),
        (10**400, "is more than 2^53"),
        (1e300, "is more than 2^53"),
        (Decimal("1e999999"), "is more than 2^53"),
        (Indexed(10**5000), "is more than 2^53"),
        (Fraction(10**400), "is not a number but Fraction"),
    ],
)
def test_what_is_no_count_is_refused_with_its_reason(value: object, reason: str) -> None:
    assert clean_count(value) == (None, reason)


def test_a_subclass_of_int_counts_as_the_int_it_is() -> None:
    assert clean_count(Negative(5)) == (5, None)
    assert clean_count(-0.0) == (0, None)


@pytest.mark.parametrize(
    ("value", "micro"),
    [
        ("0.1834", 183_400),
        ("$0.1834", 183_400),
        (" $ 17.90 ", 17_900_000),
        ("1e-3", 1_000),
        (".5", 500_000),
        ("+2", 2_000_000),
        (0.1834, 183_400),
        (0.1 + 0.2, 300_000),
        (2, 2_000_000),
        (Indexed(2), 2_000_000),
        (Fraction(1, 2), 500_000),
        (0, 0),
        (10**9, 10**15),
        (Decimal("0.0000005"), 0),
        (Decimal("0.0000015"), 2),
        (Decimal("0.0000025"), 2),
        (Decimal("0.00000250000000000000000000000000000000000000000000000000000000000001"), 3),
        (Decimal("1e-999999"), 0),
    ],
)
def test_money_is_kept_to_the_micro_dollar(value: object, micro: int) -> None:
    assert clean_money(value) == (micro, None)
    assert type(clean_money(value)[0]) is int


BAD_MONEY: list[Any] = [
    "",
    " ",
    "$",
    "abc",
    "1,234.50",
    "-1",
    "$-1",
    "-$1",
    "+-1",
    "1_000",
    "0x1",
    "NaN",
    "inf",
]
BAD_MONEY += [
    "1e10",
    "9" * 70,
    "٣",
    "98%",
    "1\n2",
    None,
    True,
    float("nan"),
    float("-inf"),
    Decimal("NaN"),
    -0.1,
]
BAD_MONEY += [10**9 + 1, 10**5000, Decimal("1000000000.0000001"), Decimal("1e999999"), [], object(), Broken()]


@pytest.mark.parametrize("value", BAD_MONEY, ids=lambda value: type(value).__name__)
def test_what_is_no_amount_is_refused_with_a_reason(value: object) -> None:
    micro, reason = clean_money(value)
    assert micro is None
    assert reason


@given(st.decimals(0, 10**9, allow_nan=False, places=12))
def test_money_is_rounded_half_even_and_once(usd: Decimal) -> None:
    exact = Fraction(usd) * 10**6
    assert clean_money(usd) == (round(exact), None)  # Python rounds a Fraction half to even, exactly


@given(st.integers(-(10**15), 10**15))
def test_money_text_is_exact_and_plain(micro: int) -> None:
    text = money_text(micro)
    assert Decimal(text) * 10**6 == micro
    assert "e" not in text.lower()
    if micro >= 0:
        assert clean_money(text) == (micro, None)


@pytest.mark.parametrize(
    ("micro", "text"),
    [(183_400, "0.1834"), (0, "0"), (1, "0.000001"), (20_000_000, "20"), (-500_000, "-0.5")],
)
def test_money_text_has_no_needless_digits(micro: int, text: str) -> None:
    assert money_text(micro) == text


def test_the_callers_decimal_context_does_not_matter() -> None:
    with decimal.localcontext() as context:
        context.prec = 2
        context.traps[decimal.Inexact] = True
        context.traps[decimal.FloatOperation] = True
        assert clean_money("123.4567891") == (123_456_789, None)
        assert clean_money(0.1834) == (183_400, None)
        assert clean_count(Decimal("123456")) == (123_456, None)
