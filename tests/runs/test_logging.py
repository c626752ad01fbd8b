"""Log records say which run they belong to."""

from __future__ import annotations

import logging

import jobspan
from jobspan import RunFilter, client_run, job, operation

NAMES = ("run_id", "client_id", "job_type", "operation")


def fields(record):
    return tuple(getattr(record, name) for name in NAMES)


def test_a_logger_puts_the_run_on_its_records(fresh, caplog):
    logger = jobspan.get_logger("work")
    caplog.set_level(logging.INFO, "work")
    logger.info("outside")
    with job("nightly") as j, client_run("A") as run, operation("step"):
        logger.info("inside")
        with job("inner") as inner:
            logger.info("in another job")
    records = [record for record in caplog.records if record.name == "work"]
    assert [fields(record) for record in records] == [
        ("", "", "", ""),
        (run.run_id, "A", "nightly", "step"),
        (inner.run_id, "", "inner", ""),
    ]
    assert run.run_id == f"{j.run_id}-A"


def test_a_filter_on_a_handler_leaves_what_is_there(fresh):
    record = logging.LogRecord("x", 20, "f", 1, "text", (), None)
    record.client_id = "mine"
    with job("nightly") as j:
        assert RunFilter().filter(record)
    assert fields(record) == (j.run_id, "mine", "nightly", "")


def test_every_error_event_names_its_run(fresh, caplog):
    caplog.set_level(logging.INFO, "jobspan")
    with job("nightly") as j:
        for run in j.clients("A"):
            with run, run.operation("step"):
                raise ValueError("bad\nline")
    (record,) = [r for r in caplog.records if "jobspan.error.recorded" in r.message]
    told = record.jobspan
    assert {name: told[name] for name in (*NAMES, "type")} == {
        "run_id": f"{j.run_id}-A",
        "client_id": "A",
        "job_type": "nightly",
        "operation": "step",
        "type": "ValueError",
    }
    assert told["message"].startswith("bad")
    assert "\n" not in record.message
