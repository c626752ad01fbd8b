"""runs, show, usage and export over a ledger with awkward contents."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Shell
from tests.cli.preloaded import Preloaded

BATCH = r"""
import jobspan
with jobspan.job("first") as j:
    with j.client("Guy-Wilson") as run:
        run.add(leads=2, calls_made=4)
        run.record_usage(input_tokens=1000, output_tokens=50, model="m1", cost_usd="0.5")
        run.record_usage(input_tokens=10, output_tokens=5, model="m2")
    with j.client("Wilson") as run:
        run.skip("tier Basic")
with jobspan.job("=cmd|' /C calc'!A0") as j:
    with j.client('=HYPERLINK("x"), "a"') as run:
        run.note("+1 second line\nof a note")
    with j.client("two\nlines \x1b[31mred") as run:
        run.add(posts=1)
    for run in j.clients(["[bold]no markup[/bold]", "日本語 クライアント"]):
        with run:
            raise ValueError("bad profile")
print(j.run_id)
"""


@pytest.fixture(scope="session")
def filled_home(tmp_path_factory: pytest.TempPathFactory, preloaded: Preloaded) -> Path:
    shell = Shell(tmp_path_factory.mktemp("filled"), preloaded)
    shell.python(BATCH)
    return shell.home


@pytest.fixture
def filled(filled_home: Path, shell: Shell) -> Shell:
    """A ledger of the test's own, as that program left it."""
    shutil.copytree(filled_home, shell.home, dirs_exist_ok=True)
    return shell


