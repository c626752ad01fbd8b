"""A forked child exports its own spans and nobody else's, however it was forked."""

from __future__ import annotations

import json
import os

import pytest

from tests.spans.support import run_program

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

FORKS = {
    "os.fork": "fork = os.fork",
    "a fork made in C, which runs no hook": "import ctypes; fork = ctypes.PyDLL(None).fork",
}

PROGRAM = """
import json, os, threading, time
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from jobspan.spans.pipeline import SpanPipeline
FORK
reader, writer = os.pipe()
gate = threading.Event()
class Piped(SpanExporter):
    def export(self, spans):
        gate.wait(HELD)
        for span in spans:
            said = [os.getpid(), span.name, span.context.span_id]
            os.write(writer, (json.dumps(said) + "\\n").encode())
        return SpanExportResult.SUCCESS
pipeline = SpanPipeline(exporters=[Piped()])
for n in range(20):
    pipeline.start_span(f"parent {n}").finish()
time.sleep(0.05)
open_span = pipeline.start_span("open in the parent")
child = fork()
if child == 0:
    assert pipeline.pending() == 0, pipeline.pending()
    gate = threading.Event()
    gate.set()
    for n in range(10):
        pipeline.start_span(f"child {n}").finish()
    os._exit(0 if pipeline.force_flush(10) and pipeline.shutdown(5) else 1)
_, status = os.waitpid(child, 0)
gate.set()
open_span.finish()
assert pipeline.force_flush(10)
os.close(writer)
with os.fdopen(reader) as lines:
    spans = [json.loads(line) for line in lines]
print(json.dumps({"parent": os.getpid(), "status": status, "spans": spans}))
"""


@pytest.mark.parametrize("fork", FORKS.values(), ids=FORKS.keys())
@pytest.mark.parametrize("held", ["0", "20"], ids=["idle", "while an export runs"])
def test_a_child_exports_only_its_own(fork: str, held: str) -> None:
    found = json.loads(run_program(PROGRAM.replace("FORK", fork).replace("HELD", held), timeout=60))
    assert found["status"] == 0
    by_parent = [name for pid, name, _ in found["spans"] if pid == found["parent"]]
    by_child = [name for pid, name, _ in found["spans"] if pid != found["parent"]]
    assert sorted(by_parent) == sorted([f"parent {n}" for n in range(20)] + ["open in the parent"])
    assert by_child == [f"child {n}" for n in range(10)]
    assert len({span_id for _, _, span_id in found["spans"]}) == 31
