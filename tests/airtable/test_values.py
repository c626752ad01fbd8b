"""Whatever the data holds, the row arrives; and the token is nowhere."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import jobspan
from jobspan import _runtime
from jobspan.airtable import fields, notes, ownership
from jobspan.airtable.client import AirtableClient
from jobspan.exceptions import DeliveryError
from jobspan.model.secret import Secret
from jobspan.testing.airtable import AirtableServer
from tests.relay.conftest import Deliver
from tests.relay.support import CLIENT_RUNS, JOBS, assert_equal_to_ledger, in_ledger, rows

NASTY = ["x' ), TRUE( '", 'say "hi"', "back\\slash", "{Run ID}", "a,b", "=1+1", "é中🙂", "semi;--", "x" * 150]


def test_any_client_id_is_one_row(deliver: Deliver) -> None:
    server = deliver()
    with jobspan.job("nasty") as job:
        for name in NASTY:
            with job.client(name) as run:
                run.add(posts=1)
    assert jobspan.flush(15)
    assert_equal_to_ledger(server)
    assert {row["Client ID"] for row in rows(server, CLIENT_RUNS)} == set(NASTY)


@pytest.mark.parametrize("name", NASTY)
def test_a_look_up_by_run_id_finds_exactly_that_row(name: str) -> None:
    with AirtableServer(rate_limit=None) as server:
        client = AirtableClient(Secret(server.token), server.base_id, server.url, 5.0)
        for other in (name, f"{name}x", "other"):
            server.person.add(CLIENT_RUNS, {"Run ID": f"260101-000000-{other}"})
        found = client.find(CLIENT_RUNS, equal={"Run ID": [f"260101-000000-{name}"]}, by_id=False)
        assert [record["fields"]["Run ID"] for record in found] == [f"260101-000000-{name}"]


def test_large_errors_and_odd_numbers_arrive(deliver: Deliver) -> None:
    server = deliver()
    tracking = jobspan.JobTracking()
    made = tracking.create_job(job_type="odd", start_time=datetime(2026, 1, 2, 3, 4, 5))
    assert made
    tracking.create_client_run(made.run_id, "A", posts_processed=float("nan"), leads_processed=-5)
    tracking.update_client_run(made.run_id, "A", apify_api_costs=Decimal("0.123456"), token_usage=2**60)
    tracking.complete_client_run(made.run_id, "A", "Failed", system_notes="e" * 200_000)
    tracking.complete_job(made.run_id, "Failed", error="x" * 200_000, apify_run_id="a, b")

    def shout() -> None:
        with jobspan.job("loud") as job, job.client("B") as run:
            run.note("z" * 200_000)
            run.record_cost("apify", usd=Decimal("17.90"))
            raise ValueError("boom " * 40_000)

    with pytest.raises(ValueError):
        shout()
    assert jobspan.flush(15)
    jobs, clients = in_ledger()
    assert {row["Run ID"] for row in rows(server, JOBS)} == set(jobs)
    assert {row["Run ID"] for row in rows(server, CLIENT_RUNS)} == set(clients)
    assert_equal_to_ledger(server)


SAID = "2 calls: 1,010 in (600 cached) + 55 out (20 reasoning) = 1,065; ≥ $2.50; m1 ×1, m2 ×1"


@pytest.mark.parametrize(("kind", "shown"), [("number", 1065), ("singleLineText", SAID), ("richText", SAID)])
def test_token_usage_is_a_number_or_told_in_words(deliver: Deliver, kind: str, shown: object) -> None:
    place = f"{CLIENT_RUNS}.Token Usage"
    server = deliver(types={} if kind == "number" else {place: kind})
    with jobspan.job("telling") as job:
        with job.client("A") as run:
            run.record_usage(
                input_tokens=1000,
                output_tokens=50,
                cached_tokens=600,
                reasoning_tokens=20,
                model="m1",
                cost_usd=2.5,
            )
            run.record_usage(input_tokens=10, output_tokens=5, model="m2")
        with job.client("nothing"):
            pass
        with job.client("silent") as run:
            run.record_usage(None)
    assert jobspan.flush(15)
    found = {row["Client ID"]: row for row in rows(server, CLIENT_RUNS)}
    assert found["A"]["Token Usage"] == shown
    assert found["A"]["Total Tokens"] == 1065
    assert "Token Usage" not in found["nothing"]
    assert found["silent"].get("Token Usage") == (None if kind == "number" else "1 call reported no usage")
    assert "Token Usage" not in rows(server, JOBS)[0]["System Notes"]


def test_token_usage_in_words_begins_with_what_was_set_by_hand(deliver: Deliver) -> None:
    server = deliver(types={f"{CLIENT_RUNS}.Token Usage": "multilineText"})
    with jobspan.job("telling") as job, job.client("A") as run:
        run.record_usage(input_tokens=10, output_tokens=5, model="m2")
    jobspan.JobTracking().update_client_run(job.run_id, "A", token_usage=1200)
    assert jobspan.flush(15)
    (row,) = rows(server, CLIENT_RUNS)
    assert row["Token Usage"] == "1,200 tokens; 1 call: 10 in + 5 out = 15; m2 ×1"


def test_columns_a_base_has_besides_are_filled(deliver: Deliver) -> None:
    server = deliver()
    for name in ("Cached Tokens", "Reasoning Tokens", "LLM Cost", "LLM Calls"):
        server.person.add_column(CLIENT_RUNS, name, "singleLineText" if name == "LLM Calls" else "number")
    with jobspan.job("more") as job, job.client("A") as run:
        run.record_usage(input_tokens=9, output_tokens=8, cached_tokens=3, reasoning_tokens=2, cost_usd=5)
    assert jobspan.flush(15)
    (row,) = rows(server, CLIENT_RUNS)
    assert (row["Cached Tokens"], row["Reasoning Tokens"], row["LLM Cost"]) == (3, 2, 5)
    assert "LLM Calls" not in row  # of another type: a person's own
    assert "LLM Calls" not in rows(server, JOBS)[0]["System Notes"]


@given(st.one_of(st.floats(), st.decimals(), st.integers(), st.booleans(), st.text()))
def test_a_number_cell_is_always_json(value: object) -> None:
    cell = fields.number(value)
    json.dumps(cell, allow_nan=False)
    assert cell is None or isinstance(cell, int | float)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= 2**53:
        assert cell == value


@given(st.text())
def test_a_text_cell_can_be_encoded(value: str) -> None:
    cell = fields.text(value)
    assert cell is None or (0 < len(cell) <= fields.LONGEST_TEXT and cell.encode())


BLOCK = "2026-01-01 00:00:00 UTC  started job a\nerrors: 1\n" + "jobspan " + "ab" * 12 + " 0123456789ab -"
TEXTS = st.text(
    alphabet=st.characters(
        exclude_characters="\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029", exclude_categories=["Cs"]
    )
).map(str.strip)


@given(TEXTS, TEXTS)
def test_a_persons_text_around_our_block_is_found_again(before: str, after: str) -> None:
    typed = "\n".join(part for part in (before, BLOCK, after) if part)
    found = notes.around(typed, BLOCK)
    assert (found[0].strip(), found[1].strip()) == (before, after)
    assert notes.around(found[0] + BLOCK + found[1], BLOCK) == found


def test_lines_a_person_typed_into_our_block_are_kept() -> None:
    first, *rest = BLOCK.splitlines()
    typed = "\n".join(["above", first, "typed in the middle", *rest, "below"])
    before, after = notes.around(typed, BLOCK)
    assert before.splitlines() == ["above", "typed in the middle"]
    assert after == "\nbelow"


def test_a_block_without_its_mark_leaves_the_persons_lines() -> None:
    typed = "hello\n" + "\n".join(BLOCK.splitlines()[:-1])
    assert notes.around(typed, BLOCK) == ("hello\n", "")


def test_a_mark_is_read_back() -> None:
    deadline = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
    for mark in (ownership.Mark("ab" * 12, "0123456789ab", deadline), ownership.Mark("cd" * 12, "00" * 6)):
        assert ownership.find_mark(f"text\n{mark}") == mark
        assert ownership.find_mark(f"text\n{mark}\nmore") == mark
    assert ownership.find_mark("jobspan is great -") is None
    assert ownership.may_close(
        ownership.Mark("ab" * 12, "00" * 6, deadline), "11" * 6, datetime.now(UTC), "named"
    )
    assert not ownership.may_close(ownership.Mark("ab" * 12, "00" * 6), "11" * 6, datetime.now(UTC), "named")


def test_the_token_is_nowhere(deliver: Deliver, fresh: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server = deliver()
    server.fail(500, method="PATCH", times=1)
    with jobspan.job("secret") as job, job.client("A") as run:
        run.note(f"someone pasted {server.token}")
        run.error(RuntimeError(f"401 for {server.token}"))
    assert jobspan.flush(15)
    server.revoke()
    with jobspan.job("secret"):
        pass
    jobspan.flush(1.5)
    own = _runtime.runtime()
    shown = [
        repr(own.settings),
        str(own.settings),
        repr(own.deliveries.airtable),
        repr(jobspan.health().to_dict()),
    ]
    shown += [
        pickle.dumps(own.deliveries.airtable).hex(),
        repr(copy.deepcopy(own.deliveries.airtable)),
        caplog.text,
    ]
    shown += [repr(vars(own)), repr(own.deliveries.relay)]
    assert own.deliveries.airtable is not None
    assert own.deliveries.airtable.api_key is not None
    assert own.deliveries.airtable.api_key.reveal() == server.token
    assert not any(server.token in text or server.token.encode().hex() in text for text in shown)
    jobspan.shutdown(1)
    for path in fresh.rglob("*"):
        if path.is_file():
            assert server.token.encode() not in path.read_bytes(), path
    assert server.token not in json.dumps(rows(server, JOBS, token=server.add_token()))


def test_an_error_of_the_client_holds_nothing_of_the_request() -> None:
    with AirtableServer(rate_limit=None) as server:
        client = AirtableClient(Secret(server.token), server.base_id, server.url, 5.0)
        server.fail(422, body={"error": {"type": "ODD", "message": f"token {server.token}"}})
        with pytest.raises(DeliveryError) as caught:
            client.tables()
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        assert server.token not in str(caught.value)
        assert server.base_id not in str(caught.value)
        with pytest.raises(TypeError):
            pickle.dumps(client)
    with pytest.raises(DeliveryError) as caught:
        client.tables()
    assert caught.value.outcome == "not_sent"


def test_no_other_credentials_are_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with AirtableServer(rate_limit=None) as server:
        client = AirtableClient(Secret(server.token), server.base_id, server.url, 5.0)
        assert client.tables(), "anything but the token is answered with 401"


@pytest.mark.parametrize(
    "given",
    [
        {"base_id": "app", "api_key": "two words"},
        {"base_id": "../x"},
        {"base_id": "appAAAAAAAAAAAAAA", "endpoint_url": "ftp://x"},
        {"base_id": "appAAAAAAAAAAAAAA", "project": "some"},
        {"base_id": "appAAAAAAAAAAAAAA", "tabel": "x"},
        {"base_id": "appAAAAAAAAAAAAAA", "status_labels": {"Runing": "x"}},
    ],
)
def test_an_unusable_setting_is_named_without_the_token(given: dict[str, object], fresh: Path) -> None:
    token = "patAAAAAAAAAAAAAA.0123456789"
    with pytest.raises(jobspan.SettingsError) as caught:
        jobspan.configure(ledger=fresh / "l.db", airtable={"api_key": token, **given})
    assert token not in str(caught.value)
