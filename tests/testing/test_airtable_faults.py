"""Faults at the socket: what the client meets, and whether the write was done."""

from __future__ import annotations

import http.client
import os
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest

from jobspan.testing.airtable import AirtableServer, Fault

from .conftest import JOBS, Client, Open


def written(server: AirtableServer) -> list[str]:
    return [row["Run ID"] for row in server.rows(JOBS)]


def comes(server: AirtableServer, expected: list[str]) -> bool:
    """Wait shortly until exactly these rows are there."""
    deadline = time.perf_counter() + 5
    while written(server) != expected and time.perf_counter() < deadline:
        time.sleep(0.01)
    return written(server) == expected


@pytest.mark.parametrize("status", [500, 502, 503, 429, 401, 404, 422])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_status_comes_before_or_after_the_write(
    client: Client, server: AirtableServer, status: int, when: str
) -> None:
    server.fail(status, when=when)  # type: ignore[arg-type]
    answer = client.upsert(JOBS, {"Run ID": "a"})
    assert answer.status == status
    assert answer.json
    assert written(server) == ([] if when == "before" else ["a"])
    seen = server.requests[-1]
    assert (seen.status, seen.applied, seen.fault) == (status, when == "after", f"{status} {when}")
    assert client.upsert(JOBS, {"Run ID": "b"}).status == 200


def test_an_error_may_be_a_page_or_empty_or_anything(client: Client, server: AirtableServer) -> None:
    server.fail(502, body="html")
    page = client.on("GET", JOBS)
    assert page.raw.startswith(b"<html>")
    assert page.headers["content-type"].startswith("text/html")
    server.fail(500, body="empty")
    assert client.on("GET", JOBS).raw == b""
    server.fail(503, body={"error": "RETRIABLE_ERROR"}, retry_after=7)
    answer = client.on("GET", JOBS)
    assert (answer.json, answer.headers["retry-after"]) == ({"error": "RETRIABLE_ERROR"}, "7")
    server.fail(500, body="oh no")
    assert client.on("GET", JOBS).raw == b"oh no"


@pytest.mark.parametrize(("when", "applied"), [("before", False), ("after", True), ("middle", True)])
def test_a_reset_is_a_real_one(client: Client, server: AirtableServer, when: str, applied: bool) -> None:
    server.fail("reset", when=when)  # type: ignore[arg-type]
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)) as caught:
        client.upsert(JOBS, {"Run ID": "a"})
    if when != "middle":
        assert caught.type is ConnectionResetError
    assert written(server) == (["a"] if applied else [])
    assert server.requests[-1].status is None
    assert server.requests[-1].applied is applied
    assert client.upsert(JOBS, {"Run ID": "a"}).status == 200
    assert written(server) == ["a"]


def test_a_truncated_answer_has_less_body_than_it_says(client: Client, server: AirtableServer) -> None:
    server.fail("truncate")
    with pytest.raises(http.client.IncompleteRead) as caught:
        client.upsert(JOBS, {"Run ID": "a"})
    assert caught.value.partial.startswith(b'{"createdRecords"')
    assert written(server) == ["a"]


@pytest.mark.parametrize(("when", "applied"), [("before", False), ("after", True)])
def test_a_garbled_answer_is_200_and_no_json(
    client: Client, server: AirtableServer, when: str, applied: bool
) -> None:
    server.fail("garble", when=when)  # type: ignore[arg-type]
    answer = client.upsert(JOBS, {"Run ID": "a"})
    assert answer.status == 200
    with pytest.raises(ValueError):
        _ = answer.json
    assert written(server) == (["a"] if applied else [])


@pytest.mark.parametrize(("when", "applied"), [("before", False), ("after", True)])
def test_a_hang_outlasts_the_client(server: AirtableServer, when: str, applied: bool) -> None:
    server.fail("hang", when=when, seconds=30)  # type: ignore[arg-type]
    impatient = Client(server, timeout=0.2)
    with pytest.raises(TimeoutError):
        impatient.upsert(JOBS, {"Run ID": "a"})
    assert comes(server, ["a"] if applied else [])


