"""Work left open on purpose, and ended by another process: numbers once, spend each time, nothing hangs."""

from __future__ import annotations

import asyncio
import logging
import pickle
from datetime import datetime
from pathlib import Path

import pytest

import jobspan
from jobspan import attach, client_run, job
from jobspan.exceptions import UsageError
from tests.conftest import Fresh
from tests.faults.process import jobs, run, start

LEAVE = """
with job("scoring") as j:
    with j.client("Guy-Wilson") as r:
        r.add(leads=5)
        r.detach(external_id="E1", deadline="45m")
        say(r.token); say(j.run_id)
"""
DELIVER = """
with jobspan.attach(external_id="E1") as r:
    r.add(leads=90)
    r.record_usage(input_tokens=10, output_tokens=1)
    say(r.client_id)
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def test_a_detached_run_keeps_job_and_client_running_after_their_process(ledger: Path) -> None:
    run(ledger, LEAVE)
    (found,) = jobs(ledger)
    assert (found["status"], found["end_time"]) == ("Running", None)
    (client,) = found["client_runs"]
    assert (client["status"], client["counts"]) == ("Running", {"leads": 5})


def test_another_process_ends_it_and_the_job_ends_with_it(ledger: Path) -> None:
    run(ledger, LEAVE)
    assert run(ledger, DELIVER) == ["Guy-Wilson"]
    (found,) = jobs(ledger)
    (client,) = found["client_runs"]
    assert (found["status"], client["status"]) == ("Completed", "Completed")
    assert found["end_time"] == client["end_time"]
    assert client["counts"] == {"leads": 95}


def test_a_webhook_delivered_three_times_counts_results_once_and_spend_each_time(ledger: Path) -> None:
    run(ledger, LEAVE)
    for _ in range(3):
        run(ledger, DELIVER)
    (client,) = jobs(ledger)[0]["client_runs"]
    assert client["counts"] == {"leads": 95}
    assert (client["prompt_tokens"], client["attempts"], client["status"]) == (30, 3, "Completed")


def test_two_deliveries_at_once_are_attempts_of_one_part(ledger: Path) -> None:
    run(ledger, LEAVE)
    both = [start(ledger, DELIVER) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    (client,) = jobs(ledger)[0]["client_runs"]
    assert (client["counts"], client["attempts"]) == ({"leads": 95}, 2)


def test_a_delivery_that_fails_is_made_good_by_the_next_one(ledger: Path) -> None:
    run(ledger, LEAVE)
    run(
        ledger,
        "try:\n with jobspan.attach(external_id='E1'): raise ValueError('bad')\nexcept ValueError: pass",
    )
    assert jobs(ledger)[0]["client_runs"][0]["status"] == "Failed"
    run(ledger, DELIVER)
    found = jobs(ledger)[0]
    assert (found["status"], found["client_runs"][0]["status"]) == ("Completed", "Completed")


def test_a_delivery_killed_in_the_middle_is_made_good_by_the_next_one(ledger: Path) -> None:
    run(ledger, LEAVE)
    kill = (
        "with jobspan.attach(external_id='E1') as r:\n r.add(leads=7); os.kill(os.getpid(), signal.SIGKILL)"
    )
    run(ledger, kill, status=-9)
    assert jobs(ledger)[0]["client_runs"][0]["status"] == "Failed"
    run(ledger, DELIVER)
    (client,) = jobs(ledger)[0]["client_runs"]
    assert (client["status"], client["counts"]) == ("Completed", {"leads": 95})


def test_a_detached_run_outlives_the_kill_of_its_process(ledger: Path) -> None:
    code = LEAVE.replace("say(r.token)", "os.kill(os.getpid(), signal.SIGKILL)")
    run(ledger, code, status=-9)
    assert jobs(ledger)[0]["client_runs"][0]["status"] == "Running"
    run(ledger, DELIVER)
    assert jobs(ledger)[0]["client_runs"][0]["status"] == "Completed"


def test_a_run_nobody_came_for_is_timed_out_at_its_deadline_and_late_numbers_do_not_flip_it(
    ledger: Path,
) -> None:
    run(ledger, LEAVE.replace('"45m"', "0.2"))
    run(ledger, "time.sleep(0.3)\n" + DELIVER)
    found = jobs(ledger)[0]
    (client,) = found["client_runs"]
    assert (found["status"], client["status"]) == ("Timed_out", "Timed_out")
    assert client["counts"] == {"leads": 95}
    took = datetime.fromisoformat(client["end_time"]) - datetime.fromisoformat(client["start_time"])
    assert 0.2 <= took.total_seconds() < 0.3


def test_an_exception_after_detach_ends_the_run(ledger: Path) -> None:
    code = LEAVE.replace("say(r.token)", "raise LookupError('no')")
    run(ledger, "try:\n" + code.replace("\n", "\n ") + "\nexcept LookupError: pass")
    assert jobs(ledger)[0]["client_runs"][0]["status"] == "Failed"


def test_parts_with_different_names_add_up(ledger: Path) -> None:
    run(ledger, LEAVE)
    for part in ("first", "second", "second"):
        run(ledger, DELIVER.replace('"E1"', f'"E1", part="{part}"'))
    (client,) = jobs(ledger)[0]["client_runs"]
    assert (client["counts"], client["attempts"]) == ({"leads": 185}, 2)


def test_a_token_opens_the_same_run_in_an_empty_ledger(ledger: Path, tmp_path: Path) -> None:
    other, key = tmp_path / "other.db", "a shared secret"
    token, run_id = run(ledger, LEAVE, JOBSPAN_TOKEN_KEY=key)
    code = f"with jobspan.attach(token={token!r}) as r:\n r.add(leads=1); say(r.run_id)"
    assert run(other, code, JOBSPAN_TOKEN_KEY=key) == [f"{run_id}-Guy-Wilson"]
    (here,), (there,) = jobs(ledger), jobs(other)
    assert (there["run_id"], there["job_type"]) == (run_id, "scoring")
    assert there["start_time"] == here["start_time"]
    (client,) = there["client_runs"]
    assert (client["status"], client["counts"]) == ("Completed", {"leads": 1})


def deliver_by_token(token: str, leads: int = 90) -> str:
    return f"""
