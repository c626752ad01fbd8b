"""The metadata API, the seed and its variants, and a schema that changes while programs write."""

from __future__ import annotations

from typing import Any

import pytest

from jobspan.testing.airtable import AirtableServer

from .conftest import CLIENT_RUNS, JOBS, Client, Open

DATE_TIME = {"dateFormat": {"name": "iso"}, "timeFormat": {"name": "24hour"}, "timeZone": "utc"}


def columns(client: Client, table: str) -> dict[str, dict[str, Any]]:
    tables = client.send("GET", f"meta/bases/{client.server.base_id}/tables").json["tables"]
    found = next(each for each in tables if each["name"] == table)
    return {each["name"]: each for each in found["fields"]}


def path(server: AirtableServer, table: str = "", rest: str = "") -> str:
    found = server.base.find_table(table) if table else None
    return f"meta/bases/{server.base_id}/tables" + (f"/{found.id}{rest}" if found else "")


def test_the_seed_has_the_two_tables_with_their_types(client: Client) -> None:
    types = {name: each["type"] for name, each in columns(client, JOBS).items()}
    assert types == {
        "Run ID": "singleLineText",
        "Status": "singleSelect",
        "Job Type": "singleLineText",
        "Start Time": "dateTime",
        "End Time": "dateTime",
        "Items Processed": "number",
        "Error": "singleLineText",
        "System Notes": "multilineText",
        "Apify Run ID": "singleLineText",
    }
    runs = columns(client, CLIENT_RUNS)
    assert list(runs)[:5] == ["Run ID", "Client ID", "Status", "Start Time", "End Time"]
    assert len(runs) == 14
    assert [each["name"] for each in runs["Status"]["options"]["choices"]] == [
        "Running", "Completed", "Failed", "Completed_with_errors", "Canceled", "Timed_out",
    ]  # fmt: skip
    assert runs["Start Time"]["options"]["timeZone"] == "utc"


def test_variants_of_the_seed(opened: Open) -> None:
    _, client = opened(
        missing=["Error", "Client Run Results.Status"],
        computed=["Items Processed"],
        types={"End Time": "singleLineText"},
        status_options=["Running", "Completed", "Completed with Errors"],
    )
    jobs, runs = columns(client, JOBS), columns(client, CLIENT_RUNS)
    assert "Error" not in jobs
    assert "Status" not in runs
    assert len(jobs["Status"]["options"]["choices"]) == 3
    assert jobs["Items Processed"]["type"] == "formula"
    assert jobs["End Time"]["type"] == runs["End Time"]["type"] == "singleLineText"
    with pytest.raises(ValueError, match="'Erorr'"):
        opened(missing=["Erorr"])
    assert opened(missing=[CLIENT_RUNS])[0].base.find_table(CLIENT_RUNS) is None
    assert opened(seed=False)[0].base.tables == []


def test_a_table_is_created_with_its_first_field_as_primary(client: Client, server: AirtableServer) -> None:
    fields = [
        {"name": "Name", "type": "singleLineText"},
        {"name": "At", "type": "dateTime", "options": DATE_TIME},
        {"name": "State", "type": "singleSelect", "options": {"choices": [{"name": "A"}, {"name": "B"}]}},
        {"name": "Count", "type": "number", "options": {"precision": 0}},
    ]
    made = client.send("POST", path(server), {"name": "New", "description": "d", "fields": fields}).json
    assert made["primaryFieldId"] == made["fields"][0]["id"]
    assert made["description"] == "d"
    assert made["fields"][1]["options"]["dateFormat"] == {"name": "iso", "format": "YYYY-MM-DD"}
    assert made["fields"][2]["options"]["choices"][0]["id"].startswith("sel")
    assert client.create("New", State="B", Count=1).status == 200
    again = client.send("POST", path(server), {"name": "new", "fields": fields})
    assert (again.status, again.error) == (422, "DUPLICATE_TABLE_NAME")
    twice = {"name": "Twice", "fields": [fields[0], fields[0]]}
    assert client.send("POST", path(server), twice).error == "DUPLICATE_OR_EMPTY_FIELD_NAME"
    assert client.send("POST", path(server), {"name": "None", "fields": []}).status == 422
    assert len(client.send("GET", path(server)).json["tables"]) == 3