def as_json(shell: Shell, *arguments: str) -> Any:
    result = shell.run(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    return json.loads(result.stdout)


def test_runs_are_whole_jobs_newest_first(filled: Shell) -> None:
    jobs = as_json(filled, "runs", "--json")
    assert [job["job_type"] for job in jobs] == ["=cmd|' /C calc'!A0", "first"]
    assert [len(job["client_runs"]) for job in jobs] == [4, 2]
    assert [job["job_type"] for job in as_json(filled, "runs", "--json", "--limit", "1")] == [
        jobs[0]["job_type"]
    ]
    assert as_json(filled, "runs", "--json", "--limit", "0") == []


def test_a_piped_table_is_one_line_a_job_uncut_and_uncoloured(filled: Shell) -> None:
    text = filled.run("runs", COLUMNS="40").stdout
    head, _, *lines = text.splitlines()
    assert "Started (UTC)" in head
    assert len(lines) == 2
    assert "4: 2 ok, 2 failed" in lines[0]
    assert "2: 1 ok, 1 skipped" in lines[1]
    assert "≥ $0.50" in lines[1]
    assert "\x1b" not in text
    assert "…" not in text


def test_the_table_shows_fifty_and_says_how_many_more(shell: Shell) -> None:
    shell.python("import jobspan\nfor n in range(53):\n    with jobspan.job('many'): pass")
    text = shell.run("runs").stdout
    assert text.count("many") == 50
    assert text.endswith("\n3 more: jobspan runs --limit 53\n")
    assert shell.run("runs", "--limit", "53").stdout.count("many") == 53
    assert len(as_json(shell, "runs", "--json")) == 53


def test_every_run_is_found_by_its_id(filled: Shell) -> None:
    for job in as_json(filled, "runs", "--json"):
        assert as_json(filled, "show", job["run_id"], "--json") == job
        for run in job["client_runs"]:
            assert as_json(filled, "show", run["run_id"], "--json") == run
            assert run["client_id"] in filled.run("show", run["run_id"]).stdout


def test_a_client_run_is_found_by_the_raw_and_the_escaped_id(filled: Shell) -> None:
    job = as_json(filled, "runs", "--json")[0]
    raw = as_json(filled, "show", f"{job['run_id']}-two\nlines \x1b[31mred", "--json")
    assert raw["client_id"] == r"two\x0alines \x1b[31mred"
    assert as_json(filled, "show", raw["run_id"], "--json") == raw


def test_a_page_holds_header_client_runs_operations_and_notes(shell: Shell) -> None:
    job = json.loads(shell.run("demo", "--json").stdout)
    text = shell.run("show", job["run_id"]).stdout
    for wanted in (
        "Job 2",
        "Completed_with_errors",
        "Client runs (3: 2 ok, 1 failed)",
        "Operations of client runs",
        "lead_scoring",
        "System notes",
        "$0.0247",
    ):
        assert wanted in text


def test_an_unknown_id_is_told_with_near_matches(filled: Shell) -> None:
    job = as_json(filled, "runs", "--json")[1]["run_id"]
    missing = filled.run("show", f"{job}-Guy-Wilsn")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert f"did you mean {job}-Guy-Wilson" in missing.stderr
    assert filled.run("show", f"{job}-Guy-Wilsn", "--json").returncode == 1
    assert (
        filled.run("show", "nothing like it").stderr == "jobspan: no run 'nothing like it' in this ledger\n"
    )


def test_a_provisional_id_still_finds_its_job(shell: Shell) -> None:
    shell.python(
        "import jobspan\n"
        "t = jobspan.JobTracking()\n"
        "t.create_job('260512-140322~abcdef', job_type='moved')\n"
        "t.create_client_run('260512-140322~abcdef', 'A-B')\n"
    )
    job = as_json(shell, "show", "260512-140322~abcdef", "--json")
    assert job["job_type"] == "moved"
    assert "~" not in job["run_id"]
    assert as_json(shell, "show", "260512-140322~abcdef-A-B", "--json") == job["client_runs"][0]


def test_a_job_with_an_id_of_its_own_shape_is_found_with_its_clients(shell: Shell) -> None:
    shell.python(
        "import jobspan\n"
        "t = jobspan.JobTracking()\n"
        "t.create_job('night-7', job_type='own')\n"
        "t.create_client_run('night-7', 'A-B')\n"
    )
    assert as_json(shell, "show", "night-7", "--json")["job_type"] == "own"
    assert as_json(shell, "show", "night-7-A-B", "--json")["client_id"] == "A-B"


def test_usage_adds_up_by_client_job_and_model(filled: Shell) -> None:
    (client,) = as_json(filled, "usage", "--json")
    assert client == {
        "client": "Guy-Wilson",
        "prompt_tokens": 1010,
        "completion_tokens": 55,
        "total_tokens": 1065,
        "cost_usd": "0.5",
        "calls": 2,
        "unmetered_calls": 0,
        "unpriced_calls": 1,
    }
    models = as_json(filled, "usage", "--by", "model", "--json")
    assert [next(iter(row.items())) for row in models] == [("model", "m1"), ("model", "m2")]
    assert [row["cost_usd"] for row in models] == ["0.5", None]
    (job,) = as_json(filled, "usage", "--by", "job", "--json")
    assert job["job"] == as_json(filled, "runs", "--json")[1]["run_id"]


def test_usage_holds_what_was_set_by_hand_and_equals_the_records(shell: Shell) -> None:
    shell.python(
        "import jobspan\n"
        "t = jobspan.JobTracking()\n"
        "run_id = t.create_job(job_type='hand').run_id\n"
        "t.create_client_run(run_id, 'A', prompt_tokens=100, completion_tokens=7, cost_usd='0.25')\n"
        "t.create_client_run(run_id, 'B', total_tokens=50, apify_api_costs='1.5')\n"
        "with jobspan.job('measured') as j, j.client('A') as run:\n"
        "    run.record_usage(input_tokens=10, output_tokens=1, model='m', cost_usd=1)\n"
    )
    jobs = as_json(shell, "runs", "--json")
    a, b = as_json(shell, "usage", "--by", "client", "--json")
    assert (a["client"], a["prompt_tokens"], a["total_tokens"], a["cost_usd"], a["calls"]) == (
        "A",
        110,
        118,
        "1.25",
        1,
    )
    assert (b["client"], b["prompt_tokens"], b["total_tokens"], b["cost_usd"]) == ("B", None, 50, "1.5")
    rows = {row["job"]: row for row in as_json(shell, "usage", "--by", "job", "--json")}
    for job in jobs:
        for name in ("prompt_tokens", "completion_tokens", "cost_usd"):
            assert rows[job["run_id"]][name] == job[name], (job["job_type"], name)
    models = {row["model"]: row["total_tokens"] for row in as_json(shell, "usage", "--by", "model", "--json")}
    assert models == {"m": 11, "(set by hand)": 157}


MONTHS = """
import jobspan
from datetime import datetime, timezone, timedelta
from jobspan import _clock
for day, model in (("2026-04-30T21:30", "m1"), ("2026-04-30T22:30", "=m2"), ("2026-05-01T10:00", "m1")):
    at = int(datetime.fromisoformat(day + "+00:00").timestamp()) * 10**9
    _clock.now_ns = lambda: at
    with jobspan.job("night") as job, job.client("A") as run:
        run.record_usage(input_tokens=10, output_tokens=1, model=model, cost_usd="0.25")
assert jobspan.flush(10)
"""


def test_a_month_and_its_days_are_those_of_the_zone_in_each_format(shell: Shell) -> None:
    shell.python(MONTHS)
    zone = {"JOBSPAN_TIMEZONE": "Europe/Berlin"}
    days = json.loads(shell.run("usage", "--by", "day", "--json", **zone).stdout)
    assert [(row["day"], row["calls"]) for row in days] == [("2026-04-30", 1), ("2026-05-01", 2)]
    may = json.loads(shell.run("usage", "--by", "day", "--month", "2026-05", "--json", **zone).stdout)
    assert may == [
        {
            "day": "2026-05-01",
            "prompt_tokens": 20,
            "completion_tokens": 2,
            "total_tokens": 22,
            "cost_usd": "0.5",
            "calls": 2,
            "unmetered_calls": 0,
            "unpriced_calls": 0,
        }
    ]
    assert (
        json.loads(shell.run("usage", "--by", "day", "--month", "2026-05", "--json").stdout)[0]["calls"] == 1
    )
    text = shell.run("usage", "--by", "model", "--month", "2026-05", "--csv", **zone).stdout
    head, *lines = csv.reader(io.StringIO(text))
    assert head == ["model", *list(may[0])[1:]]
    assert [line[0] for line in lines] == ["'=m2", "m1"]
    assert lines[1][1:] == ["10", "1", "11", "0.25", "1", "0", "0"]
    table = shell.run("usage", "--by", "day", "--month", "2026-05", **zone).stdout
    assert table.splitlines()[2].split() == ["2026-05-01", "2", "20", "2", "22", "$0.50"]
    assert json.loads(shell.run("usage", "--month", "2001-01", "--json").stdout) == []
    assert shell.run("usage", "--month", "2026-13").returncode == 2


def test_the_usage_table_has_a_total_and_marks_lower_bounds(filled: Shell) -> None:
    text = filled.run("usage", "--by", "model").stdout
    (total,) = [line for line in text.splitlines() if line.startswith("Total")]
    assert total.split() == ["Total", "2", "1,010", "55", "1,065", "≥", "$0.50"]
    assert "Calls without a known price: 1." in text


def test_jsonl_holds_both_kinds_flat(filled: Shell) -> None:
    result = filled.run("export", "--format", "jsonl")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["record"] for line in lines] == ["job", *["client_run"] * 4, "job", *["client_run"] * 2]
    assert not [line for line in lines if "client_runs" in line or "operations" in line]
    jobs = as_json(filled, "runs", "--json")
    first = {name: value for name, value in jobs[0].items() if name != "client_runs"}
    assert lines[0] == {"record": "job", **first}
    assert filled.run("export", "--json").stdout == result.stdout
    only = filled.run("export", "--format", "jsonl", "--records", "jobs").stdout.splitlines()
    assert [json.loads(line)["record"] for line in only] == ["job", "job"]


