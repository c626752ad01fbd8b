"""What each type of column takes, with and without typecast, and what it gives back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobspan.testing.airtable import AirtableServer
from jobspan.testing.airtable.store import Base
from jobspan.testing.airtable.value import accepted, instant, instant_text

from .conftest import JOBS, Client, Open

OPTIONS = ["Red", "Green, dark", 'with "quotes"']


@pytest.fixture
def wide(server: AirtableServer) -> AirtableServer:
    """Give the server's job table a column of every type, named by its type."""
    kinds = ["multilineText", "number", "currency", "percent", "date", "checkbox", "url", "email"]
    for kind in kinds:
        server.person.add_column(JOBS, kind, kind)
    for kind in ("singleSelect", "multipleSelects"):
        server.person.add_column(JOBS, kind, kind, OPTIONS)
    for kind in ("formula", "createdTime", "lastModifiedTime", "autoNumber", "rollup", "count"):
        server.person.add_column(JOBS, kind, kind)
    server.person.add_column(JOBS, "multipleLookupValues", "multipleLookupValues")
    return server


TAKEN = [
    ("singleLineText", "Run ID", "x", "x"),
    ("long text", "multilineText", "a\nb", "a\nb"),
    ("100,000 characters", "multilineText", "x" * 100_000, "x" * 100_000),
    ("zero", "number", 0, 0),
    ("a fraction", "number", 17.9, 17.9),
    ("a whole float", "number", 3.0, 3),
    ("negative", "currency", -1.25, -1.25),
    ("a large int as a double", "number", 2**60 + 1, 2**60),
    ("percent", "percent", 0.5, 0.5),
    ("an option", "singleSelect", "Red", "Red"),
    ("options", "multipleSelects", ["Red", "Green, dark", "Red"], ["Red", "Green, dark"]),
    ("true", "checkbox", True, True),
    ("a day", "date", "2025-02-28", "2025-02-28"),
    ("an instant as a day", "date", "2025-02-28T23:30:00-05:00", "2025-03-01"),
    ("an instant", "Start Time", "2025-01-01T00:00:00Z", "2025-01-01T00:00:00.000Z"),
    ("with an offset", "Start Time", "2025-01-01T00:00:00+02:00", "2024-12-31T22:00:00.000Z"),
    ("with microseconds", "Start Time", "2025-01-01T00:00:00.123987Z", "2025-01-01T00:00:00.123Z"),
    ("a naive instant is UTC", "Start Time", "2025-01-01 10:20", "2025-01-01T10:20:00.000Z"),
    ("url", "url", "https://example.org", "https://example.org"),
    ("email", "email", "a@example.org", "a@example.org"),
]


@pytest.mark.parametrize(("name", "column", "sent", "read"), TAKEN, ids=[each[0] for each in TAKEN])
def test_a_value_reads_back(
    wide: AirtableServer, client: Client, name: str, column: str, sent: Any, read: Any
) -> None:
    assert client.create(JOBS, **{column: sent}).status == 200, name
    assert client.list(JOBS, **{"fields[]": column})[0]["fields"] == {column: read}


EMPTYING: list[tuple[str, Any]] = [
    ("Run ID", ""),
    ("number", None),
    ("checkbox", False),
    ("checkbox", None),
    ("multipleSelects", []),
    ("singleSelect", None),
    ("Start Time", None),
]


@pytest.mark.parametrize(("column", "sent"), EMPTYING)
def test_an_empty_value_is_left_out(wide: AirtableServer, client: Client, column: str, sent: Any) -> None:
    made = client.create(JOBS, **{column: sent})
    assert made.status == 200
    assert column not in made.json["fields"]


REFUSED = [
    ("Run ID", 5),
    ("Run ID", True),
    ("Run ID", ["x"]),
    ("multilineText", "x" * 100_001),
    ("number", "5"),
    ("number", "98%"),
    ("number", True),
    ("number", [1]),
    ("number", 10**400),
    ("currency", ""),
    ("percent", "1"),
    ("checkbox", "true"),
    ("checkbox", 1),
    ("Start Time", ""),
    ("Start Time", "yesterday"),
    ("Start Time", "2025-13-01"),
    ("Start Time", 1735689600),
    ("date", "2025-02-30"),
    ("date", "28.2.2025"),
    ("singleSelect", 5),
    ("singleSelect", ["Red"]),
    ("multipleSelects", "Red"),
    ("email", 1),
]


@pytest.mark.parametrize(("column", "sent"), REFUSED)
def test_nothing_is_coerced_without_typecast(
    wide: AirtableServer, client: Client, column: str, sent: Any
) -> None:
    refused = client.create(JOBS, **{column: sent})
    assert (refused.status, refused.error) == (422, "INVALID_VALUE_FOR_COLUMN")
    assert refused.message == f'Field "{column}" cannot accept the provided value'


@pytest.mark.parametrize("option", ["Blue", "red", "", "Green", "undefined", 'a "b"'])
def test_an_unknown_option_is_refused_with_doubled_quotes(
    wide: AirtableServer, client: Client, option: str
) -> None:
    for column, sent in (("singleSelect", option), ("multipleSelects", [option])):
        refused = client.create(JOBS, **{column: sent})
        assert (refused.status, refused.error) == (422, "INVALID_MULTIPLE_CHOICE_OPTIONS")
        assert refused.message == f'Insufficient permissions to create new select option ""{option}""'


