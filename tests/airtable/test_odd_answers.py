"""Whatever an answer is like, each row arrives once, and the token goes to nobody else."""

from __future__ import annotations

import email.utils
import logging
import time
import traceback
from collections.abc import Callable
from typing import Any

import pytest

import jobspan
from jobspan import _runtime
from jobspan.airtable.answering import in_order
from jobspan.airtable.client import AirtableClient
from jobspan.exceptions import DeliveryError
from jobspan.model.delivery import Seen, Write
from jobspan.model.secret import Secret
from jobspan.testing.airtable import AirtableServer
from tests.airtable.bending import Answer, Bend, changed, gateway
from tests.relay.conftest import Deliver
from tests.relay.support import CLIENT_RUNS, assert_equal_to_ledger, rows

JSON = {"Content-Type": "application/json"}


def reversed_records(body: dict[str, Any]) -> None:
    body["records"].reverse()


def without_created(body: dict[str, Any]) -> None:
    body.pop("createdRecords", None)
    body.pop("updatedRecords", None)


def with_more(body: dict[str, Any]) -> None:
    body["details"] = {"message": "partialSuccess", "reasons": ["attachmentsFailedUploading"]}
    for record in body["records"]:
        record["commentCount"] = 3
        record["fields"]["fldSomethingElseXX"] = [{"id": "att"}]


def too_few(body: dict[str, Any]) -> None:
    del body["records"][-1]


def one_more(body: dict[str, Any]) -> None:
    body["records"].insert(0, {"id": "recSomebodyElses1", "createdTime": "", "fields": {}})


def others(body: dict[str, Any]) -> None:
    for record in body["records"]:
        record["id"] = "recSomebodyElses1"
        record["fields"] = {name: "another" for name in record["fields"]}


def no_ids(body: dict[str, Any]) -> None:
    for record in body["records"]:
        del record["id"]


def said(status: int, body: bytes, **headers: str) -> Bend:
    return lambda _: Answer(status, {**JSON, **headers}, body)


BENDS: dict[str, tuple[Bend, int]] = {
    "another order": (changed(reversed_records), 10**6),
    "createdRecords absent": (changed(without_created), 10**6),
    "extra fields": (changed(with_more), 10**6),
    "one more": (changed(one_more), 10**6),
    "too few": (changed(too_few), 2),
    "other rows": (changed(others), 2),
    "no ids": (changed(no_ids), 2),
    "gzip garbage": (said(200, b"\x1f\x8b garbage", **{"Content-Encoding": "gzip"}), 2),
    "html": (said(200, b"<html>maintenance</html>", **{"Content-Type": "text/html"}), 2),
    "empty": (said(200, b""), 2),
    "no content": (said(204, b""), 2),
    "a list": (said(200, b"[]"), 2),
    "null records": (said(200, b'{"records": null}'), 2),
    "drip": (lambda answer: Answer(answer.status, answer.headers, answer.body, drip=0.1), 1),
}


ALIKE = ("no ids", "html", "no content", "a list", "null records")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in ALIKE else []) for name in BENDS]
)
def test_each_row_arrives_once_whatever_the_answer_is_like(deliver: Deliver, name: str) -> None:
    bend, times = BENDS[name]
    server = deliver()
    with gateway(server, bend, times=times) as bent:
        own = {
            "api_key": server.token,
            "base_id": server.base_id,
            "endpoint_url": bent.url,
            "read_timeout": 1.0,
        }
        ledger = _runtime.runtime().settings.ledger
        jobspan.configure(ledger=ledger, strict=True, airtable=own)
        with jobspan.job("odd") as job:
            for client in ("A", "B", "C"):
                with job.client(client) as run:
                    run.add(posts=ord(client))
            with job.client("D") as run:
                run.add(posts=1)
                jobspan.flush(2)
                run.add(posts=1)
        assert jobspan.flush(25)
        assert bent.bent > 0
        assert_equal_to_ledger(server)
        assert len(rows(server, CLIENT_RUNS)) == 4
        jobspan.shutdown(1)


