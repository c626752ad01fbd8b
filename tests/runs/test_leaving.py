# ruff: noqa: PT012 - what leaves a block is what is tested
"""How a block was left decides its status, and one exception object is one error."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

import jobspan
from jobspan import DeadlineExceeded, RunCanceled, Status, client_run, job, operation


class Odd(BaseException):
    """Neither an Exception nor one of Python's own ways out."""


WAYS = [
    (None, "Completed", 0),
    (ValueError("bad"), "Failed", 1),
    (TimeoutError("of a library"), "Failed", 1),
    (KeyboardInterrupt(), "Canceled", 0),
    (asyncio.CancelledError(), "Canceled", 0),
    (RunCanceled("stop"), "Canceled", 0),
    (SystemExit(0), "Completed", 0),
    (SystemExit(None), "Completed", 0),
    (SystemExit(False), "Completed", 0),
    (SystemExit(3), "Failed", 0),
    (SystemExit("text"), "Failed", 0),
    (SystemExit(0.0), "Failed", 0),
    (GeneratorExit(), "Completed", 0),
    (Odd("odd"), "Failed", 1),
    (DeadlineExceeded("late"), "Timed_out", 1),
    (BaseExceptionGroup("g", [RunCanceled("a"), RunCanceled("b")]), "Canceled", 0),
    (ExceptionGroup("g", [ValueError("a"), KeyError("b")]), "Failed", 1),
    (BaseExceptionGroup("g", [RunCanceled("a"), DeadlineExceeded("b")]), "Timed_out", 1),
]
NAMES = [f"{type(way).__name__}-{getattr(way, 'code', '')}-{i}" for i, (way, _, _) in enumerate(WAYS)]


def leave(error):
    if error is not None:
        raise error


@pytest.mark.parametrize(("error", "status", "errors"), WAYS, ids=NAMES)
def test_each_way_out_has_its_status_in_every_kind_of_run(fresh, error, status, errors):
    caught = None
    try:
        with job("nightly"), client_run("A"), operation("step"):
            leave(error)
    except BaseException as passed:  # noqa: BLE001 - every way out is tried
        caught = passed
    assert caught is error
    assert jobspan.current_run().run_id == ""
    record = fresh.job()
    assert (
        record.status == record.client_runs[0].status == record.client_runs[0].operations[0].status == status
    )
    assert record.errors == record.client_runs[0].errors == errors
    assert record.client_runs[0].operations[0].errors == errors


def test_one_exception_is_one_error_at_the_innermost_run(fresh):
    error = ValueError("bad")
    with pytest.raises(ValueError), job("nightly"), client_run("A") as run, operation("step"):
        run.error(error)
        raise error
    record = fresh.client("A")
    assert (record.errors, fresh.job().errors) == (1, 1)
    assert record.operations[0].errors == 0  # it was met first by the run around


def test_a_cached_exception_raised_by_two_clients_is_an_error_of_each(fresh):
    error = ValueError("bad")
    with job("nightly") as j:
        for run in j.clients(["A", "B"]):
            with run, operation("step"):
                raise error
    assert [run.errors for run in fresh.job().client_runs] == [1, 1]
    assert fresh.job().errors == 2


def test_an_exception_that_is_raised_from_another_one_is_another_error(fresh):
    with pytest.raises(KeyError), job("nightly"), client_run("A"):
        try:
            with operation("step"):
                raise ValueError("bad")
        except ValueError as error:
            raise KeyError("worse") from error
    assert fresh.client("A").errors == 2


def test_a_group_of_booked_errors_adds_none(fresh):
    def fails(name):
        error = ValueError(name)
        with pytest.raises(ValueError), operation(name):
            raise error
        return error

    with pytest.raises(ExceptionGroup), job("nightly"), client_run("A"):
        raise ExceptionGroup("all", [fails("one"), fails("two")])
    assert fresh.client("A").errors == 2
    assert fresh.client("A").status == "Failed"


def test_a_group_books_only_what_was_not_booked(fresh):
    with pytest.raises(ExceptionGroup), job("nightly"), client_run("A") as run:
        known, other = ValueError("known"), KeyError("other")
        run.error(known)
        raise ExceptionGroup("all", [known, ExceptionGroup("in", [other])])
    assert fresh.client("A").errors == 2
    assert "KeyError" in fresh.client("A").system_notes


def test_a_member_of_a_booked_group_is_booked_too(fresh):
    with job("nightly"), client_run("A") as run:
        member = ValueError("x")
        run.error(ExceptionGroup("all", [member]))
        run.error(member)
    assert fresh.client("A").errors == 1


def test_tasks_that_fail_in_operations_are_counted_once_each(fresh):
    async def step(name):
        async with operation(name):
            raise ValueError(name)

    async def main():
        async with job("nightly"), client_run("A"):
            async with asyncio.TaskGroup() as group:
                group.create_task(step("one"))
                group.create_task(step("two"))

    with pytest.raises(ExceptionGroup):
        asyncio.run(main())
    assert fresh.client("A").errors == 2


class Hostile(Exception):
    def __str__(self):
        raise RuntimeError("no text")

    def __getattr__(self, name):
        raise RuntimeError(name)

    def __setattr__(self, name, value):
        raise RuntimeError(name)


def test_an_exception_that_resists_is_recorded_once(fresh):
    error = Hostile()
    with pytest.raises(Hostile) as caught:
        with job("nightly"), client_run("A"), operation("step"):
            raise error
    assert caught.value is error
    assert fresh.client("A").errors == 1
    assert fresh.job().error.startswith("Hostile")


def test_a_checkpoint_tells_the_deadlines_of_the_run_and_of_those_around_it(fresh):
    with pytest.raises(DeadlineExceeded), job("own"), client_run("A", timeout=0.001) as run:
        time.sleep(0.005)
        run.checkpoint()
    with pytest.raises(DeadlineExceeded), job("around", timeout=0.001), client_run("B") as run:
        time.sleep(0.005)
        with run.operation("step") as step:
            step.checkpoint()
    assert [fresh.client(name).status for name in "AB"] == ["Timed_out", "Timed_out"]
    assert [record.status for record in fresh.jobs()] == ["Timed_out", "Timed_out"]


def test_cancel_stops_at_the_next_checkpoint_of_a_run_inside(fresh):
    with pytest.raises(RunCanceled, match="enough"), job("nightly") as j, client_run("A") as run:
        j.cancel("enough")
        with contextlib.suppress(Exception):  # a cancel is none
            run.checkpoint()
        pytest.fail("it went on")
    assert fresh.job().status == fresh.client("A").status == Status.CANCELED


def test_a_break_out_of_a_decorated_generator_is_a_normal_end(fresh):
    @job("nightly")
    def work():
        yield 1
        yield 2

    for _ in work():
        break
    assert fresh.job().status == "Completed"


def test_exit_codes_are_those_of_a_batch(fresh):
    def code(error):
        with contextlib.suppress(BaseException):
            with job("nightly") as j:
                leave(error)
        return j.exit_code

    assert [code(e) for e in (None, ValueError(), DeadlineExceeded(), KeyboardInterrupt())] == [
        0,
        1,
        124,
        130,
    ]
    with job("nightly") as j:
        assert j.exit_code == 0
        j.error("bad")
    assert j.exit_code == 2