with jobspan.attach(token={token!r}) as r:
    r.add(leads={leads}); r.record_usage(input_tokens=10, output_tokens=1)
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_webhook_delivered_twice_to_an_empty_ledger_counts_results_once(
    ledger: Path, tmp_path: Path, when: str
) -> None:
    other, key = tmp_path / "other.db", "a shared secret"
    code = LEAVE if when == "after" else LEAVE.replace("r.add(leads=5)", "r.add(leads=5); say(r.token)")
    token = run(ledger, code, JOBSPAN_TOKEN_KEY=key)[0]
    for _ in range(2):
        run(other, deliver_by_token(token), JOBSPAN_TOKEN_KEY=key)
    both = [start(other, deliver_by_token(token), JOBSPAN_TOKEN_KEY=key) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    (client,) = jobs(other)[0]["client_runs"]
    assert (client["counts"], client["prompt_tokens"], client["attempts"]) == ({"leads": 90}, 40, 4)


def test_a_delivery_that_died_in_an_empty_ledger_is_made_good_there(ledger: Path, tmp_path: Path) -> None:
    other, key = tmp_path / "other.db", "a shared secret"
    token = run(ledger, LEAVE, JOBSPAN_TOKEN_KEY=key)[0]
    died = deliver_by_token(token, 7) + "    os.kill(os.getpid(), signal.SIGKILL)"
    run(other, died, status=-9, JOBSPAN_TOKEN_KEY=key)
    run(other, deliver_by_token(token), JOBSPAN_TOKEN_KEY=key)
    (client,) = jobs(other)[0]["client_runs"]
    assert (client["status"], client["counts"]) == ("Completed", {"leads": 90})


def test_workers_with_a_token_each_add_up_in_an_empty_ledger(ledger: Path, tmp_path: Path) -> None:
    other, key = tmp_path / "other.db", "a shared secret"
    code = "with client_run('x') as r:\n for _ in range(3): say(r.token)"
    for token in run(ledger, code, JOBSPAN_TOKEN_KEY=key):
        run(other, deliver_by_token(token, 32), JOBSPAN_TOKEN_KEY=key)
    (client,) = jobs(other)[0]["client_runs"]
    assert (client["counts"], client["attempts"]) == ({"leads": 96}, 1)


DELIVER_TO_JOB = """
with jobspan.attach({how}) as j:
    for leads in (40, 50):
        with j.client("x") as r: r.add(leads=leads)
    j.map(lambda client: jobspan.current_run().add(posts=1), ["y", "z"], concurrency=2)
"""


@pytest.mark.parametrize("how", ["external_id", "token", "token elsewhere"])
def test_clients_in_a_detached_job_count_once_too(ledger: Path, tmp_path: Path, how: str) -> None:
    where, key = tmp_path / "other.db" if "elsewhere" in how else ledger, "a shared secret"
    code = "with job('scoring') as j:\n say(j.token); j.detach(external_id='E1')"
    (token,) = run(ledger, code, JOBSPAN_TOKEN_KEY=key)
    named = "external_id='E1'" if how == "external_id" else f"token={token!r}"
    for _ in range(2):
        run(where, DELIVER_TO_JOB.format(how=named), JOBSPAN_TOKEN_KEY=key)
    (found,) = jobs(where)
    counts = {run["client_id"]: (run["counts"], run["attempts"]) for run in found["client_runs"]}
    assert counts == {"x": ({"leads": 90}, 2), "y": ({"posts": 1}, 2), "z": ({"posts": 1}, 2)}
    assert (found["items_processed"], found["status"]) == (92, "Completed")


def test_workers_of_a_live_job_add_up_whatever_token_they_have(fresh: Fresh) -> None:
    with job("a") as j:
        token = j.token
        for _ in range(3):
            with attach(token=token) as again, again.client("x") as r:  # type: ignore[union-attr]
                r.add(leads=1)
    assert fresh.client("x").counts == {"leads": 3}


def test_without_a_common_key_a_token_gives_an_inert_run_a_count_and_one_line(
    fresh: Fresh, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (token, _) = run(tmp_path / "foreign.db", LEAVE)
    assert len(token) < 255
    with caplog.at_level(logging.WARNING, "jobspan"):
        for text in (token, token[:-1], "", "x" * 5_000, "1é"):
            with attach(token=text) as r:
                r.add(leads=1)
    assert jobspan.health().reasons == {"token": 5}
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1
    assert "JOBSPAN_TOKEN_KEY" in lines[0]
    assert fresh.jobs() == []


def test_a_changed_token_is_refused(fresh: Fresh) -> None:
    with job("a") as j, j.client("x") as r:
        token = r.token
        for place in range(1, len(token) - 1, 7):
            changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
            with attach(token=changed) as other:
                assert other.run_id == ""
    assert fresh.job().client_runs[0].attempts == 1


def test_the_key_is_for_its_owner_only(fresh: Fresh) -> None:
    with job("a") as j:
        assert j.token
    assert (fresh.folder / "ledger.db.d" / "token-key").stat().st_mode & 0o777 == 0o600


def test_a_key_in_a_wrong_setting_is_not_shown(fresh: Fresh) -> None:
    with pytest.raises(jobspan.SettingsError) as caught:
        fresh.configure(token_key="hunter2")
    assert "hunter2" not in str(caught.value)


def test_an_unknown_id_gives_an_inert_run_and_a_count(fresh: Fresh) -> None:
    with attach(external_id="never heard of") as r:
        r.add(leads=1)
    with attach(run_id="260101-000000-x") as r:
        r.add(leads=1)
    assert jobspan.health().reasons == {"attach: not found": 2}
    assert fresh.jobs() == []


def test_attach_takes_exactly_one_way_to_name_a_run() -> None:
    for options in ({}, {"token": "a", "run_id": "b"}, {"run_id": 7}):
        with pytest.raises(UsageError):
            attach(**options)  # type: ignore[arg-type]


def test_attach_by_run_id_ends_a_detached_job(fresh: Fresh) -> None:
    with job("a") as j:
        j.detach()
    assert fresh.job().status == "Running"
    with attach(run_id=j.run_id) as again, again.client("x") as r:  # type: ignore[union-attr]
        assert again.run_id == j.run_id
        r.add(leads=2)
    found = fresh.job()
    assert (found.status, found.items_processed) == ("Completed", 2)


def test_attach_works_with_async_blocks_and_detaches_again(fresh: Fresh) -> None:
    with client_run("x") as r:
        r.detach(external_id=17)

    async def poll(last: bool) -> None:
        async with attach(external_id=17 if not last else "18") as run:
            run.add(leads=1)
            if not last:
                run.detach(external_id="18")

    asyncio.run(poll(False))
    assert fresh.client("x").status == "Running"
    asyncio.run(poll(True))
    found = fresh.client("x")
    assert (found.status, found.counts) == ("Completed", {"leads": 2})


def test_workers_with_the_token_of_a_live_run_add_up(fresh: Fresh) -> None:
    with client_run("x") as r:
        for _ in range(2):
            with attach(token=r.token) as part:
                part.add(leads=1)
    assert (fresh.client("x").counts, fresh.client("x").attempts) == ({"leads": 2}, 1)


def test_a_live_handle_pickles_to_its_token(fresh: Fresh) -> None:
    with job("a") as j, j.client("x") as r, r.operation("step") as op:
        for handle in (j, r, op):
            copy = pickle.loads(pickle.dumps(handle))
            assert (copy.run_id, copy.uid) == (handle.run_id, handle.uid)
        pickle.loads(pickle.dumps(op)).add(leads=1)
    assert fresh.client("x").counts == {"leads": 1}


def test_detach_after_the_end_changes_nothing(fresh: Fresh) -> None:
    with client_run("x") as r:
        pass
    r.detach(external_id="late")
    assert fresh.client("x").status == "Completed"


def test_detach_expect_and_attach_outside_of_a_run_are_harmless(fresh: Fresh) -> None:
    jobspan.current_job().expect(3)
    jobspan.current_job().seal()
    jobspan.current_job().detach()
    assert jobspan.current_run().token == ""
    assert fresh.jobs() == []
