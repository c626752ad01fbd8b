"""A job that goes on where an earlier attempt of it ended: the same row, what is Completed left out."""

from __future__ import annotations

import asyncio
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import jobspan
from jobspan import _runtime, job
from jobspan.exceptions import UsageError
from jobspan.journal.lock import locked
from jobspan.journal.place import Place
from jobspan.ledger.cancel import request_cancel, requests
from tests.cli.conftest import ENTRY
from tests.conftest import Fresh
from tests.faults.process import jobs, run, start
from tests.program import run_python

WORK = """
worked = []
with job("scoring", resume="auto") as j:
    for r in j.clients(["A", "B", "C"]):
        with r:
            worked.append(r.client)
            r.add(leads=10); r.record_usage(input_tokens=100, output_tokens=1)
            if r.client == "B" and "die" in sys.argv: os.kill(os.getpid(), signal.SIGKILL)
say(j.run_id); say(",".join(worked))
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def only(ledger: Path) -> dict[str, Any]:
    (found,) = jobs(ledger)
    return found


def test_a_killed_job_goes_on_in_the_same_row_with_the_clients_not_completed(ledger: Path) -> None:
    run(ledger, WORK, "die", status=-9)
    before = only(ledger)
    assert (before["status"], [c["status"] for c in before["client_runs"]]) == (
        "Failed",
        ["Completed", "Failed"],
    )
    run_id, worked = run(ledger, WORK)
    after = only(ledger)
    assert (run_id, worked) == (before["run_id"], "B,C")
    assert (after["status"], after["start_time"]) == ("Completed", before["start_time"])
    assert [c["counts"] for c in after["client_runs"]] == [{"leads": 10}] * 3
    assert after["items_processed"] == 30
    assert after["prompt_tokens"] == 400  # B's first attempt was paid for, too
    assert "attempt 2: goes on with what was Failed" in after["system_notes"]
    assert "1 clients were left out: Completed in an earlier attempt" in after["system_notes"]


def test_the_row_is_running_again_while_it_is_worked_on(ledger: Path) -> None:
    run(ledger, WORK, "die", status=-9)
    code = WORK.replace("worked.append(r.client)", "worked.append(r.client); say('in'); sys.stdin.readline()")
    with start(ledger, code) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert (only(ledger)["status"], only(ledger)["end_time"]) == ("Running", None)
        process.communicate("\n\n\n", timeout=60)
    assert only(ledger)["status"] == "Completed"


def test_two_processes_that_resume_at_once_are_one_attempt_and_one_new_job(ledger: Path) -> None:
    run(ledger, WORK, "die", status=-9)
    code = WORK.replace("worked = []", "worked = []; runtime(); say('ready'); sys.stdin.readline()")
    both = [start(ledger, code) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        process.stdout.readline()
    for process in both:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0].split("\n")[:2] for process in both]
    found = jobs(ledger)
    assert len(found) == 2
    assert sorted(worked for _, worked in said) == ["A,B,C", "B,C"]
    assert {run_id for run_id, _ in said} == {each["run_id"] for each in found}
    assert [each["status"] for each in found] == ["Completed", "Completed"]


def test_three_chunks_are_95_and_a_crash_after_two_keeps_80(ledger: Path) -> None:
    code = """
with job("chunks", resume="auto") as j:
    for chunk in (40, 40, 15):
        for r in j.clients(["X"]):
            with r:
                r.add(leads=chunk)
        if chunk == 40 and "die" in sys.argv and (sys.argv.remove("die") or sys.argv[1:] == []):
            os.kill(os.getpid(), signal.SIGKILL)