@pytest.mark.parametrize("where", ["head", "body"])
def test_an_answer_that_drips_is_given_up_after_the_read_time_out(where: str) -> None:
    def slow(answer: Answer) -> Answer:
        if where == "head":
            return Answer(200, {**JSON, "X-Long": "x" * 500}, b"{}", drip=0.05)
        return Answer(200, JSON, b" " * 500 + b"{}", drip=0.05 if where == "body" else 0)

    with AirtableServer(rate_limit=None) as server, gateway(server, slow, method="GET") as bent:
        client = AirtableClient(Secret(server.token), server.base_id, bent.url, 0.6)
        started = time.monotonic()
        with pytest.raises(DeliveryError) as caught:
            client.tables()
        assert 0.5 < time.monotonic() - started < 3
        assert (caught.value.type, caught.value.outcome) == ("ReadTimeout", "unknown")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_a_redirect_is_not_followed(status: int, method: str) -> None:
    with gateway(None) as elsewhere, AirtableServer(rate_limit=None) as server:
        bend = said(status, b"", Location=f"{elsewhere.url}/v0/steal")
        with gateway(server, bend, method=method) as bent:
            client = AirtableClient(Secret(server.token), server.base_id, bent.url, 2.0)
            row = {"fields": {"Run ID": "1-A"}}
            ask: dict[str, Callable[[], object]] = {
                "GET": client.tables,
                "PATCH": lambda: client.upsert(CLIENT_RUNS, [row], ["Run ID"], by_id=False),
            }
            with pytest.raises(DeliveryError) as caught:
                ask[method]()
            assert bent.bent == 1
        assert elsewhere.seen == []
        assert server.token not in str(caught.value)


IN_TWO_MINUTES = "a date"


@pytest.mark.parametrize(
    ("given", "least", "most"),
    [
        ("0", None, None),
        ("-5", None, None),
        ("1e9", None, None),
        ("inf", None, None),
        ("nan", None, None),
        ("soon", None, None),
        ("", None, None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None, None),
        ("Wed, 99 Oct 2015", None, None),
        (IN_TWO_MINUTES, 30.0, 121.0),
        ("7", 7.0, 7.0),
        ("1.5", 1.5, 1.5),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_only_a_retry_after_somebody_can_mean_is_taken(
    status: int, given: str, least: float | None, most: float | None
) -> None:
    if given == IN_TWO_MINUTES:
        given = email.utils.formatdate(time.time() + 120, usegmt=True)
    with AirtableServer(rate_limit=None) as server:
        server.fail(status, retry_after=given)
        client = AirtableClient(Secret(server.token), server.base_id, server.url, 2.0)
        with pytest.raises(DeliveryError) as caught:
            client.tables()
        found = caught.value.retry_after
        if least is None or most is None:
            assert found is None
        else:
            assert found is not None
            assert least <= found <= most


@pytest.mark.parametrize("given", ["0", "1e9", "soon"])
def test_an_absurd_retry_after_delays_no_longer_than_a_lockout(deliver: Deliver, given: str) -> None:
    server = deliver()
    server.fail(429, retry_after=given, nth=2)
    with jobspan.job("absurd") as job, job.client("A"):
        pass
    assert jobspan.flush(15)
    assert_equal_to_ledger(server)


ROWS = [
    Write("a", "1-A", "rec1", {}),
    Write("b", "1-B", None, {"run_id": "1-B"}),
    Write("c", "1-C", None, {"run_id": "1-C"}),
]
FOUND = [Seen("rec1", "1-A"), Seen("rec2", "1-B"), Seen("rec3", "1-C")]


def test_records_are_matched_by_id_and_run_id() -> None:
    assert in_order(ROWS, FOUND) == FOUND
    assert in_order(ROWS, [*reversed(FOUND)]) == FOUND
    assert in_order(ROWS, [*FOUND, Seen("rec4", "1-D")]) == FOUND
    assert in_order(ROWS, FOUND[:2]) is None
    assert in_order(ROWS, [Seen("rec9", "1-A"), *FOUND[1:]]) is None
    assert in_order(ROWS, [*FOUND[:2], Seen("rec3", "1-X")]) is None


def test_what_rich_text_makes_of_a_run_id_is_known_and_rows_without_one_go_by_their_place() -> None:
    rich = [FOUND[0], Seen("rec2", "1\\-B\n"), Seen("rec3", "1\\-C\n")]
    assert in_order(ROWS, [rich[2], rich[0], rich[1]]) == rich
    nameless = [FOUND[0], Seen("rec2", ""), Seen("rec3", "")]
    assert in_order(ROWS, nameless) == nameless
    assert in_order(ROWS, nameless[:2]) is None


def test_the_token_is_in_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bends = [bend for bend, _ in BENDS.values()]
    with AirtableServer(rate_limit=None) as server:
        told: list[str] = []
        for bend in bends:
            with gateway(server, bend) as bent:
                client = AirtableClient(Secret(server.token), server.base_id, bent.url, 0.3)
                try:
                    client.upsert(CLIENT_RUNS, [{"fields": {"Run ID": "1-A"}}], ["Run ID"], by_id=False)
                except DeliveryError as error:
                    told.append("".join(traceback.TracebackException.from_exception(error).format()))
                    told.append(repr(error.__dict__))
        assert len(told) > 10
        assert not any(server.token in text for text in [*told, caplog.text])
