"""The status table of the design, clause by clause, through the fold."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from jobspan.model.status import EXIT_CODES, Left, Status, combine, parse_status, success_rank
from tests.model.telling import Teller

C, CE, F, T, X = (
    Status.COMPLETED,
    Status.COMPLETED_WITH_ERRORS,
    Status.FAILED,
    Status.TIMED_OUT,
    Status.CANCELED,
)
HOW = {C: "ok", CE: "with_errors", F: "failed", T: "timed_out", X: "canceled"}


@pytest.mark.parametrize(
    ("below", "expected"),
    [
        ([], C),
        ([C, C], C),
        ([C, F], CE),
        ([C, T], CE),
        ([C, X], CE),
        ([CE], CE),
        ([CE, F], CE),
        ([F], F),
        ([F, F], F),
        ([T, T], T),
        ([X, X], X),
        ([T, X], F),
        ([F, T], F),
        ([F, X], F),
        ([F, T, X], F),
    ],
)
def test_a_job_is_what_its_client_runs_make_it(below: list[Status], expected: Status) -> None:
    for order in permutations(enumerate(below)):
        teller = Teller()
        for n, status in order:
            teller.client(f"C{n}", 1, f"client {n}")
            teller.close(f"C{n}", 2 + n, HOW[status])
            teller.fold()
        teller.close("J", 9)
        assert teller.job().status is expected


@pytest.mark.parametrize("how", [F, T, X])
@pytest.mark.parametrize("below", [[], [C], [C, F], [T]])
def test_how_the_block_was_left_comes_first(how: Status, below: list[Status]) -> None:
    teller = Teller()
    for n, status in enumerate(below):
        teller.client(f"C{n}", 1, f"client {n}")
        teller.close(f"C{n}", 2, HOW[status])
    teller.close("J", 3, HOW[how])
    assert teller.job().status is how


def test_combine_never_depends_on_order() -> None:
    for statuses in product([C, CE, F, T, X], repeat=3):
        assert len({combine(None, list(order), errors=False) for order in permutations(statuses)}) == 1


@pytest.mark.parametrize(
    ("parts", "expected"), [([C, C], C), ([C, F], CE), ([F, T], F), ([T, T], T), ([X], X), ([CE, C], CE)]
)
def test_a_client_run_is_what_its_parts_make_it(parts: list[Status], expected: Status) -> None:
    teller = Teller()
    for n, status in enumerate(parts):
        teller.client(f"C{n}", 1)
        teller.close(f"C{n}", 2 + n, HOW[status])
    run = teller.run()
    assert (run.status, run.attempts) == (expected, 1)


def test_a_run_is_running_while_anything_below_it_is_open() -> None:
    teller = Teller()
    teller.client("C", 1)
    teller.client("D", 1, process="other", part="late")
    teller.close("C", 2)
    teller.close("J", 3)
    assert (teller.job().status, teller.run().status) == (Status.RUNNING, Status.RUNNING)
    assert teller.job().end_time is None
    teller.close("D", 5, process="other")
    assert (teller.job().status, teller.run().status) == (C, C)
    assert teller.job().end_time == teller.run().end_time


def test_an_open_operation_of_a_living_process_keeps_a_vanished_part_running() -> None:
    teller = Teller()
    teller.client("C", 1)
    teller.operation("O", 2, "score", "C", process="child")
    teller.fold(("p", 3))
    assert teller.run().status is Status.RUNNING
    teller.close("O", 4, process="child")
    assert teller.run().status is F


def test_an_error_of_a_winner_makes_it_completed_with_errors_and_of_a_loser_does_not() -> None:
    teller = Teller()
    teller.client("C1", 1, part="scoring", attempt=1)
    teller.at("C1", 1, "error", type="ValueError", message="bad")
    teller.at("C1", 1, "add", c={"leads": 7})
    teller.at("C1", 1, "usage", u={"in": 10, "out": 0}, key="a")
    teller.close("C1", 2, "failed", "ValueError", "bad")
    teller.client("C2", 3, part="scoring", attempt=2)
    teller.at("C2", 3, "add", c={"leads": 5})
    teller.at("C2", 3, "usage", u={"in": 20, "out": 0}, key="b")
    assert teller.run().status is Status.RUNNING
    teller.close("C2", 4)
    run = teller.run()
    assert (run.status, run.leads_processed, run.errors, run.attempts) == (C, 5, 0, 2)
    assert run.prompt_tokens == 30
    teller.close("J", 5)
    job = teller.job()
    assert (job.status, job.error, job.errors, job.items_processed) == (C, None, 0, 5)
    assert "errors:" not in job.system_notes
    assert "attempt 1: Failed after 1.0 s — ValueError: bad" in run.system_notes


def test_the_success_order_decides_before_the_attempt_number() -> None:
    ranks = [success_rank(status) for status in (C, CE, F)]
    assert ranks == sorted(ranks, reverse=True)
    assert success_rank(F) == success_rank(T) == success_rank(X) > success_rank(F, vanished=True) > 0
    assert success_rank(Status.RUNNING) == 0
    teller = Teller()
    for attempt, how in ((1, "ok"), (2, "failed")):
        teller.client(f"C{attempt}", attempt, part="scoring", attempt=attempt)
        teller.at(f"C{attempt}", attempt, "add", c={"posts": attempt})
        teller.close(f"C{attempt}", 5, how)
    assert (teller.run().status, teller.run().posts_processed) == (C, 1)


def test_a_skipped_client_run_is_completed_blank_and_counts_nowhere() -> None:
    teller = Teller()
    teller.client("C", 1)
    teller.at("C", 1, "add", c={"leads": 3, "posts": 0})
    teller.at("C", 1, "skip", reason="tier Basic")
    teller.close("C", 2)
    teller.client("D", 1, "Smith")
    teller.close("D", 2, "failed")
    teller.close("J", 3)
    run, job = teller.run(), teller.job()
    assert (run.status, run.leads_processed, run.posts_processed, run.errors) == (C, None, None, None)
    assert run.counts == {}
    assert (job.status, job.items_processed) == (F, None)
    assert "skipped: tier Basic" in run.system_notes


def test_a_vanished_run_ends_when_it_was_last_seen_and_comes_back_when_it_lives() -> None:
    teller = Teller()
    teller.client("C", 1)
    teller.fold(("p", 9))
    run = teller.run()
    assert run.status is F
    assert run.end_time is not None
    assert run.end_time.second == 49
    assert "last seen 2026-05-28 20:26:49 UTC, host web-1, pid 7" in (teller.job().error or "")
    teller.at("C", 12, "add", c={"leads": 1})
    assert (teller.run().status, teller.job().status) == (Status.RUNNING, Status.RUNNING)
    teller.close("C", 13)
    teller.close("J", 14)
    assert (teller.run().status, teller.job().status, teller.job().error) == (C, C, None)


def test_a_parents_close_ends_what_its_process_left_open() -> None:
    teller = Teller()
    teller.client("C", 1, lane=1)
    teller.operation("O", 2, "same thread", "C", lane=1)
    teller.operation("P", 2, "other thread", "C", lane=2)
    teller.close("J", 5, lane=1)
    operations = {one.name: one for one in teller.run().operations}
    assert operations["same thread"].status is C
    assert operations["other thread"].status is F
    assert teller.run().end_time == teller.job().end_time
    teller.close("P", 6)
    assert {one.status for one in teller.run().operations} == {C}


def test_a_part_without_a_process_ends_at_its_deadline() -> None:
    teller = Teller()
    deadline = 1_780_000_010 * 1_000_000_000
    teller.client("C", 1, free=1, deadline=deadline)
    teller.close("J", 2)
    assert teller.sweep(9).run().status is Status.RUNNING
    assert teller.sweep(60).run().status is T
    end = teller.run().end_time
    assert end is not None
    assert end.second == 50
    teller.close("C", 70)
    assert teller.run().status is T
    assert teller.run().end_time == end


def test_what_only_holds_numbers_keeps_nothing_open() -> None:
    teller = Teller()
    teller.at(
        "x", 1, "open", p="tracking", kind="c", job="J", name="Wilson", client="Wilson", free=1, passive=1
    )
    teller.at("x", 2, "set", p="tracking", c={"leads": 4}, x=2)
    teller.close("J", 3)
    assert (teller.run().status, teller.run().leads_processed, teller.job().status) == (C, 4, C)


def test_completing_by_hand_says_how_the_own_part_was_left_and_no_more() -> None:
    teller = Teller()
    teller.client("C", 1)
    teller.close("C", 2, "failed")
    opening = {"kind": "j", "job": "J", "name": "", "free": 1, "passive": 1}
    teller.at("x", 3, "open", p="J#tracking", **opening)
    teller.close("x", 4, "ok", p="J#tracking")
    teller.close("J", 5)
    assert (teller.job().status, teller.job().job_type) == (F, "nightly")
    teller.at("y", 6, "open", p="J#2", **opening)
    teller.close("y", 6, "canceled", p="J#2")
    assert teller.job().status is X


def test_the_first_close_wins_and_numbers_of_the_second_are_kept() -> None:
    teller = Teller()
    teller.client("C", 1)
    teller.at("C", 5, "add", c={"leads": 2})
    teller.close("C", 6, "failed")
    teller.fold()
    teller.tell({"e": "close", "w": "z", "p": "C", "q": 0, "t": (1_780_000_003) * 10**9, "how": "ok"})
    run = teller.run()
    assert (run.status, run.leads_processed) == (C, 2)
    assert "arrived after the end" in run.system_notes


def test_job_totals_count_a_key_once_whoever_booked_it() -> None:
    teller = Teller()
    for uid, name, micro in (("C", "Wilson", 5), ("D", "Smith", 7)):
        teller.client(uid, 1, name)
        teller.at(uid, micro, "cost", source="apify", micro_usd=micro, key="run1")
        teller.at(uid, micro, "usage", u={"in": micro, "out": 0}, key="resp1")
    assert (str(teller.run().cost_usd), str(teller.run("Smith").cost_usd)) == ("0.000005", "0.000007")
    assert (str(teller.job().cost_usd), teller.job().prompt_tokens) == ("0.000007", 7)
    assert str(teller.run().apify_api_costs) == "0.000005"


def test_items_processed_sums_posts_leads_and_items_and_none_is_not_zero() -> None:
    teller = Teller()
    assert (teller.job().items_processed, teller.job().total_tokens, teller.job().cost_usd) == (
        None,
        None,
        None,
    )
    teller.client("C", 1)
    teller.at("C", 1, "add", c={"calls": 9})
    assert teller.job().items_processed is None
    teller.at("C", 1, "add", c={"posts": 0})
    assert teller.job().items_processed == 0
    teller.at("C", 2, "add", c={"leads": 40, "items": 2})
    teller.at("J", 2, "add", c={"posts": 1})
    assert (teller.job().items_processed, teller.run().posts_processed) == (43, 0)


def test_a_jobs_error_is_what_ended_it_else_the_most_frequent_client_error() -> None:
    teller = Teller()
    teller.client("C", 1)
    for n in range(5):
        teller.at("C", 1, "error", type="ValueError", message="bad profile", item=str(17 + n))
    teller.at("C", 1, "error", type="KeyError", message="")
    teller.close("C", 2)
    assert teller.job().error is None, "still running"
    teller.close("J", 3)
    assert teller.job().error == "5 × ValueError: bad profile"
    assert "5 × ValueError: bad profile — first 17" in teller.job().system_notes
    teller = Teller()
    teller.close("J", 3, "failed", "OSError", "x" * 5_000)
    error = teller.job().error or ""
    assert error.startswith("OSError: xxx")
    assert len(error) <= 2_000


def test_an_item_counts_once_over_parts_that_add_up() -> None:
    teller = Teller()
    for uid in ("A", "B"):
        teller.client(uid, 1)
    for uid, lead, t in (("A", "1", 2), ("B", "2", 3), ("B", "1", 4), ("A", "2", 5), ("A", "3", 6)):
        teller.at(uid, t, "item", key=lead, c={"leads": 1})
        teller.fold()
    assert teller.run().leads_processed == 3


def test_a_set_takes_away_what_was_added_before_and_a_recorded_error_stays_an_error() -> None:
    teller = Teller()
    teller.client("C", 1)
    teller.at("C", 1, "add", c={"posts": 7})
    teller.at("C", 2, "set", c={"posts": 2, "errors": 0}, x=1)
    teller.at("C", 3, "add", c={"posts": 1}, x=1)
    teller.at("C", 3, "error", type="ValueError", message="bad")
    teller.close("C", 4)
    assert (teller.run().posts_processed, teller.run().errors, teller.run().status) == (3, 0, CE)


def test_an_item_booked_after_a_set_counts_beside_it() -> None:
    teller = Teller()
    teller.client("C", 1)
    teller.at("C", 1, "item", key="1", c={"leads": 1})
    teller.at("C", 2, "set", c={"leads": 5}, x=1)
    teller.at("C", 3, "item", key="2", c={"leads": 1}, x=1)
    assert teller.run().leads_processed == 6
    teller.at("C", 4, "item", key="1", c={"leads": 2}, x=1)
    assert teller.run().leads_processed == 8


def test_the_end_of_a_job_follows_a_client_run_that_turns_out_to_have_ended_earlier() -> None:
    teller = Teller()
    deadline = 1_780_000_050 * 1_000_000_000
    teller.client("C", 1, free=1, deadline=deadline)
    teller.client("D", 1, "Smith")
    teller.close("D", 9)
    teller.close("J", 10)
    teller.fold()
    teller.sweep(60)
    assert teller.job().end_time == teller.run().end_time
    teller.at("C", 4, "close", how="ok")
    job = teller.job()
    assert job.end_time is not None
    assert job.end_time.second == 50  # 10 s after the start at :40
    assert job.status is C


@pytest.mark.parametrize(
    "text", ["Completed with errors", "completed-with-errors", " COMPLETED_WITH_ERRORS "]
)
def test_a_status_word_is_read_whatever_its_separators(text: str) -> None:
    assert parse_status(text) is CE


def test_every_terminal_status_has_an_exit_code_and_a_word_unknown_is_refused() -> None:
    assert set(EXIT_CODES) == {status for status in Status if status.is_terminal}
    assert set(HOW.values()) == {left.value for left in Left} - {"vanished"}
    with pytest.raises(ValueError, match="one of"):
        parse_status("done")