"""
    code = code.replace("for chunk in (40, 40, 15):", "for n, chunk in enumerate((40, 40, 15)):")
    code = code.replace(
        'if chunk == 40 and "die" in sys.argv and (sys.argv.remove("die") or sys.argv[1:] == []):',
        'if n == 1 and "die" in sys.argv:',
    )
    run(ledger, code, "die", status=-9)
    assert only(ledger)["client_runs"][0]["counts"] == {"leads": 80}
    run(ledger, code)
    assert only(ledger)["client_runs"][0]["counts"] == {"leads": 95}


def test_a_second_loop_over_a_client_is_not_left_out_for_the_first_one(fresh: Fresh) -> None:
    worked: list[str] = []

    def nightly(*, fails: bool) -> None:
        with job("two loops", resume="auto") as j:
            for loop in ("scrape", "score"):
                for run_ in j.clients(["A", "B"]):
                    with run_:
                        worked.append(f"{loop} {run_.client}")
                        run_.add(posts=1)
                if fails:
                    raise ValueError("between the loops")

    with pytest.raises(ValueError, match="between"):
        nightly(fails=True)
    nightly(fails=False)
    assert worked == ["scrape A", "scrape B", "score A", "score B"]
    assert (fresh.job().status, fresh.job().items_processed) == ("Completed", 4)


def test_a_client_that_failed_is_made_good_and_its_results_are_replaced(fresh: Fresh) -> None:
    for fails in (True, False):
        try:
            with job("nightly", resume="auto") as j:
                for run_ in j.clients(["A", "B"]):
                    with run_:
                        run_.add(leads=10 if run_.client == "A" else 3 if fails else 5)
                        if fails and run_.client == "B":
                            run_.error("bad lead")
                            raise ValueError("bad")
                if fails:
                    raise RuntimeError("the job, too")
        except RuntimeError:
            pass
    found = fresh.job()
    assert (found.status, found.errors) == ("Completed", 0)
    b = fresh.client("B")
    assert (b.counts, b.attempts, b.status) == ({"leads": 5}, 2, "Completed")


def test_map_leaves_out_what_is_completed_and_retries_the_same_part(fresh: Fresh) -> None:
    tries: list[str] = []

    def score(client: str) -> str:
        jobspan.current_run().add(leads=10)
        tries.append(client)
        if client == "B" and len(tries) < 4:
            raise ValueError("not yet")
        return client.lower()

    with suppress(RuntimeError), job("mapped", resume="auto") as j:
        j.map(score, ["A", "B"])
        raise RuntimeError("down")
    with job("mapped", resume="auto") as j:
        outcomes = j.map(score, ["A", "B", "C"], retries=2)
    assert tries == ["A", "B", "B", "B", "C"]
    assert [(o.client, o.ok, o.value, o.attempts) for o in outcomes] == [
        ("A", True, None, 0),
        ("B", True, "b", 2),
        ("C", True, "c", 1),
    ]
    assert fresh.client("B").counts == {"leads": 10}
    assert (fresh.client("B").attempts, fresh.job().items_processed) == (3, 30)


def test_amap_and_an_async_block_resume_alike(fresh: Fresh) -> None:
    async def score(client: str) -> None:
        await asyncio.sleep(0)
        jobspan.current_run().add(leads=1)

    async def nightly(fails: bool) -> list[int]:
        async with job("async", resume="auto") as j:
            outcomes = await j.amap(score, ["A", "B"])
            if fails:
                raise ValueError("down")
        return [o.attempts for o in outcomes]

    with pytest.raises(ValueError, match="down"):
        asyncio.run(nightly(True))
    assert asyncio.run(nightly(False)) == [0, 0]
    assert (fresh.job().status, fresh.job().items_processed) == ("Completed", 2)


def test_an_explicit_entry_runs_as_another_attempt_and_is_done_tells(fresh: Fresh) -> None:
    with suppress(ValueError), job("explicit", resume="auto") as j:
        with j.client("A") as r:
            r.add(leads=5)
        with j.client("B", part="first") as r:
            r.add(leads=7)
        raise ValueError
    with job("explicit", resume="auto") as j:
        assert (j.is_done("A"), j.is_done("C"), j.is_done("B", part="first")) == (True, False, True)
        with j.client("A") as r:
            r.add(leads=6)
        with j.client("B", part="first") as r:
            r.add(leads=8)
    assert (fresh.client("A").counts, fresh.client("B").counts) == ({"leads": 6}, {"leads": 8})


@pytest.mark.parametrize("how", ["completed", "with errors", "other key", "too old", "never"])
def test_auto_opens_a_new_job_where_there_is_nothing_to_go_on_with(fresh: Fresh, how: str) -> None:
    try:
        with job("nightly", key="eu", timeout=60) as j:
            for run_ in j.clients(["A", "B"]):
                with run_:
                    if how == "with errors" and run_.client == "A":
                        raise ValueError("bad")
            if how not in ("completed", "with errors"):
                raise RuntimeError("down")
    except RuntimeError:
        pass
    key = "us" if how == "other key" else "eu"
    within = 1e-6 if how == "too old" else None
    with job("nightly", key=key, resume=None if how == "never" else "auto", resume_within=within) as again:
        pass
    assert again.run_id != j.run_id
    assert len(fresh.jobs()) == 2


def test_a_job_can_be_named_from_outside_once(ledger: Path) -> None:
    code = WORK.replace(', resume="auto"', "")
    run(ledger, code, "die", status=-9)
    run_id = only(ledger)["run_id"]
    said = run(ledger, code + code, JOBSPAN_RESUME=run_id)
    assert (said[0], said[1], said[3]) == (run_id, "B,C", "A,B,C")
    assert len(jobs(ledger)) == 2


@pytest.mark.parametrize("asked", ["260101-010101", "Completed"])
def test_a_named_job_that_cannot_go_on_is_a_new_job_that_says_so(fresh: Fresh, asked: str) -> None:
    with job("nightly") as first:
        pass
    run_id = first.run_id if asked == "Completed" else asked
    with job("nightly", resume=run_id) as j:
        pass
    assert j.run_id != run_id
    notes = fresh.jobs()[-1].system_notes
    assert f"runs as a new job: resume={run_id}" in notes
    assert jobspan.health().errors == 1


def test_what_is_no_run_id_is_refused_at_once(fresh: Fresh) -> None:
    for wrong in ("yesterday", "", "261399-101010"):
        with pytest.raises(UsageError, match="resume="):
            job("nightly", resume=wrong)


def test_a_canceled_job_that_is_resumed_is_not_canceled_again(fresh: Fresh) -> None:
    with suppress(jobspan.RunCanceled), job("nightly") as j:
        with _runtime.runtime().reading() as reader:
            uid = j.job_uid
            assert reader.status(uid) == "Running"
        request_cancel(_runtime.runtime().ledger, uid, "enough", seconds=2.0)
        j.cancel("enough")
        j.checkpoint()
    with job("nightly", resume="auto") as again:
        assert again.run_id == j.run_id
        jobspan.flush(10)
        assert requests(_runtime.runtime().ledger) == {}
        again.checkpoint()
    assert fresh.job().status == "Completed"


def test_a_request_the_background_had_read_before_does_not_cancel_the_new_attempt(fresh: Fresh) -> None:
    live = _runtime.runtime().live
    with suppress(jobspan.RunCanceled), job("nightly") as j:
        jobspan.flush(10)
        request_cancel(_runtime.runtime().ledger, j.job_uid, "enough", seconds=2.0)
        request_cancel(_runtime.runtime().ledger, f"{j.job_uid}/A", "enough", seconds=2.0)
        read = requests(_runtime.runtime().ledger)
        j.cancel("enough")
        j.checkpoint()
    with job("nightly", resume="auto") as again:
        live.request(read)
        with again.client("A") as run_:
            live.request(read)
            run_.checkpoint()
        later = {again.job_uid: (again.asked_since_ns + 1, "again")}
        live.request(later)
        with pytest.raises(jobspan.RunCanceled, match="again"):
            again.checkpoint()


def test_a_job_canceled_by_command_is_resumed_to_its_end(ledger: Path) -> None:
    code = """
