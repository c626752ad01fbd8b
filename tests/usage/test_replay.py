"""Recorded spans through a real provider, the processor, journal, fold and records: each call counts once."""

from __future__ import annotations

import json

import pytest

import jobspan
from tests.conftest import Fresh
from tests.program import run_python
from tests.usage.recorded import EXACT, EXPECTED, spans_of
from tests.usage.replay import Replay

RUN = "jobspan.client_run"


def play(name: str, fresh: Fresh, *, threads: int) -> None:
    """Play a recording in one client run: its own run span stands for that of the recording."""
    replay = Replay()
    fresh.configure(tracer_provider=replay.provider)
    spans = spans_of(name)
    with jobspan.job("replayed") as job, job.client("Wilson") as run:
        roots = {s["span_id"]: run.span.get_span_context() for s in spans if s["name"] == RUN}
        replay.play(spans, roots, threads=threads)
        for span in spans:  # what was found on the run's own span
            if span["name"] == RUN:
                run.span.set_attributes(span["attributes"])


@pytest.mark.parametrize("threads", [0, 3])
@pytest.mark.parametrize("name", EXACT)
def test_what_was_billed_is_in_the_records(fresh: Fresh, name: str, threads: int) -> None:
    play(name, fresh, threads=threads)
    true = EXPECTED[name]["true"]
    told = (true["prompt_tokens"], true["completion_tokens"], EXPECTED[name]["true_total_tokens"])
    run, job = fresh.client("Wilson"), fresh.job()
    assert (run.prompt_tokens, run.completion_tokens, run.total_tokens) == told
    assert (job.prompt_tokens, job.completion_tokens, job.total_tokens) == told
    assert run.token_usage == run.total_tokens
    with jobspan._runtime.runtime().reading(10) as reader:
        (row,) = reader.usage("client")
    assert (row.prompt_tokens, row.completion_tokens, row.calls) == (
        *told[:2],
        EXPECTED[name]["llm_calls_billed"],
    )


def test_the_command_tells_what_was_billed_for_each_recording(fresh: Fresh) -> None:
    """All recordings in one ledger, a job each, the recording's name as the client."""
    for name in EXACT:
        replay = Replay()
        fresh.configure(tracer_provider=replay.provider)
        spans = spans_of(name)
        with jobspan.job("replayed") as job, job.client(name) as run:
            roots = {s["span_id"]: run.span.get_span_context() for s in spans if s["name"] == RUN}
            replay.play(spans, roots, threads=0)
            for span in spans:
                if span["name"] == RUN:
                    run.span.set_attributes(span["attributes"])
    assert jobspan.flush(30)
    program = "from jobspan.cli import main; main()"
    done = run_python(
        ["-c", program, "usage", "--by", "client", "--json"], fresh.folder, JOBSPAN_LEDGER=str(fresh.ledger)
    )
    rows = json.loads(done.stdout)
    told = {row["client"]: (row["prompt_tokens"], row["completion_tokens"]) for row in rows}
    true = {name: EXPECTED[name]["true"] for name in EXACT}
    assert told == {name: (each["prompt_tokens"], each["completion_tokens"]) for name, each in true.items()}
