from __future__ import annotations

import unicodedata
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobspan.model.text import clip, multi_line, neutralise_cell, one_line

any_text = st.text(st.characters(codec=None))
HOSTILE = [*map(chr, [*range(32), *range(127, 160), 0x61C, 0x200E, 0x200F, 0x2028, 0x2029])]
HOSTILE += [*map(chr, [*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xD800, 0xDFFF])]


@pytest.mark.parametrize("character", HOSTILE, ids=[f"{ord(each):04x}" for each in HOSTILE])
def test_a_hostile_character_becomes_a_visible_escape(character: str) -> None:
    shown = one_line(f"a{character}b")
    assert character not in shown
    assert shown.isprintable()
    assert shown[0] == "a"
    assert shown[1] == "\\"
    assert shown[-1] == "b"


@given(any_text)
def test_one_line_is_one_line_of_utf_8(text: str) -> None:
    shown = one_line(text)
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")
    assert not any(unicodedata.category(each) in {"Cc", "Cs"} for each in shown)


@given(any_text)
def test_escaping_twice_changes_nothing_more(text: str) -> None:
    assert one_line(one_line(text)) == one_line(text)
    assert multi_line(multi_line(text)) == multi_line(text)


def test_multi_line_keeps_line_breaks_and_nothing_else() -> None:
    assert multi_line("a\r\nb\nc\rd\x00\u202e") == "a\nb\nc\\rd\\x00\\u202e"
    assert one_line("a\r\nb\tc") == r"a\r\nb\tc"


def test_ordinary_text_in_any_script_stays() -> None:
    text = "Größe 5 µ 3 — 漢字, עברית, emoji \U0001f469\u200d\U0001f467 and C:\\new"
    assert one_line(text) == text
    assert multi_line(text) == text


@given(any_text, st.integers(-5, 400))
def test_a_clipped_text_keeps_to_its_limit(text: str, limit: int) -> None:
    clipped = clip(text, limit)
    assert len(clipped) <= max(limit, 0)
    if len(text) <= limit:
        assert clipped == text


@given(st.integers(61, 5000), st.integers(60, 300))
def test_the_mark_says_how_many_characters_were_cut(length: int, limit: int) -> None:
    text = "".join(chr(0x4E00 + index) for index in range(length))
    clipped = clip(text, limit)
    if length > limit:
        head, rest = clipped.split(" … [")
        count, tail = rest.split(" characters cut] … ")
        assert int(count.replace(",", "")) == length - len(head) - len(tail)
        assert text.startswith(head)
        assert text.endswith(tail)
        assert head
        assert tail


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@sum", "\t=1", "\r=1", "\n=1", " =1", "\uff1d1", "=HYPERLINK(1)", "-5"]
)
def test_a_text_that_could_be_a_formula_is_neutralised(text: str) -> None:
    assert neutralise_cell(text) == "'" + text


@pytest.mark.parametrize(
    ("value", "cell"),
    [(-5, "-5"), (-0.5, "-0.5"), (Decimal("-0.1834"), "-0.1834"), (None, ""), (0, "0"), (1e-7, "1e-07")],
)
def test_a_number_stays_a_number(value: object, cell: str) -> None:
    assert neutralise_cell(value) == cell


@pytest.mark.parametrize("text", ["", "Wilson", "a=b", "3 - 2", "'x", "x@y.example"])
def test_a_harmless_cell_stays(text: str) -> None:
    assert neutralise_cell(text) == text


class Formula:
    def __str__(self) -> str:
        return "=1+1"


class Broken:
    def __str__(self) -> str:
        raise RuntimeError


def test_a_strange_object_cannot_smuggle_a_formula() -> None:
    assert neutralise_cell(Formula()) == "'=1+1"
    assert neutralise_cell(Broken()) == ""
