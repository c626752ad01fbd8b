"""Every example runs as it stands, is short, and says what its text promises."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.live.server import provider
from tests.program import ROOT, run_python

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

SAYS = {
    "01_first_job": ["lead_scoring: Completed_with_errors, 3 items, 1 error", "Acme: Completed, 1 leads"],
    "02_client_loop": ["ended with exit code 2"],
    "03_async_clients": ["Guy-Wilson: Completed, value 10", "slow: Timed_out, value None"],
    "04_threads": ["flaky: Completed after 2 attempts", "own-pool: {'posts': 10}"],
    "05_llm_tokens": ["now try: jobspan usage --by client"],
    "09_detached_webhook": ["after the job: Running", "after two deliveries: Completed, {'leads': 95}"],
    "07_other_backends": ["span: client_run lead_scoring OK", "delivered: True"],
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_at_most_forty_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 40


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
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


class _Collector(BaseHTTPRequestHandler):
    bodies: list[bytes]

    def do_POST(self) -> None:
        type(self).bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
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
