"""The argument called so-and-so is read from any call that Python would take."""

from __future__ import annotations

import functools
import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobspan._api.argument import signature_binder
from jobspan.exceptions import UsageError


def plain(a, client_id, b=3): ...


def defaulted(a, client_id="default", *rest, key=None, **more): ...


def positional(a, client_id=7, /, **more): ...


def keyword(a=1, *, client_id="kw"): ...


def gathered(a, *client_id): ...


def collected(a, /, b=2, **client_id): ...


def hidden(a, **more): ...


FUNCTIONS = [plain, defaulted, positional, keyword, gathered, collected]
NAMES = ["a", "b", "client_id", "key", "other", "more"]


def bound(function, args, kwargs):
    call = inspect.signature(function).bind(*args, **kwargs)
    call.apply_defaults()
    return call.arguments["client_id"]


@given(
    st.sampled_from(FUNCTIONS),
    st.lists(st.integers(), max_size=5).map(tuple),
    st.dictionaries(st.sampled_from(NAMES), st.integers(), max_size=4),
)
def test_it_agrees_with_inspect_on_every_call_that_can_be_made(function, args, kwargs):
    reader = signature_binder(function, "client_id")
    try:
        expected = bound(function, args, kwargs)
    except TypeError:
        reader(args, kwargs)  # does not raise either; the call will
        return
    assert reader(args, kwargs) == expected


@given(
    st.sampled_from(FUNCTIONS),
    st.lists(st.integers(), max_size=2).map(tuple),
    st.dictionaries(st.sampled_from(["key", "other"]), st.integers(), max_size=2),
    st.lists(st.integers(), max_size=3).map(tuple),
)
def test_it_sees_through_partials(function, fixed, kwargs, args):
    partial = functools.partial(function, *fixed, **kwargs)
    reader = signature_binder(partial, "client_id")
    try:
        expected = bound(function, fixed + args, kwargs)
    except TypeError:
        return
    assert reader(args, {}) == expected


def test_what_a_partial_has_fixed_is_found():
    assert signature_binder(functools.partial(plain, 1, "A"), "client_id")((), {}) == "A"
    by_keyword = signature_binder(functools.partial(plain, client_id="A"), "client_id")
    assert by_keyword((1,), {}) == "A"
    assert by_keyword((1,), {"client_id": "B"}) == "B"


def test_a_name_that_only_the_extra_keywords_can_hold_is_read_from_them():
    reader = signature_binder(hidden, "client_id")
    assert reader((1,), {"client_id": "A"}) == "A"
    assert reader((1,), {}) is None


def test_a_keyword_of_a_positional_only_name_is_another_argument():
    assert signature_binder(positional, "client_id")((1,), {"client_id": "extra"}) == 7


def test_what_the_call_leaves_out_is_none():
    assert signature_binder(plain, "client_id")((1,), {}) is None


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (plain, "plain has no parameter 'client'; did you mean 'client_id'?"),
        (lambda: None, "has no parameter 'client'; it has none"),
        (lambda x, y: None, "has no parameter 'client'; it has 'x', 'y'"),
        (functools.partial(plain, 1), "did you mean 'client_id'?"),
        (classmethod(plain), "did you mean 'client_id'?"),
    ],
)
def test_a_wrong_name_is_told_at_once(function, told):
    with pytest.raises(UsageError) as caught:
        signature_binder(function, "client")
    assert told in str(caught.value)


def test_a_signature_that_cannot_be_read_is_told_at_once():
    with pytest.raises(UsageError, match="cannot read the parameters of"):
        signature_binder(min, "client")
