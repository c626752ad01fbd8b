"""Apify: the real client against a loopback server; runs as models and as dicts."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import jobspan
from jobspan import RunCanceled, UsageError, attach, job
from jobspan.integrations import apify
from jobspan.integrations.apify import booking, webhook
from jobspan.integrations.apify.refetch import Refetching
from jobspan.model.status import Status
from tests.conftest import Fresh
from tests.faults.process import jobs, run
from tests.integrations.apify_server import ApifyServer, run_object, serving

apify_client = pytest.importorskip("apify_client")

TOKEN = "apify_api_0123456789abcdefghijABCDEFGHIJ012345"
SECRET = "a secret of our own"
HEADERS = {"x-jobspan-SECRET": SECRET, "X-Apify-Webhook-Dispatch-Id": "d1"}


@pytest.fixture
def server() -> Iterator[ApifyServer]:
    with serving() as made:
        yield made


@pytest.fixture
def client(server: ApifyServer) -> Any:
    return apify_client.ApifyClient(TOKEN, api_url=server.url)


@pytest.fixture(autouse=True)
def questions(server: ApifyServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Refetching]:
    """What waits to be asked in a test; when it ends nothing is asked any more, in the midst of another."""
    made = Refetching()
    monkeypatch.setattr(booking, "refetching", made)
    yield made
    made._ask = lambda question: None  # type: ignore[method-assign]


@pytest.fixture
def soon(questions: Refetching) -> Refetching:
    """Ask again after a tenth of a second."""
    questions.after_seconds = (0.1, 0.2)
    return questions


def body(run_id: str, status: str, usd: float | None = None, **more: Any) -> bytes:
    event = "ACTOR.RUN." + status.replace("-", "_")
    payload = {
        "userId": "u",
        "eventType": event,
        "eventData": {"actorId": "act1", "actorRunId": run_id},
        "resource": run_object(run_id, status, usd),
    }
    return json.dumps({**payload, **more}).encode()


def deliver(
    run_id: str, status: str, usd: float | None = None, dispatch: str = "d1", **options: Any
) -> Status | None:
    headers = {**HEADERS, "X-Apify-Webhook-Dispatch-Id": dispatch}
    return apify.handle_webhook(headers, body(run_id, status, usd), secret=SECRET, **options)


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


# --- started and waited for


def test_a_run_is_waited_for_and_its_cost_is_corrected_when_final(
    fresh: Fresh, server: ApifyServer, client: Any, soon: Refetching
) -> None:
    server.script = [("RUNNING", None), ("SUCCEEDED", 0.01), ("SUCCEEDED", 0.0649)]
    with job("a") as j, j.client("x") as r:
        found = apify.run_actor(client, "me/scraper", {"q": "private"})
        assert (found.status, found.usage_total_usd) == ("SUCCEEDED", 0.01)
        assert r.local_status == "Running"
    wait_until(lambda: fresh.client("x").apify_api_costs == Decimal("0.0649"))
    record = fresh.job()
    assert (record.status, record.apify_run_id) == ("Completed", "run1")
    (step,) = record.client_runs[0].operations
    assert (step.name, step.status) == ("apify me/scraper", "Completed")
    assert TOKEN not in fresh.journal()
    assert "private" not in fresh.journal()
    assert all(authorization == f"Bearer {TOKEN}" for _, _, authorization in server.requests)


@pytest.mark.parametrize(
    ("status", "ours"), [("FAILED", "Failed"), ("TIMED-OUT", "Timed_out"), ("ABORTED", "Canceled")]
)
def test_a_run_that_ended_badly_is_returned_and_told(
    fresh: Fresh, server: ApifyServer, client: Any, soon: Refetching, status: str, ours: str
) -> None:
    server.script = [("RUNNING", None), (status, None)]
    with job("a") as j, j.client("x"):
        assert apify.run_actor(client, "me/scraper").status == status
    found = fresh.client("x")
    assert (found.operations[0].status, found.status) == (ours, "Completed_with_errors")
    assert found.apify_api_costs is None
    assert status in found.system_notes


def test_several_runs_stand_side_by_side_and_the_job_adds_their_costs(
    fresh: Fresh, server: ApifyServer, client: Any, soon: Refetching
) -> None:
    with job("a") as j:
        j.map(lambda name: apify.run_actor(client, f"me/{name}"), "xyz", concurrency=3)
    record = fresh.job()
    assert record.apify_run_id is not None
    assert sorted(record.apify_run_id.split(", ")) == ["run1", "run2", "run3"]
    assert [run.apify_api_costs for run in record.client_runs] == [Decimal("0.01")] * 3
    assert record.cost_usd == Decimal("0.03")


@pytest.mark.parametrize("first", [True, False])
def test_clients_of_actors_and_tasks_are_taken(
    fresh: Fresh, server: ApifyServer, client: Any, soon: Refetching, *, first: bool
) -> None:
    with job("a") as j, j.client("x"):
        for made, given in ((client.actor("me/scraper"), {"q": 1}), (client.task("me/night"), None)):
            arguments = (made, given) if first else (client, made, given)
            assert apify.run_actor(*arguments).status == "SUCCEEDED"
        apify.start_actor(*((client.task("t2"),) if first else (client, client.task("t2"))), deadline="45m")
    record = fresh.job()
    assert record.apify_run_id == "run1, run2, run3"
    steps = [step.name for step in record.client_runs[0].operations]
    assert steps == ["apify me/scraper", "apify task me/night"]
    assert [path for kind, path, _ in server.requests if kind == "POST"] == [
        "/v2/actors/me~scraper/runs",
        "/v2/actor-tasks/me~night/runs",
        "/v2/actor-tasks/t2/runs",
    ]


def test_an_actor_is_named_by_its_id_or_client(client: Any) -> None:
    for arguments in ((client,), (client, ""), (client, 7), (client.actor("a"), "b", {})):
        with pytest.raises(UsageError):
            apify.run_actor(*arguments)


@pytest.fixture
def instrumented(client: Any) -> Iterator[Any]:
    yield jobspan.instrument(client)
    assert jobspan.uninstrument(client) is client


def test_an_instrumented_client_books_what_it_starts(
    fresh: Fresh, server: ApifyServer, instrumented: Any, soon: Refetching
) -> None:
    server.script = [("RUNNING", None), ("SUCCEEDED", 0.01), ("SUCCEEDED", 0.0649)]
    jobspan.instrument(instrumented)
    with job("a") as j:
        with j.client("x"):
            found = instrumented.actor("me/scraper").call(run_input={"q": 1}, logger=None)
            assert found.status == "SUCCEEDED"
        with j.client("y"):
            begun = instrumented.task("night").start()
        instrumented.run(begun.id).wait_for_finish()  # booked where it was started
        server.runs["foreign"] = [("SUCCEEDED", 9.0)]
        instrumented.run("foreign").get()
    wait_until(lambda: {run.apify_api_costs for run in fresh.job().client_runs} == {Decimal("0.0649")})
    assert (fresh.job().apify_run_id, fresh.job().cost_usd) == ("run1, run2", Decimal("0.1298"))
    jobspan.uninstrument(instrumented)
    with job("b") as j, j.client("z"):
        instrumented.actor("me/scraper").start()
    assert fresh.job("b").apify_run_id is None
    assert jobspan.health().ok


def test_an_instrumented_asynchronous_client_does_the_same(
    fresh: Fresh, server: ApifyServer, soon: Refetching
) -> None:
    server.script = [("RUNNING", None), ("FAILED", 0.01), ("FAILED", 0.02)]

    async def work() -> None:
        client = jobspan.instrument(apify_client.ApifyClientAsync(TOKEN, api_url=server.url))
        async with job("a") as j, j.client("x"):
            assert (await client.actor("me/scraper").call(logger=None)).status == "FAILED"

    asyncio.run(work())
    wait_until(lambda: fresh.client("x").apify_api_costs == Decimal("0.02"))
    assert fresh.client("x").status == "Completed", "the code saw it, and went on"
    assert "Apify run run1 is FAILED" in fresh.client("x").system_notes


def test_a_cancel_stops_the_wait(fresh: Fresh, server: ApifyServer, client: Any) -> None:
    server.script = [("RUNNING", None)]

    def work() -> None:
        with job("a") as j, j.client("x") as r:
            r.cancel("enough")
            apify.run_actor(client, "me/scraper")

    with pytest.raises(RunCanceled):
        work()
    assert fresh.job().apify_run_id == "run1"


def test_the_asynchronous_client_does_the_same(fresh: Fresh, server: ApifyServer, soon: Refetching) -> None:
    server.script = [("RUNNING", None), ("SUCCEEDED", 0.01), ("SUCCEEDED", 0.02)]

    async def work() -> None:
        client = apify_client.ApifyClientAsync(TOKEN, api_url=server.url)
        async with job("a") as j:
            async with j.client("x"):
                assert (await apify.arun_actor(client, "me/scraper")).status == "SUCCEEDED"
            async with j.client("y"):
                await apify.astart_actor(client, "me/scraper", deadline="45m")

    asyncio.run(work())
    wait_until(lambda: fresh.client("x").apify_api_costs == Decimal("0.02"))
    assert (fresh.client("y").status, fresh.job().apify_run_id) == ("Running", "run1, run2")


def test_runs_of_older_clients_are_read_and_unknown_costs_stay_blank(fresh: Fresh) -> None:
    with job("a") as j:
        with j.client("x"):
            apify.record_apify_run(run_object("old1", "SUCCEEDED", 0.5))
            apify.record_apify_run(run_object("old1", "SUCCEEDED", 0.25))
        with j.client("y"):
            apify.record_apify_run(run_object("old2", "SUCCEEDED"))
        with j.client("z"):
            apify.record_apify_run(run_object("old3", "EXPLODED"))
            apify.record_apify_run({"id": "../x", "status": "SUCCEEDED"})
            apify.record_apify_run(None)
    costs = {run.client_id: run.apify_api_costs for run in fresh.job().client_runs}
    assert costs == {"x": Decimal("0.25"), "y": None, "z": None}
    assert fresh.job().apify_run_id == "old1, old2, old3"
    assert "EXPLODED" in fresh.client("z").system_notes
    assert fresh.job().status == "Completed"


LEAVE_A_COST = """
import apify_client
from jobspan.integrations import apify
with job("a") as j, j.client("x"):
    apify.run_actor(apify_client.ApifyClient({token!r}, api_url={url!r}), "me/scraper")
