"""`jobspan demo` on an empty home, and what the other commands then say."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from tests.cli.conftest import Shell


@pytest.fixture
def shell(home: Path) -> Shell:
    return Shell(home)  # each command is a new interpreter


def test_the_demo_becomes_one_job_with_three_true_client_runs(shell: Shell) -> None:
    demo = shell.run("demo")
    assert (demo.returncode, demo.stderr) == (0, "")

    listed = shell.run("runs", "--json")
    assert (listed.returncode, listed.stderr) == (0, "")
    (job,) = json.loads(listed.stdout)
    assert job["status"] == "Completed_with_errors"
    assert (job["items_processed"], job["errors"]) == (15, 1)
    assert (job["prompt_tokens"], job["completion_tokens"], job["total_tokens"]) == (1260, 114, 1374)
    assert job["cost_usd"] == "0.0247"
    assert job["error"] == "ConnectionError: https://profiles.example/northwind answered 503"
    assert "1 × ConnectionError" in job["system_notes"]

    runs = {run["client_id"]: run for run in job["client_runs"]}
    assert {name: run["status"] for name, run in runs.items()} == {
        "Guy-Wilson": "Completed",
        "Wilson": "Completed",
        "Northwind": "Failed",
    }
    guy = runs["Guy-Wilson"]
    assert guy["run_id"] == f"{job['run_id']}-Guy-Wilson"
    assert (guy["leads_processed"], guy["posts_processed"], guy["errors"]) == (3, None, 0)
    assert (guy["total_tokens"], guy["token_usage"], guy["cost_usd"]) == (1374, 1374, "0.0063")
    (operation,) = guy["operations"]
    assert (operation["name"], operation["status"], operation["counts"]) == (
        "lead_scoring",
        "Completed",
        {"leads": 3},
    )
    wilson = runs["Wilson"]
    assert (wilson["posts_processed"], wilson["total_tokens"]) == (12, None)
    assert wilson["apify_api_costs"] == wilson["cost_usd"] == "0.0184"
    assert "profile search returned one page" in wilson["system_notes"]
    assert (runs["Northwind"]["errors"], runs["Northwind"]["cost_usd"]) == (1, None)


def test_the_demos_times_are_in_order_and_utc(shell: Shell) -> None:
    job = json.loads(shell.run("demo", "--json").stdout)
    edges = [job["start_time"]]
    for run in job["client_runs"]:
        edges += [run["start_time"], run["end_time"]]
    edges.append(job["end_time"])
    assert all(edge.endswith("Z") for edge in edges)
    moments = [datetime.fromisoformat(edge) for edge in edges]
    assert moments == sorted(moments)
    assert 0.3 < (moments[-1] - moments[0]).total_seconds() < 30


def test_the_demo_prints_what_happens_in_order_and_what_to_try_next(shell: Shell) -> None:
    lines = shell.run("demo").stdout.splitlines()
    told = [line.split()[:2] for line in lines if line.startswith("  ")]
    assert told[0][0] == "job"
    assert told[1:] == [
        ["Guy-Wilson", "opened"],
        ["lead_scoring", "Ada"],
        ["lead_scoring", "Bo"],
        ["lead_scoring", "Cleo"],
        ["Guy-Wilson", "Completed"],
        ["Wilson", "opened"],
        ["Wilson", "12"],
        ["Wilson", "Completed"],
        ["Northwind", "opened"],
        ["Northwind", "its"],
        ["Northwind", "Failed"],
        ["job", "Completed_with_errors"],
    ]
    run_id = told[0][1]
    assert lines[-1] == f"Try next: jobspan runs, or jobspan show {run_id}-Guy-Wilson"
    assert shell.run("show", f"{run_id}-Guy-Wilson").returncode == 0


def test_the_demo_prints_only_the_job_record_as_json(shell: Shell) -> None:
    demo = shell.run("demo", "--json")
    job = json.loads(demo.stdout)
    assert demo.returncode == 0
    assert json.loads(shell.run("show", job["run_id"], "--json").stdout) == job
    assert json.loads(shell.run("runs", "--json").stdout) == [job]


def test_the_demo_runs_whatever_the_mode_and_sends_nothing(shell: Shell) -> None:
    demo = shell.run("demo", "--json", JOBSPAN_MODE="disabled", AIRTABLE_API_KEY="patAAA.bbb")
    assert (demo.returncode, json.loads(demo.stdout)["status"]) == (0, "Completed_with_errors")


def test_the_demo_goes_to_the_ledger_that_is_named(shell: Shell) -> None:
    assert shell.run("--ledger", "mine/a.db", "demo", "--json").returncode == 0
    assert (shell.home / "mine" / "a.db").is_file()
    assert len(json.loads(shell.run("runs", "--json", "--ledger", "mine/a.db").stdout)) == 1
    assert len(json.loads(shell.run("runs", "--json", JOBSPAN_LEDGER="mine/a.db").stdout)) == 1
    assert json.loads(shell.run("runs", "--json").stdout) == []
