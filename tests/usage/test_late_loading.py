"""Names of `jobspan` are loaded when they are first used: what sees LLM calls is there in time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.program import run_python

IMPORTS = "import jobspan"
GLOBAL = "trace.set_tracer_provider(TracerProvider())"
JOB = "with jobspan.job('scoring') as job, job.client('Acme'): call()"
PROGRAMS = {
    "global before": [GLOBAL, IMPORTS, JOB],
    "global behind": [IMPORTS, GLOBAL, JOB],
    "global behind the first name": [IMPORTS, "jobspan.configure()", GLOBAL, JOB],
    "at exit": [IMPORTS, GLOBAL, "import atexit", f"@atexit.register\ndef late():\n    {JOB}"],
    "forked before the first name": [
        IMPORTS,
        GLOBAL,
        "import os",
        f"if not os.fork():\n    {JOB}\nelse: os.wait()",
    ],
}
CALL = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20}
def call():
    trace.get_tracer("x").start_span("chat", attributes=CHAT).end()
"""


QUICK = ("global before", "global behind the first name")


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(steps, id=name, marks=[] if name in QUICK else [pytest.mark.slow])
        for name, steps in PROGRAMS.items()
    ],
)
def test_a_call_counts_whenever_the_first_name_is_used(steps: list[str], tmp_path: Path) -> None:
    done = run_python(["-c", CALL + "\n".join(steps)], tmp_path, JOBSPAN_MODE="offline")
    assert done.returncode == 0, done.stderr
    show = "from jobspan.cli import main; main()"
    listed = run_python(["-c", show, "runs", "--json"], tmp_path, JOBSPAN_MODE="offline")
    (record,) = json.loads(listed.stdout)
    assert (record["status"], record["total_tokens"]) == ("Completed", 120)
    assert record["client_runs"][0]["total_tokens"] == 120