"""
ASK_AGAIN = """
import apify_client
from jobspan.integrations import apify
from jobspan.integrations.apify.refetch import refetching
refetching.after_seconds = (0.0, 0.1)
client = apify_client.{kind}({token!r}, api_url={url!r})
"""


def costs(ledger: Path) -> tuple[Any, str]:
    """Return the cost of the one client, and its notes."""
    (found,) = [run for each in jobs(ledger) for run in each["client_runs"] if run["client_id"] == "x"]
    return found["apify_api_costs"], found["system_notes"]


@pytest.mark.parametrize("how", ["ApifyClient", "ApifyClientAsync", "by itself"])
def test_a_cost_that_was_not_final_at_the_end_of_its_process_is_asked_for_by_a_later_one(
    tmp_path: Path, server: ApifyServer, how: str
) -> None:
    ledger = tmp_path / "ledger.db"
    server.script = [("SUCCEEDED", 0.01), ("SUCCEEDED", 0.0649)]
    (left,) = run(ledger, LEAVE_A_COST.format(token=TOKEN, url=server.url) + "say(time.monotonic())")
    assert time.monotonic() - float(left) < 8, "the exit waits for no cost"
    assert costs(ledger)[0] == "0.01"
    assert "the cost of Apify run run1 was preliminary" in costs(ledger)[1]
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert TOKEN.encode() not in kept
    kind = "ApifyClient" if how == "by itself" else how
    code = ASK_AGAIN.format(kind=kind, token=TOKEN, url=server.url)
    if how == "by itself":  # a later run of the same cron
        code += """
