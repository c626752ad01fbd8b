"""Whatever fails inside, the work is not harmed: raise in every internal place in turn."""

from __future__ import annotations

import asyncio
import logging

import pytest

import jobspan
from jobspan import _clock, _log, _runtime, client_run, job, operation
from jobspan.runs import current, handle, opening, recorder


class Inner(Exception):
    """Raised by the place that is broken."""


def broken(*args, **kwargs):
    raise Inner


RUNTIME = [
    "append",
    "describe",
    "new_run_id",
    "uid_prefix",
    "redact",
    "without_secrets",
    "job_boundary",
    "emit",
]
PLACES = [
    *[("runtime", name) for name in RUNTIME],
    ("pipeline", "start_span"),
    ("keeper", "start"),
    (_clock, "now_ns"),
    (_clock, "resync"),
    (_clock, "monotonic"),
    (_log, "event"),
    (handle, "lane"),
    (handle, "left_by"),
    (handle, "is_error"),
    (recorder, "mark_counted"),
    (recorder, "uncounted"),
    (recorder, "text_of"),
    (recorder, "write_event"),
    (opening, "client_of"),
    (opening, "name_text"),
    (opening, "runtime"),
    (current, "set_span_in_context"),
]


@job("nightly")
def work(error):
    with client_run("A", timeout=60) as run:
        run.add(leads=1)
        run.note("note")
        run.error("text")
        run.item("x")
        run.set(posts_processed=1)
        run.skip()
        run.record_cost("apify", 1)
        run.record_usage(input_tokens=1)
        with operation("step"):
            pass
        for each in jobspan.current_job().clients(["B", None]):
            with each:
                raise ValueError("swallowed")
        jobspan.current_job().map(lambda client: jobspan.current_run().add(leads=1), "CD", concurrency=2)
        if error is not None:
            raise error
        return "result"


@pytest.mark.parametrize(
    ("place", "name"), PLACES, ids=[f"{getattr(p, '__name__', p)}.{n}" for p, n in PLACES]
)
def test_a_broken_place_changes_nothing_for_the_work(fresh, monkeypatch, place, name):
    fresh.configure(strict=False)
    runtime = _runtime.runtime()
    owner = {"runtime": runtime, "pipeline": runtime.pipeline, "keeper": runtime.keeper}.get(place, place)
    error = KeyError("business")
    with jobspan.operation("nothing"), monkeypatch.context() as patch:
        patch.setattr(owner, name, broken)
        before = jobspan.current_run().run_id
        assert work(None) == "result"
        with pytest.raises(KeyError) as caught:
            work(error)
        assert caught.value is error
        assert jobspan.current_run().run_id == before
        assert current.live_run() is None
    assert not jobspan.health().ok
    with job("after"):
        pass
    assert fresh.job("after").status == "Completed"


def test_the_outer_run_is_current_again_whatever_fails(fresh, monkeypatch):
    fresh.configure(strict=False)
    with job("outer") as outer:
        with monkeypatch.context() as patch:
            patch.setattr(_runtime.runtime(), "new_pen", broken)
            with client_run("A"), operation("step"):
                pass
            assert jobspan.current_run() is outer
        with client_run("B"):
            pass
        assert jobspan.current_run() is outer
    assert [run.client_id for run in fresh.job().client_runs] == ["B"]


def test_a_users_logging_filter_that_raises_loses_no_record(fresh):
    fresh.configure(strict=False)
    logger = logging.getLogger("jobspan")
    level = logger.level
    logger.addFilter(broken)
    logger.setLevel(logging.DEBUG)
    try:
        with pytest.raises(ValueError, match="bad"), job("nightly"), client_run("A"):
            raise ValueError("bad")
    finally:
        logger.removeFilter(broken)
        logger.setLevel(level)
    assert (fresh.job().status, fresh.job().errors) == ("Failed", 1)


def test_span_processors_that_raise_lose_no_record(fresh):
    class Processor:
        on_start = on_end = shutdown = force_flush = broken

    fresh.configure(strict=False, span_processors=[Processor()])
    with job("nightly"), client_run("A"):
        pass
    assert fresh.job().status == "Completed"
    assert not jobspan.health().ok


def test_nothing_is_recorded_or_raised_in_mode_disabled(fresh):
    fresh.configure(mode="disabled")
    assert work(None) == "result"

    async def main():
        async with job("x") as j:
            return await j.amap(lambda client: client, "AB")

    assert [result.value for result in asyncio.run(main())] == ["A", "B"]
    fresh.configure(mode="online")
    assert fresh.jobs() == []