def test_csv_holds_client_runs_that_no_spreadsheet_takes_for_formulas(filled: Shell) -> None:
    rows = list(csv.DictReader(io.StringIO(filled.run("export", "--format", "csv").stdout)))
    by_client = {row["client_id"]: row for row in rows}
    assert len(rows) == 6
    assert '\'=HYPERLINK("x"), "a"' in by_client
    guy = by_client["Guy-Wilson"]
    assert (guy["cost_usd"], guy["posts_processed"], guy["leads_processed"]) == ("0.5", "", "2")
    assert json.loads(guy["counts"]) == {"leads": 2, "calls_made": 4}
    jobs = list(
        csv.DictReader(io.StringIO(filled.run("export", "--format", "csv", "--records", "jobs").stdout))
    )
    assert [job["job_type"] for job in jobs] == ["'=cmd|' /C calc'!A0", "first"]


def test_an_export_can_go_to_a_file(filled: Shell) -> None:
    result = filled.run("export", "--format", "csv", "--output", "out.csv")
    assert (result.returncode, result.stdout) == (0, "")
    assert (filled.home / "out.csv").read_text("utf-8") == filled.run("export", "--format", "csv").stdout
    bad = filled.run("export", "--format", "csv", "--output", "no/such/folder.csv")
    assert bad.returncode == 2
    assert "cannot be written" in bad.stderr


def test_an_output_that_is_not_utf8_still_gets_valid_json(filled: Shell) -> None:
    result = filled.run("runs", "--json", PYTHONIOENCODING="ascii")
    ids = [run["client_id"] for run in json.loads(result.stdout)[0]["client_runs"]]
    assert "日本語 クライアント" in ids
    assert filled.run("runs", PYTHONIOENCODING="ascii").returncode == 0
