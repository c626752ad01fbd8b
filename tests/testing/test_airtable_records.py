"""Creating, changing, upserting, deleting and listing records, as plain HTTP sees them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from jobspan.testing.airtable import AirtableServer

from .conftest import CLIENT_RUNS, JOBS, Client, Open

UNKNOWN = "rec" + "0" * 14


def ids(records: list[dict[str, Any]]) -> list[str]:
    return [record["id"] for record in records]


def test_a_created_record_reads_back_without_its_empty_cells(client: Client) -> None:
    made = client.create(JOBS, **{"Run ID": "a", "Items Processed": 0, "Error": "", "System Notes": None})
    assert made.status == 200
    assert made.json["fields"] == {"Run ID": "a", "Items Processed": 0}
    assert re.fullmatch(r"rec\w{14}", made.json["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", made.json["createdTime"])
    read = client.on("GET", f"{JOBS}/{made.json['id']}")
    assert read.json == made.json


def test_ten_records_are_created_at_once_and_eleven_are_refused(client: Client) -> None:
    ten = {"records": [{"fields": {"Run ID": str(number)}} for number in range(10)]}
    made = client.on("POST", JOBS, ten)
    assert [record["fields"]["Run ID"] for record in made.json["records"]] == [str(n) for n in range(10)]
    ten["records"].append({"fields": {"Run ID": "10"}})
    refused = client.on("POST", JOBS, ten)
    assert (refused.status, refused.error) == (422, "INVALID_RECORDS")
    assert refused.message == "A maximum of 10 records can be created per request but you have provided 11."
    assert client.upsert(JOBS, *({"Run ID": str(n)} for n in range(11))).error == "INVALID_RECORDS"
    assert len(client.list(JOBS)) == 10


def test_a_request_is_applied_whole_or_not_at_all(client: Client, server: AirtableServer) -> None:
    good, bad = {"Run ID": "good"}, {"Run ID": "bad", "Items Processed": "many"}
    assert client.on("POST", JOBS, {"records": [{"fields": good}, {"fields": bad}]}).status == 422
    assert client.upsert(JOBS, good, bad).status == 422
    assert server.rows(JOBS) == []
    invented = client.upsert(
        JOBS, {"Run ID": "x", "Status": "Invented"}, {"Run ID": "y", "No such": 1}, typecast=True
    )
    assert invented.error == "UNKNOWN_FIELD_NAME"
    assert client.create(JOBS, Status="Invented").error == "INVALID_MULTIPLE_CHOICE_OPTIONS"


def test_patch_keeps_other_cells_and_put_empties_them(client: Client) -> None:
    record_id = client.create(JOBS, **{"Run ID": "a", "Job Type": "t", "Error": "e"}).json["id"]
    patched = client.on("PATCH", f"{JOBS}/{record_id}", {"fields": {"Error": None, "Items Processed": 3}})
    assert patched.json["fields"] == {"Run ID": "a", "Job Type": "t", "Items Processed": 3}
    put = client.on("PUT", JOBS, {"records": [{"id": record_id, "fields": {"Job Type": "u"}}]})
    assert put.json["records"][0]["fields"] == {"Job Type": "u"}


def test_upsert_creates_updates_and_answers_in_request_order(client: Client) -> None:
    first = client.upsert(JOBS, {"Run ID": "b"}, {"Run ID": "a"}).json
    assert first["createdRecords"] == ids(first["records"])
    assert first["updatedRecords"] == []
    second = client.upsert(JOBS, {"Run ID": "new"}, {"Run ID": "a", "Error": "x"}, {"Run ID": "b"}).json
    assert [record["fields"]["Run ID"] for record in second["records"]] == ["new", "a", "b"]
    assert second["createdRecords"] == [second["records"][0]["id"]]
    assert second["updatedRecords"] == [first["records"][1]["id"], first["records"][0]["id"]]


def test_upsert_refuses_the_whole_request_when_several_rows_match(
    client: Client, server: AirtableServer
) -> None:
    server.person.add(JOBS, {"Run ID": "twice"})
    server.person.duplicate(JOBS, "twice")
    refused = client.upsert(JOBS, {"Run ID": "once"}, {"Run ID": "twice", "Error": "x"})
    assert refused.status == 422
    assert "Cannot update more than one record" in refused.message
    assert [row["Run ID"] for row in server.rows(JOBS)] == ["twice", "twice"]


def test_an_id_in_an_upsert_ignores_the_merge_fields(client: Client, server: AirtableServer) -> None:
    server.person.add(JOBS, {"Run ID": "twice"})
    second = server.person.duplicate(JOBS, "twice")
    body = {
        "performUpsert": {"fieldsToMergeOn": ["Run ID"]},
        "records": [{"id": second, "fields": {"Run ID": "twice", "Error": "mine"}}],
    }
    answer = client.on("PATCH", JOBS, body)
    assert answer.json["updatedRecords"] == [second]
    assert [row.get("Error") for row in server.rows(JOBS)] == [None, "mine"]


def test_an_unknown_id_is_named(client: Client) -> None:
    body = {
        "performUpsert": {"fieldsToMergeOn": ["Run ID"]},
        "records": [{"fields": {"Run ID": "a"}}, {"id": UNKNOWN, "fields": {"Run ID": "b"}}],
    }
    refused = client.on("PATCH", JOBS, body)
    assert (refused.status, refused.error) == (422, "ROW_DOES_NOT_EXIST")
    assert refused.message == f"Record ID {UNKNOWN} does not exist in this table"
    assert client.list(JOBS) == []


def test_the_same_row_twice_in_a_request_is_refused(client: Client, server: AirtableServer) -> None:
    record_id = server.person.add(JOBS, {"Run ID": "a"})
    by_id = {"id": record_id, "fields": {"Error": "1"}}
    by_key = {"fields": {"Run ID": "a", "Error": "2"}}
    upsert = {"performUpsert": {"fieldsToMergeOn": ["Run ID"]}}
    assert client.on("PATCH", JOBS, {"records": [by_id, by_id]}).status == 422
    assert client.on("PATCH", JOBS, {**upsert, "records": [by_id, by_key]}).status == 422
    assert client.upsert(JOBS, {"Run ID": "a"}, {"Run ID": "a"}).status == 422
    assert server.rows(JOBS) == [{"id": record_id, "Run ID": "a"}]


def test_upsert_merges_on_one_to_three_fields_by_name_or_id(client: Client, server: AirtableServer) -> None:
    table = server.base.find_table(CLIENT_RUNS)
    assert table is not None
    by_id = table.field("Client ID").id
    rows = [{"Run ID": "a", "Client ID": client_id} for client_id in ("x", "y")]
    assert len(client.upsert(CLIENT_RUNS, *rows, on=("Run ID", by_id)).json["createdRecords"]) == 2
    again = client.upsert(CLIENT_RUNS, {"Run ID": "a", by_id: "y", "Errors": 1}, on=("Run ID", by_id))
    assert again.json["createdRecords"] == []
    assert [row.get("Errors") for row in server.rows(CLIENT_RUNS)] == [None, 1]
    assert client.upsert(CLIENT_RUNS, rows[0], on=()).status == 422
    assert client.upsert(CLIENT_RUNS, rows[0], on=("Run ID", "Client ID", "Status", "Errors")).status == 422
    assert client.upsert(CLIENT_RUNS, rows[0], on=("Nothing",)).error == "UNKNOWN_FIELD_NAME"


@pytest.mark.parametrize("row", [{}, {"Run ID": None}, {"Run ID": ""}, {"Error": "x"}])
def test_upsert_refuses_a_record_without_its_merge_value(client: Client, row: dict[str, Any]) -> None:
    refused = client.upsert(JOBS, row)
    assert refused.status == 422
    assert client.list(JOBS) == []


def test_upsert_keys_are_case_sensitive_and_exact(client: Client) -> None:
    client.upsert(JOBS, {"Run ID": "Wilson"})
    answer = client.upsert(JOBS, {"Run ID": "wilson"}, {"Run ID": "Guy-Wilson"}, {"Run ID": "Wilson "})
    assert len(answer.json["createdRecords"]) == 3


def test_upsert_refuses_computed_merge_fields(opened: Open) -> None:
    _, client = opened(computed=["Error"])
    assert client.upsert(JOBS, {"Run ID": "a"}, on=("Error",)).status == 422


def test_records_are_deleted_one_by_one_or_up_to_ten(client: Client, server: AirtableServer) -> None:
    made = [server.person.add(JOBS, {"Run ID": str(number)}) for number in range(12)]
    assert client.on("DELETE", f"{JOBS}/{made[0]}").json == {"id": made[0], "deleted": True}
    assert client.on("DELETE", f"{JOBS}/{made[0]}").json == {"error": "NOT_FOUND"}
    several = client.on("DELETE", JOBS, **{"records[]": made[1:4]})
    assert several.json == {"records": [{"id": each, "deleted": True} for each in made[1:4]]}
    assert client.on("DELETE", JOBS, **{"records[]": [*made[4:6], UNKNOWN]}).error == "ROW_DOES_NOT_EXIST"
    without_brackets = client.on("DELETE", JOBS, records=made[4])
    assert without_brackets.message == '"records" must be an array of up to 10 record IDs.'
    server.person.add(JOBS, {"Run ID": "x"})
    server.person.add(JOBS, {"Run ID": "y"})
    server.person.add(JOBS, {"Run ID": "z"})
    many = [row["id"] for row in server.rows(JOBS)]
    assert len(many) == 11
    assert client.on("DELETE", JOBS, **{"records[]": many}).error == "INVALID_RECORDS"


def test_pages_have_at_most_100_records_and_go_on_by_offset(client: Client, server: AirtableServer) -> None:
    for number in range(205):
        server.person.add(JOBS, {"Run ID": f"{number:03}"})
    first = client.on("GET", JOBS).json
    assert len(first["records"]) == 100
    second = client.on("GET", JOBS, offset=first["offset"]).json
    third = client.on("GET", JOBS, offset=second["offset"]).json
    assert "offset" not in third
    seen = [record["fields"]["Run ID"] for page in (first, second, third) for record in page["records"]]
    assert seen == [f"{number:03}" for number in range(205)]
    assert client.on("GET", JOBS, pageSize=101).error == "INVALID_REQUEST_UNKNOWN"
    assert client.on("GET", JOBS, pageSize=0).status == 422
    assert len(client.list(JOBS, pageSize=7)) == 7
    assert len(client.list(JOBS, maxRecords=3)) == 3


def test_an_iterator_expires_and_rows_deleted_meanwhile_are_left_out(opened: Open) -> None:
    now = [0.0]
    server, client = opened(clock=lambda: now[0], iterator_seconds=60)
    made = [server.person.add(JOBS, {"Run ID": str(number)}) for number in range(6)]
    first = client.on("GET", JOBS, pageSize=2).json
    server.person.delete(JOBS, made[2])
    second = client.on("GET", JOBS, pageSize=2, offset=first["offset"]).json
    assert ids(second["records"]) == made[3:5]
    now[0] = 61
    gone = client.on("GET", JOBS, pageSize=2, offset=second["offset"])
    assert (gone.status, gone.error) == (422, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE")
    fresh = client.on("GET", JOBS, pageSize=2).json
    server.expire_iterators()
    assert client.on("GET", JOBS, offset=fresh["offset"]).error == "LIST_RECORDS_ITERATOR_NOT_AVAILABLE"
    assert client.on("GET", JOBS, offset="1").error == "INVALID_REQUEST_UNKNOWN"


def test_a_list_chooses_sorts_and_filters(client: Client, server: AirtableServer) -> None:
    for key, status, items in (("a", "Failed", 2), ("b", "Running", 10), ("c", "Failed", None)):
        server.person.add(JOBS, {"Run ID": key, "Status": status, "Items Processed": items})
    chosen = client.list(JOBS, **{"fields[]": ["Run ID", "Error"], "filterByFormula": "{Status}='Failed'"})
    assert [record["fields"] for record in chosen] == [{"Run ID": "a"}, {"Run ID": "c"}]
    down = client.list(JOBS, **{"sort[0][field]": "Items Processed", "sort[0][direction]": "desc"})
    assert [record["fields"]["Run ID"] for record in down] == ["b", "a", "c"]
    by_options = client.list(
        JOBS, **{"sort[0][field]": "Status", "sort[1][field]": "Run ID", "sort[1][direction]": "desc"}
    )
    assert [record["fields"]["Run ID"] for record in by_options] == ["b", "c", "a"]
    assert client.on("GET", JOBS, **{"fields[]": "Nothing"}).message == 'Unknown field name: "Nothing"'
    assert client.on("GET", JOBS, **{"sort[0][field]": "Nothing"}).error == "UNKNOWN_FIELD_NAME"
    assert client.on("GET", JOBS, view="Nothing").error == "VIEW_NAME_NOT_FOUND"
    assert client.on("GET", JOBS, nonsense=1).error == "INVALID_REQUEST_UNKNOWN"


def test_list_records_by_post_takes_the_same_options(client: Client, server: AirtableServer) -> None:
    for number in range(5):
        server.person.add(JOBS, {"Run ID": str(number)})
    query = {
        "pageSize": 2,
        "fields": ["Run ID"],
        "sort": [{"field": "Run ID", "direction": "desc"}],
        "filterByFormula": "NOT({Run ID}='4')",
    }
    first = client.on("POST", f"{JOBS}/listRecords", query).json
    second = client.on("POST", f"{JOBS}/listRecords", {**query, "offset": first["offset"]}).json
    assert [each["fields"]["Run ID"] for each in first["records"] + second["records"]] == list("3210")
    assert client.on("POST", f"{JOBS}/listRecords", {"pageSize": "2"}).status == 422


def test_fields_go_by_name_or_id_and_come_back_either_way(client: Client, server: AirtableServer) -> None:
    table = server.base.find_table(JOBS)
    assert table is not None
    run_id = table.field("Run ID").id
    made = client.on("POST", table.id, {"fields": {run_id: "a"}, "returnFieldsByFieldId": True})
    assert made.json["fields"] == {run_id: "a"}
    server.person.rename_column(JOBS, "Run ID", "Lauf")
    assert client.list(JOBS, returnFieldsByFieldId="true")[0]["fields"] == {run_id: "a"}
    assert client.list(JOBS)[0]["fields"] == {"Lauf": "a"}
    assert client.on("PATCH", f"{JOBS}/{made.json['id']}", {"fields": {run_id: "b"}}).status == 200
    assert client.create(JOBS, **{"Run ID": "x"}).message == 'Unknown field name: "Run ID"'


@pytest.mark.parametrize(
    "body",
    [
        {"records": [{"fields": {}, "extra": 1}]},
        {"records": [{"fields": {}}], "typecast": "yes"},
        {"records": "none"},
        {"records": []},
        {"fields": []},
        {"fields": {}, "unknown": 1},
    ],
)
def test_a_body_of_another_shape_is_refused(client: Client, body: dict[str, Any]) -> None:
    assert client.on("POST", JOBS, body).status == 422
    assert client.list(JOBS) == []


def test_an_update_without_id_or_fields_is_refused(client: Client) -> None:
    wrong: list[list[dict[str, Any]]] = [[{"fields": {}}], [{"id": UNKNOWN}], []]
    for records in wrong:
        assert client.on("PATCH", JOBS, {"records": records}).error == "INVALID_RECORDS"
    assert client.on("PATCH", JOBS, {}).error == "INVALID_REQUEST_MISSING_FIELDS"
    assert client.on("PATCH", f"{JOBS}/{UNKNOWN}", {"fields": {}}).json == {"error": "NOT_FOUND"}
