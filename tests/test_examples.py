"""Every example runs as it stands, is short, and says what its text promises."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from jobspan.testing.airtable import AirtableServer
from tests.live.server import provider
from tests.program import ROOT, run_python
from tests.testing.installed import python_path

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
PROGRAMS = [path for path in EXAMPLES if path.stem != "10_in_your_tests"]

SAYS = {
    "01_first_job": ["lead_scoring: Completed_with_errors, 3 items, 1 error", "Acme: Completed, 1 leads"],
    "02_client_loop": ["ended with exit code 2"],
    "03_async_clients": ["Guy-Wilson: Completed, value 10", "slow: Timed_out, value None"],
    "04_threads": ["flaky: Completed after 2 attempts", "own-pool: {'posts': 10}"],
    "05_llm_tokens": ["now try: jobspan usage --by client"],
    "08_crash_and_recover": ["killed by signal 9", "Completed: 90 leads of 3 clients"],
    "09_detached_webhook": ["after the job: Running", "after two deliveries: Completed, {'leads': 95}"],
    "06_airtable": ["lead_scoring Completed, 3 client runs", "nothing sent: set AIRTABLE_API_KEY"],
    "07_other_backends": ["span: client_run lead_scoring OK", "delivered: True"],
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_at_most_forty_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 40


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_an_example_runs_and_says_what_it_did(path: Path, tmp_path: Path) -> None:
    with provider() as server:
        done = run_python([str(path)], tmp_path, OPENAI_BASE_URL=server.url)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for text in SAYS[path.stem]:
        assert text in done.stdout


def test_the_tokens_example_counts_what_the_provider_billed(tmp_path: Path) -> None:
    with provider() as server:
        run_python([str(ROOT / "examples" / "05_llm_tokens.py")], tmp_path, OPENAI_BASE_URL=server.url)
        billed = server.total
    command = "from jobspan.cli import main; main()"
    told = run_python(["-c", command, "usage", "--by", "client", "--json"], tmp_path)
    rows = json.loads(told.stdout)
    assert [(row["client"], row["calls"], row["unmetered_calls"]) for row in rows] == [
        ("Acme", 2, 0),
        ("Guy-Wilson", 2, 0),
    ]
    assert (
        sum(row["prompt_tokens"] for row in rows),
        sum(row["completion_tokens"] for row in rows),
    ) == billed


def test_the_flaky_client_of_the_threads_example_counts_its_results_once(tmp_path: Path) -> None:
    done = run_python([str(ROOT / "examples" / "04_threads.py")], tmp_path)
    assert "flaky: {'leads': 10}" in done.stdout


def test_the_tests_of_the_example_pass_where_pytest_finds_the_fixtures(tmp_path: Path) -> None:
    arguments = ["-m", "pytest", "-p", "no:cacheprovider", f"--rootdir={tmp_path}"]
    example = str(ROOT / "examples" / "10_in_your_tests.py")
    done = run_python([*arguments, example], tmp_path, PYTHONPATH=python_path(tmp_path / "site"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_the_airtable_example_brings_its_rows_into_the_base(tmp_path: Path) -> None:
    path = ROOT / "examples" / "06_airtable.py"
    with AirtableServer() as server:
        done = run_python(
            [str(path)],
            tmp_path,
            AIRTABLE_API_KEY=server.token,
            AIRTABLE_BASE_ID=server.base_id,
            AIRTABLE_ENDPOINT_URL=server.url,
        )
        assert done.returncode == 0, done.stderr
        assert "4 rows arrived" in done.stdout
        assert server.token not in done.stdout + done.stderr
        (job,) = server.rows("Job Tracking")
        leads = {row["Client ID"]: row.get("Leads Processed") for row in server.rows("Client Run Results")}
    assert (job["Job Type"], job["Status"], job["Items Processed"]) == ("lead_scoring", "Completed", 15)
    assert leads == {"Guy-Wilson": 12, "Acme": 3, "Bolt": None}


class _Collector(BaseHTTPRequestHandler):
    bodies: list[bytes]

    def do_POST(self) -> None:
        type(self).bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def collector() -> Generator[tuple[str, list[bytes]]]:
    """Run an OTLP collector that keeps what it gets."""
    handler = type("Collector", (_Collector,), {"bodies": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler.bodies  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_other_backends_example_sends_its_spans_by_otlp(tmp_path: Path) -> None:
    with collector() as (url, bodies):
        path = ROOT / "examples" / "07_other_backends.py"
        done = run_python([str(path)], tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url)
    assert done.returncode == 0, done.stderr
    sent = b"".join(bodies)
    for text in (b"client_run lead_scoring", b"jobspan.client.id", b"Guy-Wilson", b"crm.region"):
        assert text in sent