def test_stopping_does_not_wait_for_a_hang() -> None:
    with AirtableServer() as server:
        server.fail("hang", seconds=60)
        impatient = Client(server, timeout=0.1)
        with pytest.raises(TimeoutError):
            impatient.on("GET", JOBS)
        started = time.perf_counter()
    assert time.perf_counter() - started < 2


def test_latency_delays_and_a_late_write_is_done_without_its_client(server: AirtableServer) -> None:
    server.fail("latency", seconds=0.8, times=2)
    patient, impatient = Client(server), Client(server, timeout=0.1)
    started = time.perf_counter()
    assert patient.upsert(JOBS, {"Run ID": "a"}).status == 200
    assert time.perf_counter() - started >= 0.8
    with pytest.raises(TimeoutError):
        impatient.upsert(JOBS, {"Run ID": "late"})
    assert written(server) == ["a"]
    assert comes(server, ["a", "late"])


def test_faults_choose_their_requests(client: Client, server: AirtableServer) -> None:
    third = server.fail(500, nth=3, method="PATCH")
    found = [client.upsert(JOBS, {"Run ID": "a"}).status for _ in range(5)]
    assert found == [200, 200, 500, 200, 200]
    every = server.fail(500, every=2)
    assert [client.on("GET", JOBS).status for _ in range(6)] == [200, 500] * 3
    every.cancel()
    next_two = server.fail(500, times=2, path=r"Client Run")
    assert client.on("GET", JOBS).status == 200
    assert [client.on("GET", "Client Run Results").status for _ in range(3)] == [500, 500, 200]
    table = server.base.find_table(JOBS)
    assert table is not None
    server.fail(500, table=JOBS, times=2)
    assert client.on("GET", "Client Run Results").status == 200
    assert client.on("GET", table.id).status == client.on("GET", JOBS).status == 500
    server.fail(500, every=1)
    server.clear_faults()
    assert client.on("GET", JOBS).status == 200
    assert (third.hits, every.hits, next_two.hits) == (1, 3, 2)


def test_latency_and_another_fault_act_together(client: Client, server: AirtableServer) -> None:
    server.fail("latency", seconds=0.1)
    server.fail("reset", when="after")
    server.fail(500)
    with pytest.raises(ConnectionResetError):
        client.upsert(JOBS, {"Run ID": "a"})
    assert server.requests[-1].fault == "latency before + reset after"
    assert client.on("GET", JOBS).status == 500


