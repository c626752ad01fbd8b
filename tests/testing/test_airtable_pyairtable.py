"""The real pyairtable client against the strict server."""

from __future__ import annotations

import datetime
import threading
from typing import Any

import pyairtable
import pytest
import requests
from pyairtable import formulas

from jobspan.testing.airtable import AirtableServer

from .conftest import CLIENT_RUNS, JOBS, Open

HOSTILE = [
    "x' ), TRUE( '",
    "x', 1=1) OR ('a'='a",
    'say "hi"',
    "back\\slash\\",
    "\\'",
    "two\nlines\tand\ttabs",
    "{Run ID}",
    "}{",
    "ünïcode 🙂 \u202e",
    "'",
]


def table_of(server: AirtableServer, name: str = JOBS, **options: Any) -> pyairtable.Table:
    options = {"timeout": (5, 5), "retry_strategy": None, **options}
    return pyairtable.Api(server.token, endpoint_url=server.url, **options).table(server.base_id, name)


def test_batch_upsert_creates_then_updates_and_answers_in_request_order(server: AirtableServer) -> None:
    table = table_of(server)
    first = table.batch_upsert([{"fields": {"Run ID": key}} for key in ("b", "a")], ["Run ID"])
    again = table.batch_upsert(
        [{"fields": {"Run ID": "c"}}, {"fields": {"Run ID": "a", "Job Type": "x"}}], ["Run ID"]
    )
    assert [each["fields"]["Run ID"] for each in first["records"]] == ["b", "a"]
    assert first["createdRecords"] == [each["id"] for each in first["records"]]
    assert again["createdRecords"] == [again["records"][0]["id"]]
    assert again["updatedRecords"] == [first["records"][1]["id"]]
    assert [row["Run ID"] for row in server.rows(JOBS)] == ["b", "a", "c"]


@pytest.mark.parametrize("text", HOSTILE)
def test_match_finds_exactly_the_row_with_a_hostile_text(server: AirtableServer, text: str) -> None:
    table = table_of(server)
    table.batch_create([{"Run ID": each} for each in HOSTILE])
    found = table.all(formula=formulas.match({"Run ID": text}))
    assert [record["fields"]["Run ID"] for record in found] == [text]
    assert len(table.all(formula=formulas.NE(formulas.Field("Run ID"), text))) == len(HOSTILE) - 1
    assert text in [
        record["fields"]["Run ID"]
        for record in table.all(formula=formulas.FIND(text, formulas.Field("Run ID")))
    ]


def test_a_create_whose_answer_is_lost_makes_six_rows_with_default_retries(server: AirtableServer) -> None:
    server.fail("reset", when="after", every=1, method="POST")
    table = table_of(server, retry_strategy=True)
    with pytest.raises(requests.ConnectionError):
        table.create({"Run ID": "once"})
    assert len(server.rows(JOBS)) == 6


def test_a_rate_limit_ends_in_a_retry_error_without_response(opened: Open) -> None:
    server, _ = opened(rate_limit=5, lockout_seconds=30, clock=lambda: 0.0)
    table = table_of(server, retry_strategy=True)
    for _ in range(5):
        table.first()
    with pytest.raises(requests.exceptions.RetryError) as caught:
        table.first()
    assert caught.value.response is None
    assert server.rate_limited == 6


def test_server_errors_are_not_retried_by_default(server: AirtableServer) -> None:
    for status in (500, 502, 503):
        server.fail(status, when="after")
        with pytest.raises(requests.HTTPError):
            table_of(server, retry_strategy=True).create({"Run ID": str(status)})
    assert [row["Run ID"] for row in server.rows(JOBS)] == ["500", "502", "503"]


