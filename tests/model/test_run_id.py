from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobspan.exceptions import UsageError
from jobspan.model.run_id import (
    RunKey,
    format_run_id,
    is_provisional,
    is_run_id,
    parse_run_id,
    provisional_run_id,
)

NS = 1_000_000_000
NO_RUN_IDS = ["", "x", "251007", "251007-2205090", "251007-220509\n", "251307-220509", "250230-000000"]
NO_RUN_IDS += ["251007-240000", "251007-220560", "२५१००७-220509", "251007_220509"]
NO_RUN_IDS += ["251007-220509-Wilson", "251007-220509~ABCDEF"]
FIRST, LAST = 946_771_200, 4_102_358_400  # two days inside 2000..2099, whatever the zone
BERLIN = ZoneInfo("Europe/Berlin")
names = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]
zones: st.SearchStrategy[tzinfo] = st.one_of(
    st.sampled_from(names).map(ZoneInfo),
    st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
seconds = st.integers(FIRST, LAST)
# around the hours the zones above skip and repeat, where the laws are hard
switches = st.sampled_from(
    [1_761_440_400, 1_743_296_400, 1_762_063_200, 1_741_503_600, 1_743_865_200, 1_759_591_800]
)
near_switches = st.builds(lambda at, by: at + by, switches, st.integers(-8000, 8000))
moments = st.one_of(seconds, near_switches)


@given(moments, st.integers(0, NS - 1), zones)
def test_a_run_id_reads_back_to_its_second(second: int, rest: int, zone: tzinfo) -> None:
    text = format_run_id(second * NS + rest, zone)
    assert is_run_id(text)
    assert second in {parse_run_id(text, zone, fold=0), parse_run_id(text, zone, fold=1)}


@given(moments, zones, st.integers(0, 1))
def test_a_second_read_from_a_run_id_writes_it_again(second: int, zone: tzinfo, fold: int) -> None:
    text = format_run_id(second * NS, zone)
    read = parse_run_id(text, zone, fold=fold)
    assert read is not None
    assert format_run_id(read * NS, zone) == text


@given(seconds, seconds)
def test_in_utc_different_seconds_have_different_ids_in_their_order(one: int, other: int) -> None:
    first, second = format_run_id(one * NS, UTC), format_run_id(other * NS, UTC)
    assert (first < second) == (one < other)
    assert (first == second) == (one == other)


def test_a_run_id_is_date_and_time_in_the_zone() -> None:
    instant = datetime(2025, 10, 7, 22, 5, 9, 999_999, tzinfo=UTC)
    instant_ns = int(instant.timestamp()) * NS + 999_999_999
    assert format_run_id(instant_ns, UTC) == "251007-220509"
    assert format_run_id(instant_ns, BERLIN) == "251008-000509"
    assert format_run_id(instant_ns, UTC) == "251007-220509"


def test_the_repeated_hour_names_two_seconds() -> None:
    early = parse_run_id("251026-023000", BERLIN)
    late = parse_run_id("251026-023000", BERLIN, fold=1)
    assert early is not None
    assert late == early + 3600


@pytest.mark.parametrize("text", NO_RUN_IDS)
def test_what_is_no_run_id_is_told_apart(text: str) -> None:
    assert not is_run_id(text)
    assert not is_provisional(text)
    assert parse_run_id(text, UTC) is None


def test_a_time_the_zone_skips_names_no_second() -> None:
    assert parse_run_id("250330-023000", BERLIN) is None
    assert parse_run_id("250330-033000", BERLIN) is not None


def test_a_provisional_id_is_known_as_such() -> None:
    text = provisional_run_id(1_759_874_709 * NS, UTC, "0af93b")
    assert text == "251007-220509~0af93b"
    assert is_run_id(text)
    assert is_provisional(text)
    assert not is_provisional("251007-220509")
    assert parse_run_id(text, UTC) == 1_759_874_709


@pytest.mark.parametrize("random_hex", ["", "abc", "ABCDEF", "abcdefg", "abcde\n", "-abcde"])
def test_a_provisional_id_takes_six_hex_digits(random_hex: str) -> None:
    with pytest.raises(UsageError, match="six lower-case hex digits"):
        provisional_run_id(0, UTC, random_hex)


def test_wilson_and_guy_wilson_never_meet() -> None:
    wilson, guy = RunKey("251007-220509", "Wilson"), RunKey("251007-220509", "Guy-Wilson")
    assert wilson != guy
    assert wilson.run_id == "251007-220509-Wilson"
    assert guy.run_id == "251007-220509-Guy-Wilson"
    assert RunKey("251007-220509").run_id == str(RunKey("251007-220509")) == "251007-220509"


keys = st.builds(RunKey, st.text(max_size=3), st.none() | st.text(max_size=3))


@given(keys, keys)
def test_a_key_is_its_two_parts(one: RunKey, other: RunKey) -> None:
    same = (one.job, one.client) == (other.job, other.client)
    assert (one == other) == same
    assert (one < other) + (one > other) + same == 1
    assert (one <= other) == (one < other or same)
    if same:
        assert hash(one) == hash(other)


@given(keys)
def test_a_key_survives_pickle_and_copy(key: RunKey) -> None:
    assert pickle.loads(pickle.dumps(key)) == key == copy.deepcopy(key)


def test_a_job_sorts_before_its_client_runs() -> None:
    job = "251007-220509"
    expected = [RunKey(job), RunKey(job, ""), RunKey(job, "A"), RunKey(job, "B"), RunKey("251007-220510")]
    assert sorted(reversed(expected)) == expected


def test_a_key_cannot_be_changed() -> None:
    key = RunKey("251007-220509", "A")
    with pytest.raises(AttributeError):
        key.client = "B"  # type: ignore[misc]
    assert not hasattr(key, "__dict__")


def test_a_key_is_no_text() -> None:
    other: object = "251007-220509-A"
    assert RunKey("251007-220509", "A") != other
    with pytest.raises(TypeError):
        assert RunKey("251007-220509", "A") < other