def test_a_refused_request_uses_up_no_fault(opened: Open) -> None:
    server, client = opened(rate_limit=1, lockout_seconds=0)
    fault = server.fail(500, nth=2)
    assert [client.on("GET", JOBS).status for _ in range(3)] == [200, 429, 429]
    server.release_limits()
    assert client.on("GET", JOBS).status == 500
    assert fault.seen == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "explode"},
        {"action": "reset", "when": "during"},
        {"action": "truncate", "when": "before"},
        {"action": "hang", "seconds": 1e9},
        {"action": "status", "nth": 1, "every": 2},
        {"action": "status", "times": 0},
    ],
)
def test_a_wrong_fault_is_told_at_once(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Fault(**wrong)  # type: ignore[arg-type]


def port_of(server: AirtableServer) -> tuple[str, int]:
    parts = urlsplit(server.url)
    return str(parts.hostname), int(parts.port or 0)


def test_an_outage_refuses_connections_and_ends(client: Client, server: AirtableServer) -> None:
    client.upsert(JOBS, {"Run ID": "a"})
    server.outage()
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        client.on("GET", JOBS)
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            client.on("GET", JOBS)
    server.end_outage()
    assert client.list(JOBS)[0]["fields"] == {"Run ID": "a"}


def test_an_outage_may_reset_connections_instead(client: Client, server: AirtableServer) -> None:
    server.outage(kind="reset")
    for _ in range(3):
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            client.on("GET", JOBS)
    server.end_outage()
    assert client.on("GET", JOBS).status == 200


def test_an_outage_ends_by_itself(client: Client, server: AirtableServer) -> None:
    server.outage(1.0)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(port_of(server))
    deadline = time.perf_counter() + 5
    while time.perf_counter() < deadline:
        try:
            assert client.on("GET", JOBS).status == 200
            break
        except OSError:
            time.sleep(0.02)
    assert time.perf_counter() < deadline


def test_a_request_in_work_when_the_outage_begins_gets_no_answer(server: AirtableServer) -> None:
    server.fail("latency", seconds=1.0, when="after")
    caught: list[BaseException] = []

    def work() -> None:
        try:
            Client(server).upsert(JOBS, {"Run ID": "a"})
        except OSError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert comes(server, ["a"])
    server.outage()
    thread.join(5)
    server.end_outage()
    assert [type(error) for error in caught] == [ConnectionResetError]
    assert written(server) == ["a"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_resets_reach_the_client_though_a_forked_child_lives(client: Client, server: AirtableServer) -> None:
    assert client.on("GET", JOBS).status == 200
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        os._exit(0)
    try:
        os.read(ready[0], 1)
        server.fail("reset", when="after")
        with pytest.raises(ConnectionResetError):
            client.upsert(JOBS, {"Run ID": "a"})
        server.outage()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(port_of(server))
    finally:
        os.write(go[1], b"x")
        os.waitpid(child, 0)
        for end in (*ready, *go):
            os.close(end)


def test_a_client_that_dies_while_it_sends_changes_nothing(client: Client, server: AirtableServer) -> None:
    body = b'{"fields": {"Run ID": "a"}}'
    head = (
        f"POST /v0/{server.base_id}/Job%20Tracking HTTP/1.1\r\nAuthorization: Bearer {server.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body) + 1}\r\n\r\n"
    )
    with socket.create_connection(port_of(server)) as dying:
        dying.sendall(head.encode() + body)
        dying.shutdown(socket.SHUT_WR)
        assert dying.recv(100) == b""
    assert (written(server), server.requests) == ([], [])
    assert client.on("GET", JOBS).status == 200


def test_two_servers_never_share_a_port() -> None:
    servers = [AirtableServer(control_port=None).start() for _ in range(20)]
    try:
        assert len({server.url for server in servers}) == 20
        with pytest.raises(OSError):
            AirtableServer(port=port_of(servers[0])[1]).start()
    finally:
        for server in servers:
            server.stop()


def test_what_was_seen_is_kept(client: Client, server: AirtableServer) -> None:
    client.upsert(JOBS, {"Run ID": "a"})
    client.create(JOBS, Nothing=1)
    client.on("GET", JOBS, **{"fields[]": "Run ID"}, maxRecords=1)
    client.send("GET", "elsewhere")
    upsert, create, listing, other = server.requests
    assert (upsert.kind, upsert.table, upsert.method, upsert.status) == ("upsert", JOBS, "PATCH", 200)
    assert upsert.path == f"/v0/{server.base_id}/{JOBS}"
    assert upsert.body["records"] == [{"fields": {"Run ID": "a"}}]
    assert (create.status, create.applied, create.error) == (422, False, "UNKNOWN_FIELD_NAME")
    assert listing.query == {"fields[]": "Run ID", "maxRecords": "1"}
    assert (other.kind, other.status) == ("unknown", 404)
    assert upsert.at <= create.at <= listing.at
    assert server.counts == {"upsert": 1, "create": 1, "list": 1, "unknown": 1}
    assert server.busiest_second == 4
    assert server.token not in repr(server.requests) + str([each.headers for each in server.requests])
    server.forget_requests()
    assert server.requests == []