BAD_FIELDS: list[tuple[str, Any]] = [
    ("dateTime", None),
    ("dateTime", {**DATE_TIME, "timeZone": "UTC"}),
    ("dateTime", {**DATE_TIME, "timeZone": "Nowhere/Nothing"}),
    ("dateTime", {"dateFormat": {"name": "iso"}, "timeZone": "utc"}),
    ("dateTime", {"dateFormat": {"name": "iso"}, "timeFormat": {"name": "24hour"}}),
    ("dateTime", {**DATE_TIME, "timeFormat": {"name": "25hour"}}),
    ("date", {}),
    ("number", None),
    ("number", {"precision": 9}),
    ("number", {"precision": True}),
    ("number", {"precision": 0, "more": 1}),
    ("currency", {"precision": 2}),
    ("singleSelect", {}),
    ("singleSelect", {"choices": [{"name": "a"}, {"name": "a"}]}),
    ("checkbox", {}),
    ("singleLineText", {"choices": []}),
    ("multipleRecordLinks", {"linkedTableId": "tbl00000000000000"}),
]


@pytest.mark.parametrize(("kind", "options"), BAD_FIELDS)
def test_a_field_with_wrong_options_is_refused(
    client: Client, server: AirtableServer, kind: str, options: Any
) -> None:
    config = {"name": "New", "type": kind, **({} if options is None else {"options": options})}
    refused = client.send("POST", path(server, JOBS, "/fields"), config)
    assert (refused.status, refused.error) == (422, "INVALID_OPTIONS_FOR_FIELD")
    assert "New" not in columns(client, JOBS)


@pytest.mark.parametrize(
    "kind",
    ["createdTime", "lastModifiedTime", "lastModifiedBy", "autoNumber", "rollup", "count",
     "multipleLookupValues", "formula"],
)  # fmt: skip
def test_computed_fields_cannot_be_created(client: Client, server: AirtableServer, kind: str) -> None:
    refused = client.send("POST", path(server, JOBS, "/fields"), {"name": "New", "type": kind})
    assert (refused.status, refused.error) == (422, "UNSUPPORTED_FIELD_TYPE_FOR_CREATE")
    assert refused.message == f"Creating {kind} fields is not supported at this time"


def test_a_field_is_added_and_renamed_but_not_given_options(client: Client, server: AirtableServer) -> None:
    made = client.send("POST", path(server, JOBS, "/fields"), {"name": "New", "type": "email"})
    assert made.json["type"] == "email"
    again = client.send("POST", path(server, JOBS, "/fields"), {"name": " new ", "type": "email"})
    assert again.error == "DUPLICATE_OR_EMPTY_FIELD_NAME"
    status = columns(client, JOBS)["Status"]
    choices = [*status["options"]["choices"], {"name": "Paused"}]
    field = path(server, JOBS, f"/fields/{status['id']}")
    refused = client.send("PATCH", field, {"options": {"choices": choices}})
    assert refused.status == 422
    assert client.create(JOBS, Status="Paused").error == "INVALID_MULTIPLE_CHOICE_OPTIONS"
    renamed = client.send("PATCH", field, {"name": "State", "description": "d"})
    assert (renamed.json["name"], renamed.json["id"]) == ("State", status["id"])
    assert client.send("PATCH", field, {"name": "Error"}).error == "DUPLICATE_OR_EMPTY_FIELD_NAME"
    assert client.send("PATCH", path(server, JOBS), {"name": "Jobs"}).json["name"] == "Jobs"
    assert client.create("Jobs", State="Running").status == 200


