"""What is recorded on a thread without context goes where a call seen there would go."""

from __future__ import annotations

import threading
from collections.abc import Callable

import jobspan
from jobspan import client_run, job
from tests.conftest import Fresh


def on_a_bare_thread(work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def spend() -> None:
    jobspan.record_usage(input_tokens=10, output_tokens=5, model="m")
    jobspan.record_cost("apify", "0.25", id="run1")


def test_it_goes_to_the_only_open_client_run(fresh: Fresh) -> None:
    with job("nightly"), client_run("A"):
        on_a_bare_thread(spend)
    assert fresh.client("A").total_tokens == 15
    assert str(fresh.client("A").cost_usd) == "0.25"
    assert fresh.job().total_tokens == 15


def test_between_two_client_runs_it_goes_to_the_job(fresh: Fresh) -> None:
    with job("nightly") as outer, outer.client("A"), outer.client("B"):
        on_a_bare_thread(spend)
    assert fresh.job().total_tokens == 15
    assert [run.total_tokens for run in fresh.job().client_runs] == [None, None]


def test_between_two_jobs_it_goes_to_a_job_of_its_own(fresh: Fresh) -> None:
    with job("one"), job("two"):
        on_a_bare_thread(spend)
        on_a_bare_thread(spend)
    totals = {record.job_type: record.total_tokens for record in fresh.jobs()}
    assert totals == {"one": None, "two": None, "unattributed": 30}


def test_where_nothing_is_open_nothing_is_recorded(fresh: Fresh) -> None:
    on_a_bare_thread(spend)
    assert fresh.jobs() == []
