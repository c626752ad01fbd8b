"""Every kind of callable, with every decorator, becomes the right records."""

from __future__ import annotations

import contextlib
import pickle
from importlib import import_module

import pytest

import jobspan
from jobspan import UsageError, client_run, job, operation
from tests.runs.callables import KINDS, decorated, drive


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("called", [False, True], ids=["bare", "called"])
def test_each_call_of_a_job_is_a_job(fresh, kind, called):
    call = decorated(kind, job("nightly") if called else job)
    assert [drive(call, "A"), drive(call, client_id="B")] == ["job", "job"]
    assert [record.status for record in fresh.jobs()] == ["Completed"] * 2
    assert [record.items_processed for record in fresh.jobs()] == [1, 1]
    if called:
        assert {record.job_type for record in fresh.jobs()} == {"nightly"}
    assert jobspan.current_run().run_id == ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("called", [False, True], ids=["bare", "called"])
def test_each_call_of_a_client_run_is_a_client_run(fresh, kind, called):
    call = decorated(kind, client_run(client="client_id") if called else client_run)
    with job("nightly"):
        assert [drive(call, "A"), drive(call, client_id="B")] == ["client_run", "client_run"]
    record = fresh.job()
    assert [(run.client_id, run.posts_processed, run.status) for run in record.client_runs] == [
        ("A", 1, "Completed"),
        ("B", 1, "Completed"),
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("called", [False, True], ids=["bare", "called"])
def test_each_call_of_an_operation_is_an_operation(fresh, kind, called):
    call = decorated(kind, operation("step") if called else operation)
    assert drive(call, "outside") == "client_run"  # the inert one: outside of all nothing is recorded
    with job("nightly"), client_run("A"):
        assert drive(call, "A") == "operation"
    (step,) = fresh.client("A").operations
    assert (step.status, step.counts) == ("Completed", {"posts": 1})
    assert step.name == "step" or not called


def test_a_client_id_is_found_wherever_the_call_has_it(fresh):
    class Batch:
        @client_run
        def score(self, weight, client_id="default"):
            pass

        @client_run(client=lambda self, client: client["id"])
        def callable_source(self, client):
            pass

    @client_run(client=lambda c: c["id"])
    def from_dict(c):
        pass

    @client_run
    def first(lead, other=None):
        pass

    with job("nightly"):
        Batch().score(1)
        Batch().score(1, "place")
        Batch().score(client_id="keyword", weight=1)
        Batch().callable_source({"id": "method"})
        from_dict({"id": 7})
        first("first")
    assert [run.client_id for run in fresh.job().client_runs] == [
        "default",
        "place",
        "keyword",
        "method",
        "7",
        "first",
    ]


@pytest.mark.parametrize("bad", [None, "", "  ", 1.5, True, object(), [], KeyError("x")])
def test_a_bad_client_id_never_stops_the_work(fresh, bad):
    @client_run
    def score(client_id):
        return client_id

    @client_run(client=lambda client_id: {}["missing"])
    def failing(client_id):
        return "done"

    with job("nightly"):
        assert score(bad) is bad
        assert failing("A") == "done"
    assert score(bad) is bad
    record = fresh.job()
    assert record.client_runs == ()
    assert record.status == "Completed"
    assert record.system_notes.count("was not recorded") == 2
    assert jobspan.health().reasons["client_id"] == 3


def test_a_client_run_outside_of_a_job_has_one_of_its_own(fresh):
    @client_run
    def score(client_id):
        jobspan.current_job().note("mine")
        return jobspan.current_job().run_id

    run_id = score("A")
    record = fresh.job("score")
    assert (record.run_id, record.status, record.client_runs[0].run_id) == (
        run_id,
        "Completed",
        f"{run_id}-A",
    )


def test_a_client_run_without_an_implicit_job_is_untracked(fresh):
    @client_run(implicit_job=False)
    def score(client_id):
        return jobspan.current_run().is_recording

    assert score("A") is False
    with job("nightly"):
        assert score("B") is True
    assert [run.client_id for run in fresh.job().client_runs] == ["B"]


def test_an_implicit_job_fails_with_its_client(fresh):
    @client_run
    def score(client_id):
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        score("A")
    record = fresh.job()
    assert (record.status, record.errors, record.error) == ("Failed", 1, "ValueError: bad")


def test_nesting_gives_each_run_its_own_record(fresh):
    @operation
    def down(n):
        return n if n == 0 else down(n - 1)

    with job("outer") as outer, client_run("A"):
        with job("inner") as inner, client_run("A") as again:
            assert again.job is inner
            again.add(leads=5)
        with outer.client("B") as other, outer.client("A") as part:
            other.add(leads=1)
            part.add(leads=2)
        down(3)
    outer_record, inner_record = fresh.job("outer"), fresh.job("inner")
    assert [(run.client_id, run.leads_processed) for run in outer_record.client_runs] == [("A", 2), ("B", 1)]
    assert [(run.client_id, run.leads_processed) for run in inner_record.client_runs] == [("A", 5)]
    assert len(outer_record.client_runs[0].operations) == 4
    assert (outer_record.items_processed, inner_record.items_processed) == (3, 5)


@pytest.mark.parametrize(
    ("use", "text"),
    [
        (lambda: job("x", tiemout=3), "did you mean 'timeout'"),
        (lambda: job("x", timeout=-1), "timeout=-1"),
        (lambda: job("x", timeout="soon"), "timeout"),
        (lambda: job(7), "job type"),
        (lambda: job(""), "job type"),
        (lambda: job().__enter__(), "job type"),
        (lambda: client_run(None), "client id"),
        (lambda: client_run("  "), "client id"),
        (lambda: client_run(""), "client id"),
        (lambda: client_run().__enter__(), "client id"),
        (lambda: client_run("A", client="b"), "not both"),
        (lambda: client_run("A", attempt=0), "attempt=0"),
        (lambda: client_run(client=3), "client=3"),
        (lambda: client_run(client="missing")(lambda client_id: 1), "missing"),
        (lambda: client_run(lambda: 1), "no parameter"),
        (lambda: operation(3), "name"),
        (lambda: operation("x", retries=1), "retries"),
        (lambda: job("x")(type("C", (), {})), "class"),
    ],
)
def test_wrong_use_is_told_at_once(fresh, use, text):
    with pytest.raises(UsageError, match=text):
        use()
    assert fresh.jobs() == []


def test_wrong_use_of_a_handle_is_told_at_once(fresh):
    with job("x") as j:
        for use in (
            lambda: j.client(""),
            lambda: j.clients([1], on_error="ignore"),
            lambda: j.clients([1], key=3),
            lambda: j.clients([1], timeout=0),
            lambda: j.map(None, []),
            lambda: j.map(print, [], concurrency=0),
            lambda: j.map(print, [], retries=-1),
            lambda: j.map(print, [], executor=3),
            lambda: j.operation(""),
        ):
            with pytest.raises(UsageError):
                use()
    assert fresh.job().status == "Completed"


ODD = [
    "Zoë 李 🎯",
    'it\'s "quoted"',
    "a\nb\r\tc",
    "../../etc/passwd",
    "=HYPERLINK(1)",
    "x" * 300_000,
    "\u202e\ud800",
]


@pytest.mark.parametrize("client_id", ODD, ids=range(len(ODD)))
def test_odd_client_ids_are_kept_apart_and_found_again(fresh, client_id):
    with job("nightly") as j:
        with client_run(client_id) as run, run.operation("step") as step:
            step.add(posts=2)
            run.note(client_id)
            run.error(client_id, item=client_id)
        with client_run("other"):
            pass
    found = jobspan.JobTracking().get_client_run(j.run_id, client_id)
    assert (found.posts_processed, found.errors, found.status) == (2, 1, "Completed_with_errors")
    assert found.client_id == run.client_id
    assert len(found.client_id) <= 200
    assert "\n" not in found.run_id
    assert fresh.job().status == "Completed_with_errors"


def test_arguments_that_cannot_be_shown_do_no_harm(fresh):
    class Hostile:
        def __str__(self):
            raise RuntimeError("no text")

        __repr__ = __eq__ = __bool__ = __hash__ = __str__

    @job
    def work(value, client):
        with client_run("A") as run:
            run.note(client)
            run.error(ValueError(client), item=client)
            run.skip(client)
            run.item(client)
            run.record_usage(input_tokens=1, model=client, id=client)
            run.record_cost(client, "0.5", id=client)
            run.set(error=client)
            run.add(posts=client)
        for each in jobspan.current_job().clients([client]):
            with each:
                raise ValueError("in a run without an id")
        return value

    import_module("genai_prices")  # its first load, in the background, takes seconds of a busy machine
    hostile = Hostile()
    assert work(hostile, hostile) is hostile
    assert fresh.job().errors == 2
    assert jobspan.health().reasons == {"client_id": 1}


def test_scopes_records_and_errors_pickle(fresh):
    with job("nightly") as j, client_run("A") as run:
        for thing in (job("x", timeout=3), client_run("A", part="p"), operation("o"), run.operation("o")):
            assert repr(pickle.loads(pickle.dumps(thing))) == repr(thing)
    late = pickle.loads(pickle.dumps(jobspan.DeadlineExceeded("late", "uid")))
    assert (str(late), late.run_uid) == ("late", "uid")
    assert pickle.loads(pickle.dumps(fresh.job())) == fresh.job()
    copy = pickle.loads(pickle.dumps(run))
    assert (copy.run_id, copy.client_id, copy.job.run_id) == (run.run_id, "A", j.run_id)
    with contextlib.suppress(Exception):
        copy.add(leads=3)
    assert fresh.client("A").leads_processed == 3
