"""The real pyairtable client against the strict server."""

from __future__ import annotations

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