with job("nightly", resume="auto") as j:
    for r in j.clients(["A", "B"]):
        with r:
            r.add(leads=1)
            while "wait" in sys.argv and r.client == "B":
                say(j.run_id); time.sleep(0.02); r.checkpoint()
    while "linger" in sys.argv and time.monotonic() < float(sys.argv[2]):
        time.sleep(0.02); j.checkpoint()
"""
    with start(ledger, code, "wait") as process:
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        done = run_python(["-c", ENTRY, "cancel", run_id], ledger.parent)
        assert done.returncode == 0, done.stderr
        process.communicate(timeout=60)
    assert only(ledger)["status"] == "Canceled"
    run(ledger, code, "linger", str(time.monotonic() + 5))  # the background looks several times
    found = only(ledger)
    assert (found["run_id"], found["status"]) == (run_id, "Completed")
    assert [each["status"] for each in found["client_runs"]] == ["Completed", "Completed"]


def test_a_resumed_job_says_anew_what_it_expects(fresh: Fresh) -> None:
    with suppress(ValueError), job("fan", resume="auto") as j:
        j.expect(2)
        with j.client("A"):
            pass
        j.seal()
        raise ValueError
    with job("fan", resume="auto") as j:
        j.expect(2)
        for run_ in j.clients(["A", "B"]):
            with run_:
                pass
    assert (fresh.job().status, len(fresh.jobs())) == ("Completed", 1)


def test_where_other_processes_keep_the_turn_the_work_runs_as_a_new_job_and_says_so(ledger: Path) -> None:
    run(ledger, WORK, "die", status=-9)
    path = Place(ledger).root / f"open-{zlib.crc32(b'scoring'):08x}.lock"
    with locked(path):
        code = f"began = time.monotonic()\n{WORK}\nsay(time.monotonic() - began)\nsay(jobspan.health().ok)"
        _, worked, took, is_ok = run(ledger, code)
    assert (worked, is_ok) == ("A,B,C", "False")
    assert float(took) >= 2
    first, second = jobs(ledger)
    assert (first["status"], second["status"]) == ("Failed", "Completed")
    assert "runs as a new job: other processes" in second["system_notes"]


def test_show_says_how_to_resume_what_did_not_finish(ledger: Path) -> None:
    run(ledger, WORK, "die", status=-9)
    run_id = only(ledger)["run_id"]
    show = "from jobspan.cli import main; sys.argv[1:] = ['show', sys.argv[1]]; main()"
    assert f"JOBSPAN_RESUME={run_id} python" in "\n".join(run(ledger, show, run_id))
    run(ledger, WORK)
    assert "JOBSPAN_RESUME" not in "\n".join(run(ledger, show, run_id))