def test_the_view_lists_its_fields_when_asked(client: Client, server: AirtableServer) -> None:
    table = client.send("GET", path(server), include="visibleFieldIds").json["tables"][0]
    assert table["views"][0]["visibleFieldIds"] == [each["id"] for each in table["fields"]]
    assert "visibleFieldIds" not in client.send("GET", path(server)).json["tables"][0]["views"][0]


def test_a_person_changes_columns_while_a_program_writes(client: Client, server: AirtableServer) -> None:
    server.person.add(JOBS, {"Run ID": "a", "Error": "boom", "Items Processed": 5, "Status": "Failed"})
    server.person.delete_column(JOBS, "Error")
    assert client.upsert(JOBS, {"Run ID": "a", "Error": "x"}).message == 'Unknown field name: "Error"'
    server.person.rename_column(JOBS, "Job Type", "Kind")
    assert client.upsert(JOBS, {"Run ID": "a", "Job Type": "x"}).error == "UNKNOWN_FIELD_NAME"
    assert client.upsert(JOBS, {"Run ID": "a", "Kind": "x"}).status == 200
    server.person.retype_column(JOBS, "Items Processed", "singleLineText")
    assert client.upsert(JOBS, {"Run ID": "a", "Items Processed": 6}).error == "INVALID_VALUE_FOR_COLUMN"
    server.person.make_computed(JOBS, "System Notes")
    refused = client.upsert(JOBS, {"Run ID": "a", "System Notes": "x"})
    assert refused.message.endswith("because the field is computed")
    server.person.remove_option(JOBS, "Status", "Failed")
    assert client.upsert(JOBS, {"Run ID": "a", "Status": "Failed"}).status == 422
    server.person.add_option(JOBS, "Status", "Done")
    assert client.upsert(JOBS, {"Run ID": "a", "Status": "Done"}).status == 200
    server.person.add_column(JOBS, "Error", "multilineText")
    assert client.upsert(JOBS, {"Run ID": "a", "Error": "back"}).status == 200
    row = server.rows(JOBS)[0]
    assert row.pop("System Notes") == row["id"]
    assert row.pop("Error") == "back"
    assert row == {
        "id": row["id"], "Run ID": "a", "Status": "Done", "Kind": "x", "Items Processed": "5",
    }  # fmt: skip


def test_retyping_converts_what_can_be_converted(client: Client, server: AirtableServer) -> None:
    for text in ("5", "many", ""):
        server.person.add(JOBS, {"Run ID": f"r{text}", "Error": text})
    server.person.retype_column(JOBS, "Error", "number")
    assert [row.get("Error") for row in server.rows(JOBS)] == [5, None, None]
    server.person.retype_column(JOBS, "Run ID", "singleSelect")
    assert [row["Run ID"] for row in server.rows(JOBS)] == ["r5", "rmany", "r"]
    assert client.upsert(JOBS, {"Run ID": "r5", "Error": 1}).json["createdRecords"] == []


def test_a_person_edits_duplicates_and_deletes_rows(client: Client, server: AirtableServer) -> None:
    client.upsert(JOBS, {"Run ID": "a", "Status": "Running"})
    edited = server.person.edit(JOBS, "a", {"Status": "Canceled", "System Notes": "stop this"})
    copy = server.person.duplicate(JOBS, edited)
    assert client.list(JOBS)[1]["id"] == copy
    assert client.list(JOBS)[1]["fields"] == {
        "Run ID": "a", "Status": "Canceled", "System Notes": "stop this",
    }  # fmt: skip
    with pytest.raises(LookupError, match="2 rows"):
        server.person.delete(JOBS, "a")
    server.person.delete(JOBS, copy)
    server.person.edit(JOBS, {"Status": "Canceled"}, {"Run ID": "b"})
    assert [row["Run ID"] for row in server.rows(JOBS)] == ["b"]
    with pytest.raises(ValueError, match="select option"):
        server.person.edit(JOBS, "b", {"Status": "Paused"})
    server.person.clear(JOBS)
    server.person.rename_table(JOBS, "Jobs")
    assert server.rows("Jobs") == []
    server.person.delete_table("Jobs")
    assert client.on("GET", "Jobs").status == 403
