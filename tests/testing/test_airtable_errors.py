"""Who is let in, and the bodies of refusals."""

from __future__ import annotations

import json

import pytest

from jobspan.testing.airtable import AirtableServer

from .conftest import JOBS, Client, Open


def test_a_missing_unknown_or_revoked_token_gets_401(client: Client, server: AirtableServer) -> None:
    body = {"error": {"type": "AUTHENTICATION_REQUIRED", "message": "Authentication required"}}
    for token in (None, "patnobody", ""):
        client.token = token
        answer = client.on("GET", JOBS)
        assert (answer.status, answer.json) == (401, body)
    client.token = server.token
    server.revoke()
    assert client.on("GET", JOBS).status == 401
    server.restore()
    assert client.on("GET", JOBS).status == 200


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("data.records:read", {"list"}),
        ("data.records:write", {"create", "delete"}),
        ("schema.bases:read", {"schema", "bases"}),
        ("schema.bases:write", {"create_table"}),
    ],
)
def test_each_scope_lets_in_what_it_names(opened: Open, scope: str, allowed: set[str]) -> None:
    server, client = opened(scopes=[scope])
    row = server.person.add(JOBS, {"Run ID": "a"})
    tables = f"meta/bases/{server.base_id}/tables"
    table = {"name": "New", "fields": [{"name": "Name", "type": "singleLineText"}]}
    statuses = {
        "list": client.on("GET", JOBS),
        "create": client.create(JOBS, **{"Run ID": "b"}),
        "delete": client.on("DELETE", f"{JOBS}/{row}"),
        "schema": client.send("GET", tables),
        "bases": client.send("GET", "meta/bases"),
        "create_table": client.send("POST", tables, table),
    }
    assert {name for name, answer in statuses.items() if answer.status == 200} == allowed
    refused = [answer for name, answer in statuses.items() if name not in allowed]
    assert {answer.status for answer in refused} == {403}
    assert {answer.error for answer in refused} == {"INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"}
    assert client.send("GET", "meta/whoami").status == 200


def test_scopes_change_while_the_server_runs(client: Client, server: AirtableServer) -> None:
    server.grant(["data.records:read"])
    assert client.create(JOBS, **{"Run ID": "a"}).status == 403
    server.grant(["data.records:read", "data.records:write"])
    assert client.create(JOBS, **{"Run ID": "a"}).status == 200


def test_an_unknown_table_or_base_gets_the_ambiguous_403(client: Client, server: AirtableServer) -> None:
    for path in (f"{server.base_id}/Nothing", f"{server.base_id}/tbl{'0' * 14}", f"app{'0' * 14}/{JOBS}"):
        answer = client.send("GET", path)
        assert (answer.status, answer.error) == (403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND")
        assert answer.message.startswith("Invalid permissions, or the requested model was not found.")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "nobase/Nothing"),
        ("GET", "{base}"),
        ("GET", "{base}/Job Tracking/rec00000000000000"),
        ("GET", "{base}/Job Tracking/"),
        ("GET", "{base}/Job Tracking/rec00000000000000/more"),
        ("PUT", "meta/bases"),
        ("GET", "meta/bases/app00000000000000"),
        ("PATCH", "meta/bases/{base}/tables/Job Tracking"),
        ("POST", "meta/bases/{base}/tables/tbl00000000000000/fields"),
        ("OPTIONS", "{base}/Job Tracking"),
    ],
)
def test_what_is_not_there_gets_a_bare_string(
    client: Client, server: AirtableServer, method: str, path: str
) -> None:
    answer = client.send(method, path.format(base=server.base_id), {} if method == "PATCH" else None)
    assert (answer.status, answer.json) == (404, {"error": "NOT_FOUND"})


def test_a_deleted_base_gets_404(client: Client, server: AirtableServer) -> None:
    server.person.delete_base()
    assert client.on("GET", JOBS).json == {"error": "NOT_FOUND"}
    assert client.send("GET", f"meta/bases/{server.base_id}/tables").status == 404
    assert client.send("GET", "meta/bases").json == {"bases": []}


def test_a_body_not_declared_as_json_has_no_fields(client: Client, server: AirtableServer) -> None:
    body = json.dumps({"fields": {"Run ID": "a"}}).encode()
    refused = client.send("POST", f"{server.base_id}/{JOBS}", body, kind="text/plain")
    assert (refused.status, refused.error) == (422, "INVALID_REQUEST_MISSING_FIELDS")
    assert refused.message == 'Could not find field "fields" in the request body'
    accepted = client.send("POST", f"{server.base_id}/{JOBS}", body, kind="Application/JSON; charset=utf-8")
    assert accepted.status == 200
    assert client.on("POST", JOBS, {}).error == "INVALID_REQUEST_MISSING_FIELDS"


def test_a_body_above_the_limit_gets_413_and_the_connection_lives_on(opened: Open) -> None:
    server, client = opened(max_body_bytes=2000)
    rows = [{"Run ID": str(number), "System Notes": "x" * 300} for number in range(10)]
    assert client.upsert(JOBS, *rows).status == 413
    assert client.upsert(JOBS, *rows[:5]).status == 200
    assert len(server.rows(JOBS)) == 5


def test_a_url_above_16000_characters_is_refused(client: Client) -> None:
    assert client.on("GET", JOBS, filterByFormula="1=1" + " " * 16_000).status == 414


def test_no_answer_is_a_redirect(client: Client, server: AirtableServer) -> None:
    for path in ("", "meta", f"{server.base_id}/", f"//{server.base_id}/{JOBS}"):
        assert 400 <= client.send("GET", path).status < 500


def test_a_base_of_limited_records_refuses_more(opened: Open) -> None:
    server, client = opened(record_cap=3)
    server.person.add(JOBS, {"Run ID": "a"})
    assert client.upsert(JOBS, {"Run ID": "a"}, {"Run ID": "b"}, {"Run ID": "c"}).status == 200
    refused = client.upsert(JOBS, {"Run ID": "a", "Error": "x"}, {"Run ID": "d"})
    assert refused.status == 422
    assert "3 records" in refused.message
    assert client.upsert(JOBS, {"Run ID": "a", "Error": "x"}).status == 200


def test_whoami_and_bases(client: Client, server: AirtableServer) -> None:
    assert client.send("GET", "meta/whoami").json["id"].startswith("usr")
    other = server.add_base("Other", seeded=True)
    bases = client.send("GET", "meta/bases").json["bases"]
    assert [base["id"] for base in bases] == [server.base_id, other.id]
    assert bases[1] == {"id": other.id, "name": "Other", "permissionLevel": "create"}
    assert client.send("POST", f"{other.id}/{JOBS}", {"fields": {"Run ID": "a"}}).status == 200
    assert server.rows(JOBS) == []
    assert len(server.rows(JOBS, base=other)) == 1