@pytest.mark.parametrize(
    "column",
    ["formula", "createdTime", "lastModifiedTime", "autoNumber", "rollup", "count", "multipleLookupValues"],
)
@pytest.mark.parametrize("typecast", [False, True])
def test_computed_columns_refuse_every_value(
    wide: AirtableServer, client: Client, column: str, typecast: bool
) -> None:
    for sent in ("x", 1, None):
        refused = client.on("POST", JOBS, {"fields": {column: sent}, "typecast": typecast})
        assert (refused.status, refused.error) == (422, "INVALID_VALUE_FOR_COLUMN")
        message = f'Field "{column}" cannot accept a value because the field is computed'
        assert refused.message == message


def test_computed_columns_show_their_values(wide: AirtableServer, client: Client) -> None:
    wide.person.make_computed(JOBS, "formula", "CONCATENATE({Run ID}, '-', {Items Processed})")
    made = client.create(JOBS, **{"Run ID": "a", "Items Processed": 2}).json
    assert made["fields"]["formula"] == "a-2"
    assert made["fields"]["autoNumber"] == 1
    assert made["fields"]["createdTime"] == made["createdTime"]
    wide.person.make_computed(JOBS, "formula", "{formula}")
    assert client.list(JOBS)[0]["fields"]["formula"] == {"error": "#ERROR!"}


CAST = [
    ("Run ID", 5, "5"),
    ("Run ID", True, "true"),
    ("Run ID", ["a", "b"], "a, b"),
    ("number", "5", 5.0),
    ("number", "$1,234.50", 1234.5),
    ("number", "98%", 0.98),
    ("number", "many", None),
    ("checkbox", "true", True),
    ("checkbox", "no", None),
    ("Start Time", "yesterday", None),
    ("Start Time", "2025-01-01", "2025-01-01T00:00:00.000Z"),
    ("singleSelect", "Blue", "Blue"),
    ("singleSelect", "", None),
    ("multipleSelects", "Red,Blue", ["Red", "Blue"]),
    ("multipleSelects", ["Blue"], ["Blue"]),
]


@pytest.mark.parametrize(("column", "sent", "read"), CAST)
def test_typecast_coerces_and_invents_options(
    wide: AirtableServer, client: Client, column: str, sent: Any, read: Any
) -> None:
    made = client.on("POST", JOBS, {"fields": {column: sent}, "typecast": True})
    assert made.status == 200
    assert made.json["fields"].get(column) == read


def test_links_take_record_ids_of_the_linked_table(opened: Open) -> None:
    server, client = opened()
    jobs = server.base.find_table(JOBS)
    assert jobs is not None
    link = {"name": "Job", "type": "multipleRecordLinks", "options": {"linkedTableId": jobs.id}}
    path = f"meta/bases/{server.base_id}/tables"
    fields = [{"name": "Name", "type": "singleLineText"}, link]
    assert client.send("POST", path, {"name": "Linked", "fields": fields}).status == 200
    job = server.person.add(JOBS, {"Run ID": "a"})
    assert client.create("Linked", Job=[job]).json["fields"] == {"Job": [job]}
    assert client.create("Linked", Job=["rec" + "0" * 14]).error == "ROW_DOES_NOT_EXIST"
    assert client.create("Linked", Job=["a"]).error == "INVALID_RECORD_ID"
    assert client.create("Linked", Job="a").message == "Value is not an array of record IDs."
    cast = client.on("POST", "Linked", {"fields": {"Job": ["a", "b"]}, "typecast": True})
    assert cast.json["fields"]["Job"] == [job, server.rows(JOBS)[1]["id"]]
    assert [row["Run ID"] for row in server.rows(JOBS)] == ["a", "b"]


@pytest.mark.parametrize("body", [b'{"fields": {"n": NaN}}', b'{"fields": {"n": Infinity}}', b"{", b""])
def test_what_is_no_json_is_refused(client: Client, body: bytes) -> None:
    refused = client.on("POST", JOBS, body)
    assert (refused.status, refused.error) == (422, "INVALID_REQUEST_BODY")


@given(st.datetimes(timezones=st.timezones()))
@settings(max_examples=100, deadline=None)
def test_an_instant_reads_back_to_the_millisecond(moment: Any) -> None:
    text = moment.isoformat()
    read = instant(text)
    if read is not None:  # not an offset with seconds, and inside the calendar in UTC
        assert instant(instant_text(read)) == read.replace(microsecond=read.microsecond // 1000 * 1000)
    else:
        assert moment.utcoffset().seconds % 60 or not 2 <= moment.year <= 9998


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text())))
@settings(max_examples=200, deadline=None)
def test_any_value_is_taken_or_refused_and_a_taken_one_is_taken_again(value: Any) -> None:
    from jobspan.testing.airtable import seed
    from jobspan.testing.airtable.field import Field
    from jobspan.testing.airtable.refusal import Refusal

    base = Base()
    for kind in ("singleLineText", "number", "checkbox", "date", "dateTime", "singleSelect"):
        column = Field("c", kind, seed.options_for(kind, ["a", "b"]))
        for typecast in (False, True):
            try:
                stored = accepted(column, value, base, typecast=typecast)
            except Refusal as refused:
                assert refused.status == 422  # noqa: PT017 - the exception is one of two good outcomes
            else:
                assert accepted(column, stored, base) == stored


@pytest.mark.parametrize("text", ["\ud800 lone", "nul \x00", "bidi \u202e", "🙂", "=HYPERLINK(1)", "\u2028"])
def test_any_text_reads_back_unchanged(client: Client, server: AirtableServer, text: str) -> None:
    assert client.create(JOBS, **{"Run ID": text}).json["fields"] == {"Run ID": text}
    assert client.upsert(JOBS, {"Run ID": text}).json["createdRecords"] == []
    assert server.rows(JOBS)[0]["Run ID"] == text