def test_without_retries_every_error_body_is_met_once(server: AirtableServer) -> None:
    table = table_of(server)
    with pytest.raises(requests.HTTPError, match="INVALID_VALUE_FOR_COLUMN"):
        table.create({"Items Processed": "98%"})
    with pytest.raises(requests.HTTPError, match="INVALID_MULTIPLE_CHOICE_OPTIONS") as refused:
        table.create({"Status": "Undefined"})
    assert refused.value.response is not None
    assert refused.value.response.json()["error"]["message"].endswith('option ""Undefined""')
    with pytest.raises(requests.HTTPError, match="NOT_FOUND"):
        table.get("rec00000000000000")
    server.fail(500, when="after", body="html")
    with pytest.raises(requests.HTTPError, match="500"):
        table.create({"Run ID": "a"})
    server.fail("garble")
    with pytest.raises(requests.JSONDecodeError):
        table.create({"Run ID": "b"})
    server.fail("truncate")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        table.create({"Run ID": "c"})
    for when in ("before", "after", "middle"):
        server.fail("reset", when=when)
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            table.create({"Run ID": when})
    server.fail("hang", seconds=30)
    with pytest.raises(requests.ReadTimeout):
        table_of(server, timeout=(1, 0.2)).create({"Run ID": "never"})
    server.outage()
    with pytest.raises(requests.ConnectionError):
        table.create({"Run ID": "never"})
    server.end_outage()
    server.revoke()
    with pytest.raises(requests.HTTPError, match="AUTHENTICATION_REQUIRED"):
        table.all()
    assert [row["Run ID"] for row in server.rows(JOBS)] == ["a", "b", "c", "after", "middle"]


def test_nan_does_not_leave_the_client_and_is_refused_if_it_does(server: AirtableServer) -> None:
    with pytest.raises(requests.exceptions.InvalidJSONError):
        table_of(server).create({"Items Processed": float("nan")})
    assert server.requests == []


def test_reading_pages_fields_sorts_and_formulas(server: AirtableServer) -> None:
    table = table_of(server)
    runs: list[dict[str, Any]] = [
        {"Run ID": f"{n:03}", "Items Processed": n, "Status": "Failed" if n % 2 else "Running"}
        for n in range(120)
    ]
    table.batch_create(runs)
    assert len(table.all()) == 120
    some = table.all(
        fields=["Run ID"],
        sort=["-Items Processed"],
        max_records=3,
        formula=formulas.AND(
            formulas.EQ(formulas.Field("Status"), "Failed"),
            formulas.OR(
                formulas.LT(formulas.Field("Items Processed"), 3),
                formulas.GTE(formulas.Field("Items Processed"), 100),
            ),
            formulas.NOT(formulas.match({"Run ID": "119"})),
        ),
    )
    assert [record["fields"] for record in some] == [{"Run ID": "117"}, {"Run ID": "115"}, {"Run ID": "113"}]
    first = table.first(formula=formulas.match({"Status": "Running", "Items Processed": (">", 117)}))
    assert first is not None
    assert first["fields"]["Run ID"] == "118"
    assert table.first(formula=formulas.match({"Run ID": "none"})) is None
    assert table.get(first["id"]) == first
    by_id = table.all(use_field_ids=True, max_records=1)[0]["fields"]
    assert set(by_id) <= {field.id for field in table.schema().fields}


def test_a_url_too_long_becomes_a_post(server: AirtableServer) -> None:
    table = table_of(server)
    table.create({"Run ID": "x" * 9})
    any_of = formulas.OR(*(formulas.match({"Run ID": "x" * number}) for number in range(1, 200)))
    assert [record["fields"]["Run ID"] for record in table.all(formula=any_of)] == ["x" * 9]
    assert server.requests[-1].method == "POST"


def test_dates_compare_as_instants(server: AirtableServer) -> None:
    table = table_of(server)
    at = datetime.datetime(2025, 3, 1, 10, 20, 30, tzinfo=datetime.UTC)
    table.create({"Run ID": "a", "Start Time": at.isoformat()})
    start = formulas.Field("Start Time")
    later = at + datetime.timedelta(seconds=1)
    assert table.first(formula=formulas.EQ(start, at))
    assert table.first(formula=formulas.IS_SAME(start, at, "second"))
    assert table.first(formula=formulas.IS_BEFORE(start, later))
    assert not table.first(formula=formulas.IS_AFTER(start, later))
    assert table.first(formula=formulas.LT(start, later))


