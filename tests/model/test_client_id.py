from __future__ import annotations

import enum
import hashlib
import re
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobspan.exceptions import UsageError
from jobspan.model.client_id import clean_client_id

escapes = st.sampled_from(["\\", "x5c", "x0a", "u202e", "\n", "\u202e", "\ud800", "\x00", "a", "~", "é"])
tricky = st.lists(escapes, min_size=1, max_size=60).map("".join)
ids = st.one_of(tricky, st.text(st.characters(codec=None), min_size=1, max_size=200)).filter(
    lambda text: not text.isspace() and len(text) <= 200
)


@given(ids, ids)
def test_different_ids_stay_different(one: str, other: str) -> None:
    assert (clean_client_id(one).text == clean_client_id(other).text) == (one == other)


def unescaped(text: str) -> str:
    return re.sub(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4}))", lambda m: chr(int(m[1] or m[2], 16)), text)


@given(ids)
def test_what_was_not_cut_can_be_read_back(raw: str) -> None:
    stored = clean_client_id(raw).text
    if not re.fullmatch(".{183}~[0-9a-f]{16}", stored):
        assert unescaped(stored) == raw


@given(st.text(st.characters(codec=None), min_size=1, max_size=700).filter(lambda text: not text.isspace()))
def test_a_stored_id_is_short_printable_on_one_line(raw: str) -> None:
    stored = clean_client_id(raw).text
    assert 1 <= len(stored) <= 200
    assert len(stored.splitlines()) == 1
    stored.encode("utf-8")


@pytest.mark.parametrize(
    "raw",
    [
        "Guy-Wilson",
        "C:\\new\\u2",
        "x', 1=1) OR ('a'='a",
        "../../etc/passwd",
        "=1+1",
        " Wilson ",
        "漢字",
        "a" * 200,
    ],
)
def test_an_ordinary_id_is_stored_as_it_is(raw: str) -> None:
    assert clean_client_id(raw).text == raw
    assert clean_client_id(raw).note is None


@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        ("a\nb", r"a\x0ab"),
        ("a\x00", r"a\x00"),
        ("a\u202eb", r"a\u202eb"),
        ("\ud83d", r"\ud83d"),
        ("\u2028x", r"\u2028x"),
        (r"a\x0ab", r"a\x5cx0ab"),
    ],
)
def test_a_character_that_would_do_harm_is_stored_escaped(raw: str, stored: str) -> None:
    clean = clean_client_id(raw)
    assert clean.text == stored
    assert clean.note == "client id holds characters that are stored escaped"


def test_a_long_id_is_cut_and_keeps_the_hash_of_all() -> None:
    raw = "é\n" * 150
    digest = hashlib.sha256(("é\\x0a" * 150).encode()).hexdigest()[:16]
    clean = clean_client_id(raw)
    assert clean.text == ("é\\x0a" * 150)[:183] + "~" + digest
    assert clean.note == "client id of 300 characters was cut to 200"


def test_an_id_that_pretends_to_be_a_cut_one_does_not_meet_it() -> None:
    cut = clean_client_id("\n" * 60 + "x" * 140).text
    assert len(cut) == 200
    assert clean_client_id(cut).text != cut


class Color(str, enum.Enum):  # noqa: UP042 - the older form, whose str() is "Color.RED"
    RED = "red"


class Plain(enum.Enum):
    ONE = 1
    BAD = 1.5


class Tier(enum.IntEnum):
    GOLD = 3


class Named(str):
    def __str__(self) -> str:
        return "named " + str.__str__(self)


class Indexed:  # as numpy's integers
    def __index__(self) -> int:
        return 7


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (7, "7"),
        (-7, "-7"),
        (0, "0"),
        (Color.RED, "red"),
        (Plain.ONE, "1"),
        (Tier.GOLD, "3"),
        (Indexed(), "7"),
    ],
)
def test_numbers_and_enums_are_ids(value: object, stored: str) -> None:
    assert clean_client_id(value).text == stored
    assert type(clean_client_id(value).text) is str


def test_a_text_of_a_class_of_its_own_is_what_it_says_it_is() -> None:
    assert clean_client_id(Named("Bob")).text == "named Bob"
    assert type(clean_client_id(Named("Bob")).text) is str


class RaisingText(str):
    def __str__(self) -> str:
        raise RuntimeError("no")


class RaisingInt(int):
    def __str__(self) -> str:
        raise RuntimeError("no")


class RaisingIndex:
    def __index__(self) -> int:
        raise RuntimeError("no")


UNUSABLE: list[Any] = [
    None,
    "",
    "  \n",
    True,
    False,
    1.0,
    Decimal(1),
    b"x",
    [],
    ["a"],
    {},
    object(),
    Plain.BAD,
]
UNUSABLE += [RaisingText("a"), RaisingInt(1), RaisingIndex(), 10**5000]


@pytest.mark.parametrize("value", UNUSABLE, ids=lambda value: type(value).__name__)
def test_what_names_no_client_is_refused_with_advice(value: object) -> None:
    with pytest.raises(UsageError, match=r"pass what names the client") as caught:
        clean_client_id(value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("unit", ["a", "\x07", "\ud800", "\\x41", "漢"])
def test_an_id_of_300_kilobytes_is_stored_at_once(unit: str) -> None:
    raw = unit * (300_000 // len(unit))
    started = time.process_time()
    assert len(clean_client_id(raw).text) == 200
    assert time.process_time() - started < 1
