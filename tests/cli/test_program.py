"""Exit codes, settings, trouble with the ledger, and what is imported."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from jobspan.cli.page import page
from tests.cli.conftest import ENTRY, Shell


@pytest.fixture
def shell(home: Path) -> Shell:
    return Shell(home)  # each command is a new interpreter


COMMANDS = [["runs"], ["usage"], ["export", "--format", "csv"], ["show", "x"]]


def test_the_manual_page_is_current() -> None:
    file = Path(__file__).parents[2] / "docs" / "cli.md"
    assert file.read_text("utf-8") == page(), "run: python -m jobspan.cli.page > docs/cli.md"


def test_an_empty_ledger_is_fine(shell: Shell) -> None:
    for command in (["runs"], ["usage"], ["export", "--format", "csv"]):
        assert shell.run(*command).returncode == 0
    ledger = shell.home / ".local/share/jobspan/ledger.db"
    assert shell.run("runs").stdout == f"No jobs yet in {ledger}. Try: jobspan demo\n"
    assert json.loads(shell.run("runs", "--json").stdout) == []
    assert json.loads(shell.run("usage", "--by", "model", "--json").stdout) == []
    assert shell.run("export", "--json").stdout == ""
    assert shell.run("show", "260512-140322").returncode == 1


def test_wrong_usage_exits_with_2(shell: Shell) -> None:
    for command in (
        ["nope"],
        ["runs", "--limit", "-1"],
        ["usage", "--by", "colour"],
        ["show"],
        ["export", "--format", "xml"],
        ["export", "--format", "csv", "--json"],
    ):
        result = shell.run(*command)
        assert (result.returncode, result.stdout) == (2, ""), command
        assert "Traceback" not in result.stderr


def test_help_and_version_exit_with_0(shell: Shell) -> None:
    for command in (["-h"], ["--help"], ["--version"], ["runs", "-h"]):
        assert shell.run(*command).returncode == 0
    assert shell.run().returncode == 2


def test_a_bad_setting_is_told_with_what_to_write(shell: Shell) -> None:
    for command in (*COMMANDS, ["demo"]):
        result = shell.run(*command, JOBSPAN_TIMEZONE="Mars")
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.startswith("jobspan: JOBSPAN_TIMEZONE: 'Mars' cannot be used, write ")
        assert result.stderr.count("\n") == 1


def _newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA application_id = {0x4A6F6253}")
        connection.execute("PRAGMA user_version = 999")
        connection.execute("CREATE TABLE runs (x)")


def _foreign(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE songs (x)")


def _text(path: Path) -> None:
    path.write_text("my notes, not a database\n" * 100)


@pytest.mark.parametrize(
    ("make", "words"),
    [(_newer, "newer jobspan"), (_foreign, "another program's"), (_text, "is no ledger")],
)
def test_a_file_that_is_no_ledger_of_ours_is_refused_and_left_alone(shell: Shell, make, words: str) -> None:
    path = shell.home / "some.db"
    make(path)
    before = path.read_bytes()
    for command in (*COMMANDS, ["demo"]):
        result = shell.run("--ledger", str(path), *command)
        assert result.returncode == 2, result.stderr
        assert words in result.stderr
        assert "Traceback" not in result.stderr
    assert path.read_bytes() == before
    assert [each.name for each in shell.home.glob("some.db.corrupt*")] == []


def test_a_folder_is_no_ledger(shell: Shell) -> None:
    result = shell.run("--ledger", str(shell.home), "runs")
    assert result.returncode == 2
    assert "not a directory" in result.stderr


def test_a_ledger_that_cannot_be_made_is_told(shell: Shell) -> None:
    (shell.home / "file").write_text("in the way")
    for command in (*COMMANDS, ["demo"]):
        result = shell.run("--ledger", "file/ledger.db", *command, JOBSPAN_STRICT="0")
        assert result.returncode == 2, command
        assert "file/ledger.db cannot be" in result.stderr
        assert "Traceback" not in result.stderr


def test_an_interrupted_demo_ends_quietly_and_is_recorded_as_canceled(shell: Shell) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ENTRY, "demo"],
        env=shell.environment,
        cwd=shell.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while "Ada" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        assert process.stderr.read().strip() == "jobspan: interrupted"
        assert process.wait(30) == 130
    (job,) = json.loads(shell.run("runs", "--json").stdout)
    assert job["status"] == "Canceled"


def test_a_damaged_ledger_is_told_and_read_from_its_journals(shell: Shell) -> None:
    assert shell.run("--ledger", "a.db", "demo", "--json").returncode == 0
    for suffix in ("-wal", "-shm"):
        (shell.home / f"a.db{suffix}").unlink(missing_ok=True)
    (shell.home / "a.db").write_bytes(b"garbage" * 1000)
    result = shell.run("--ledger", "a.db", "runs", "--json")
    assert result.returncode == 0
    assert [job["status"] for job in json.loads(result.stdout)] == ["Completed_with_errors"]
    assert "damaged" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_reader_that_closes_early_is_no_trouble(shell: Shell) -> None:
    shell.python("import jobspan\nfor n in range(300):\n    with jobspan.job('many' * 40): pass")
    for words in (["runs", "--json"], ["runs", "--limit", "300"], ["export", "--json"]):
        with subprocess.Popen(
            [sys.executable, "-c", ENTRY, *words],
            env=shell.environment,
            cwd=shell.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.read(10)
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait(30) == 0


def test_a_live_process_is_seen_before_it_ends(shell: Shell) -> None:
    code = (
        "import jobspan, sys\n"
        "with jobspan.job('live') as j, j.client('A') as run:\n"
        "    run.add(leads=5)\n"
        "    print('open', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=shell.environment,
        cwd=shell.home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"open\n"
        (job,) = json.loads(shell.run("runs", "--json").stdout)
        assert (job["status"], job["items_processed"], job["end_time"]) == ("Running", 5, None)
        assert "Running" in shell.run("runs").stdout
        process.stdin.close()
        assert process.wait(30) == 0
    assert json.loads(shell.run("runs", "--json").stdout)[0]["status"] == "Completed"


def test_instants_are_shown_in_the_configured_zone(shell: Shell) -> None:
    job = json.loads(shell.run("demo", "--json", JOBSPAN_TIMEZONE="Asia/Tokyo").stdout)
    text = shell.run("runs", JOBSPAN_TIMEZONE="Asia/Tokyo").stdout
    assert "Started (Asia/Tokyo)" in text
    assert text.count("Tokyo") == 1
    shown = f"20{job['run_id'][:2]}-{job['run_id'][2:4]}-{job['run_id'][4:6]} {job['run_id'][7:9]}:"
    assert shown in text


def test_json_needs_no_rich(shell: Shell) -> None:
    code = (
        "import sys; from jobspan.cli import main; main(['runs', '--json']); assert 'rich' not in sys.modules"
    )
    shell.python(code)