def test_updating_replacing_and_deleting(server: AirtableServer) -> None:
    table = table_of(server)
    made = table.batch_create([{"Run ID": str(number), "Error": "x"} for number in range(12)])
    assert table.update(made[0]["id"], {"Error": "y"})["fields"] == {"Run ID": "0", "Error": "y"}
    assert table.update(made[0]["id"], {"Run ID": "0"}, replace=True)["fields"] == {"Run ID": "0"}
    updated = table.batch_update([{"id": each["id"], "fields": {"Job Type": "t"}} for each in made])
    assert [each["id"] for each in updated] == [each["id"] for each in made]
    assert table.delete(made[0]["id"]) == {"id": made[0]["id"], "deleted": True}
    assert len(table.batch_delete([each["id"] for each in made[1:]])) == 11
    assert server.rows(JOBS) == []


def test_the_schema_is_read_created_and_renamed(opened: Open) -> None:
    server, _ = opened(seed=False)
    base = pyairtable.Api(server.token, endpoint_url=server.url, retry_strategy=None).base(server.base_id)
    choices = [{"name": "Running"}, {"name": "Completed"}]
    options = {"dateFormat": {"name": "iso"}, "timeFormat": {"name": "24hour"}, "timeZone": "utc"}
    table = base.create_table(
        JOBS,
        [
            {"name": "Run ID", "type": "singleLineText"},
            {"name": "Status", "type": "singleSelect", "options": {"choices": choices}},
            {"name": "Start Time", "type": "dateTime", "options": options},
        ],
    )
    field = table.create_field("Count", "number", options={"precision": 0})
    assert field.id in {each.id for each in base.schema(force=True).table(JOBS).fields}
    schema = table.schema(force=True)
    assert [each.type for each in schema.fields] == ["singleLineText", "singleSelect", "dateTime", "number"]
    assert [each["name"] for each in schema.field("Status").model_dump()["options"]["choices"]] == [
        "Running",
        "Completed",
    ]
    field.name = "Items"
    field.save()
    schema.name = "Jobs"
    schema.save()
    assert [each.name for each in base.schema(force=True).table("Jobs").fields][-1] == "Items"
    with pytest.raises(requests.HTTPError, match="UNSUPPORTED_FIELD_TYPE_FOR_CREATE"):
        table.create_field("n", "autoNumber")
    with pytest.raises(requests.HTTPError, match="INVALID_OPTIONS_FOR_FIELD"):
        table.create_field("at", "dateTime", options={"dateFormat": {"name": "iso"}})


def test_the_schema_of_every_type_is_understood(opened: Open) -> None:
    server, _ = opened(computed=["Error"])
    kinds = "percent currency date checkbox url email multipleSelects createdTime lastModifiedTime autoNumber"
    for kind in [*kinds.split(), "rollup", "count", "multipleLookupValues", "rating"]:
        server.person.add_column(JOBS, kind, kind)
    schema = table_of(server).schema()
    assert schema.field("Error").type == "formula"
    assert schema.field("lastModifiedTime").type == "lastModifiedTime"
    api = pyairtable.Api(server.token, endpoint_url=server.url)
    assert [base.id for base in api.bases()] == [server.base_id]
    assert api.whoami()["id"].startswith("usr")


def test_simultaneous_upserts_of_one_key_make_one_row(server: AirtableServer) -> None:
    def work(number: int) -> None:
        table = table_of(server, CLIENT_RUNS)
        for _ in range(10):
            table.batch_upsert([{"fields": {"Run ID": "same", "Errors": number}}], ["Run ID"])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.rows(CLIENT_RUNS)) == 1
    assert server.counts["upsert"] == 80


def test_the_fixture_takes_options(opened: Open) -> None:
    server, _ = opened(missing=["Error"])
    names = [field.name for field in table_of(server).schema().fields]
    assert "Error" not in names
    assert "Run ID" in names