time.sleep(0.3)
with job("b") as j, j.client("y"): apify.run_actor(client, "me/scraper")
time.sleep(1.5)
"""
        run(ledger, code)
    else:
        code += "time.sleep(0.2); say(apify.refresh(client)); jobspan.flush(); say(apify.refresh(client))"
        assert run(ledger, code) == ["1", "0"], "once it is final nobody asks again"
    assert costs(ledger)[0] == "0.0649"
    assert len([path for _, path, _ in server.requests if path == "/v2/actor-runs/run1"]) == 1


def test_a_client_that_may_not_see_the_run_changes_nothing(tmp_path: Path, server: ApifyServer) -> None:
    ledger = tmp_path / "ledger.db"
    server.script = [("SUCCEEDED", 0.01)]
    run(ledger, LEAVE_A_COST.format(token=TOKEN, url=server.url))
    server.runs.clear()  # 404, as for a token of another account
    code = ASK_AGAIN.format(kind="ApifyClient", token=TOKEN, url=server.url) + "say(apify.refresh(client))"
    assert run(ledger, code) == ["0"]
    server.runs["run1"] = [("SUCCEEDED", 0.02)]
    assert run(ledger, code) == ["1"]
    assert costs(ledger)[0] == "0.02"


def test_jobspan_imports_no_apify_client(tmp_path: Path) -> None:
    code = "import jobspan.integrations.apify; say('apify_client' in sys.modules)"
    assert run(tmp_path / "ledger.db", code) == ["False"]


# --- detached, and ended by a webhook


def start(client: Any, deadline: Any = "45m") -> str:
    with job("a") as j, j.client("x"):
        return str(apify.start_actor(client, "me/scraper", deadline=deadline).id)


def test_a_webhook_ends_the_run_and_a_second_delivery_changes_nothing(fresh: Fresh, client: Any) -> None:
    run_id = start(client)
    assert fresh.client("x").status == "Running"
    done: list[str] = []

    def work(ours: Any, theirs: Any) -> None:
        done.append(theirs["defaultDatasetId"])
        ours.add(leads=90)

    for cost in (0.01, 0.0649):
        assert deliver(run_id, "SUCCEEDED", cost, work=work) is Status.COMPLETED
    found = fresh.client("x")
    assert (found.status, found.counts, found.attempts) == ("Completed", {"leads": 90}, 1)
    assert found.apify_api_costs == Decimal("0.0649")
    assert (fresh.job().status, fresh.job().apify_run_id, done) == ("Completed", run_id, ["ds1"])


@pytest.mark.parametrize(
    ("status", "ours"), [("FAILED", "Failed"), ("TIMED-OUT", "Timed_out"), ("ABORTED", "Canceled")]
)
def test_a_webhook_tells_how_the_run_ended(fresh: Fresh, client: Any, status: str, ours: str) -> None:
    run_id = start(client)
    for _ in range(2):
        assert deliver(run_id, status) == ours
    assert (fresh.client("x").status, fresh.client("x").attempts) == (ours, 1)
    assert fresh.job().status == ours


def test_work_that_fails_is_done_again_at_the_next_delivery(fresh: Fresh, client: Any) -> None:
    run_id = start(client)
    with pytest.raises(LookupError):
        deliver(run_id, "SUCCEEDED", work=lambda ours, theirs: {}["leads"])
    assert fresh.client("x").status == "Failed"
    deliver(run_id, "SUCCEEDED", work=lambda ours, theirs: ours.add(leads=3))
    assert (fresh.client("x").status, fresh.client("x").counts) == ("Completed", {"leads": 3})


@pytest.mark.parametrize("again", ["SUCCEEDED", "FAILED"])
def test_a_resurrected_run_is_running_again_and_its_new_end_holds(
    fresh: Fresh, client: Any, again: str
) -> None:
    run_id = start(client)
    deliver(run_id, "FAILED", 0.01)
    assert fresh.job().status == "Failed"
    resurrected = body(run_id, "RUNNING", eventType="ACTOR.RUN.RESURRECTED")
    apify.handle_webhook(HEADERS, resurrected, secret=SECRET)
    assert (fresh.client("x").status, fresh.job().status) == ("Running", "Running")
    deliver(run_id, "FAILED", 0.01)  # the first delivery once more, late: it is known
    apify.handle_webhook(HEADERS, resurrected, secret=SECRET)
    assert (fresh.client("x").status, fresh.job().status) == ("Running", "Running")
    deliver(run_id, again, 0.02, dispatch="d2")
    apify.handle_webhook(HEADERS, resurrected, secret=SECRET)
    wanted = "Completed" if again == "SUCCEEDED" else "Failed"
    assert (fresh.client("x").status, fresh.job().status) == (wanted, wanted)
    assert fresh.client("x").apify_api_costs == Decimal("0.02")


def test_a_webhook_after_the_deadline_adds_numbers_and_flips_nothing(fresh: Fresh, client: Any) -> None:
    run_id = start(client, 0.05)
    time.sleep(0.1)
    assert fresh.client("x").status == "Timed_out"
    deliver(run_id, "SUCCEEDED", 0.01, work=lambda ours, theirs: ours.add(leads=3))
    found = fresh.client("x")
    assert (found.status, found.counts, found.apify_api_costs) == (
        "Timed_out",
        {"leads": 3},
        Decimal("0.01"),
    )


def test_with_a_client_the_body_is_only_a_hint(
    fresh: Fresh, server: ApifyServer, client: Any, soon: Refetching
) -> None:
    run_id = start(client)
    server.runs[run_id] = [("FAILED", 0.01), ("FAILED", 0.05)]
    flat = json.dumps({"runId": run_id}).encode()
    assert apify.handle_webhook(HEADERS, flat, secret=SECRET, client=client) is Status.FAILED
    assert fresh.client("x").status == "Failed"
    wait_until(lambda: fresh.client("x").apify_api_costs == Decimal("0.05"))


def test_states_on_the_way_and_unknown_ones_leave_the_run_as_it_is(fresh: Fresh, client: Any) -> None:
    run_id = start(client)
    for status in ("READY", "RUNNING", "TIMING-OUT", "ABORTING"):
        assert deliver(run_id, status) is Status.RUNNING
    assert deliver(run_id, "EXPLODED") is None
    assert fresh.client("x").status == "Running"
    assert "EXPLODED" in fresh.client("x").system_notes


def test_nobody_waits_for_an_unknown_run(fresh: Fresh) -> None:
    assert deliver("never1", "SUCCEEDED") is None
    assert jobspan.health().reasons == {"attach: not found": 1}


def test_an_attached_block_can_be_used_in_its_place(fresh: Fresh, client: Any) -> None:
    run_id = start(client)
    told = apify.read_webhook(HEADERS, body(run_id, "SUCCEEDED", 0.3), secret=SECRET)
    assert told is not None
    assert (told.run_id, told.dispatch_id) == (run_id, "d1")
    with attach(external_id=told.run_id) as r:
        apify.record_apify_run(told.resource)
        r.add(leads=1)
    assert fresh.client("x").apify_api_costs == Decimal("0.3")
    assert fresh.job().status == "Completed"


@pytest.mark.parametrize("headers", [{}, {"X-Jobspan-Secret": "wrong"}, {"X-Jobspan-Secret": ""}])
def test_a_wrong_or_missing_secret_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(apify.WebhookRefused) as caught:
        apify.read_webhook(headers, body("r1", "SUCCEEDED"), secret=SECRET)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"no json",
        b"[]",
        b"{}",
        b'{"runId": "../../x"}',
        b'{"runId": 7}',
        b"[" * 5_000,
        b'{"runId": "r1", "x": "' + b"y" * 70_000 + b'"}',
        b"\xff\xfe",
    ],
)
def test_a_body_that_is_no_webhook_is_refused(text: bytes) -> None:
    with pytest.raises(apify.WebhookRefused):
        apify.read_webhook(HEADERS, text, secret=SECRET)


def test_the_header_can_be_named_and_the_test_event_is_ignored() -> None:
    given = {"X-Mine": SECRET}
    assert (
        apify.read_webhook(given, body("r1", "X", eventType="TEST"), secret=SECRET, header="x-mine") is None
    )
    with pytest.raises(UsageError):
        apify.read_webhook({webhook.SECRET_HEADER: ""}, b"{}", secret="")


def test_outside_of_a_run_the_actor_is_started_and_nothing_recorded(
    fresh: Fresh, server: ApifyServer, client: Any
) -> None:
    with pytest.raises(UsageError):
        apify.start_actor(client, "me/scraper", deadline="soon")
    assert server.requests == []
    assert apify.start_actor(client, "me/scraper").id == "run1"
    assert fresh.jobs() == []
