"""Records: frozen, slotted, picklable, and JSON with exactly the keys scripts rely on, in their order."""

from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobspan.model.record import CLIENT_RUN_COLUMNS, JOB_COLUMNS, dollars, instant, instant_text
from tests.model.histories import legal_history
from tests.model.stores import SqliteStore, fold_in_order, sqlite_ledger
from tests.model.telling import Teller

JOB = """run_id, job_type, status, start_time, end_time, items_processed, errors, error, system_notes,
apify_run_id, prompt_tokens, completion_tokens, total_tokens, cost_usd, client_runs"""
CLIENT_RUN = """run_id, job_run_id, client_id, status, start_time, end_time, posts_processed, leads_processed,
errors, system_notes, token_usage, prompt_tokens, completion_tokens, total_tokens, apify_api_costs, cost_usd,
counts, attempts, operations"""
OPERATION = "name, status, start_time, end_time, counts, errors"


def names(text: str) -> list[str]:
    return text.replace("\n", " ").replace(" ", "").split(",")


def told() -> Teller:
    teller = Teller()
    teller.client("C", 1.0015)
    teller.operation("O", 2, "score", "C")
    teller.at("O", 2, "usage", u={"in": 7, "out": 0, "c": "0.1834"}, key="a")
    teller.at("O", 2, "add", c={"leads": 3, "calls made": 2})
    teller.close("O", 3)
    return teller


def test_the_keys_are_those_scripts_rely_on_in_order() -> None:
    job = told().job().to_dict()
    assert list(job) == names(JOB)
    assert list(job["client_runs"][0]) == names(CLIENT_RUN)
    assert list(job["client_runs"][0]["operations"][0]) == names(OPERATION)
    assert list(JOB_COLUMNS) == names(JOB)[:-1]
    assert list(CLIENT_RUN_COLUMNS) == names(CLIENT_RUN)[:-1]


def test_values_are_json_with_instants_in_utc_and_money_as_text() -> None:
    run = told().run().to_dict()
    assert json.loads(json.dumps(run)) == run
    assert run["start_time"] == "2026-05-28T20:26:41.001Z"
    assert run["end_time"] is None
    assert run["status"] == "Running"
    assert (run["cost_usd"], run["total_tokens"], run["completion_tokens"]) == ("0.1834", 7, 0)
    assert run["posts_processed"] is None
    assert run["counts"] == {"calls made": 2, "leads": 3}


def test_records_are_frozen_and_a_dict_of_one_is_a_copy() -> None:
    run = told().run()
    with pytest.raises(FrozenInstanceError):
        run.errors = 3  # type: ignore[misc]
    assert not hasattr(run, "__dict__")
    run.to_dict()["counts"]["leads"] = 0
    assert run.counts["leads"] == 3


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("seed", range(5))
def test_records_pickle_to_equals(seed: int, protocol: int) -> None:
    from jobspan.ledger.reading import LedgerReader

    connection = sqlite_ledger()
    fold_in_order(SqliteStore(connection), legal_history(seed, 6))
    for job in LedgerReader(connection, UTC).jobs():
        assert pickle.loads(pickle.dumps(job, protocol)) == job


@given(st.integers(0, 2**62))
def test_an_instant_is_shown_to_the_millisecond_it_lies_in(at_ns: int) -> None:
    text = instant_text(instant(at_ns))
    assert text is not None
    assert text.endswith("Z")
    read = datetime.fromisoformat(text)
    assert round((read - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000) == at_ns // 1_000_000


@given(st.integers(0, 10**18))
def test_dollars_are_exact_and_plain(micro: int) -> None:
    amount = dollars(micro)
    assert amount is not None
    assert amount * 1_000_000 == Decimal(micro)
    assert "E" not in str(amount)


def test_a_time_no_calendar_has_is_no_reason_to_fail() -> None:
    teller = told()
    teller.at("J", 5, "set", f={"start_time": "0001-01-01T00:00:00+14:00", "end_time": 7, "error": None}, x=1)
    teller.close("J", 6)
    assert teller.job().to_dict()["start_time"] == "2026-05-28T20:26:40.000Z"
