"""Work that other jobs have done of late is left alone; where that cannot be told, it is done."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import jobspan
from jobspan import _clock, client_run, current_run, job
from jobspan.exceptions import UsageError
from tests.conftest import Fresh
from tests.faults.process import jobs, run

DAY_NS = 24 * 3600 * 1_000_000_000


def nightly(counts: dict[str, int], job_type: str = "scoring", **options: Any) -> None:
    with job(job_type, **options) as j:
        for each in j.clients(counts):
            with each:
                each.add(leads=counts[each.client])


def entered(job_type: str = "scoring", within: Any = "24h", **options: Any) -> list[str]:
    """Return the clients of A to D that a loop gives out."""
    found: list[str] = []
    key = options.pop("key", None)
    with job(job_type, key=key) as j:
        for each in j.clients("ABCD", done_within=within, **options):
            found.append(each.client)
            each.swallows = False
            j.unentered -= 1  # it is only asked for
    return found


def test_a_client_done_with_items_is_left_out_and_one_without_is_worked_again(fresh: Fresh) -> None:
    nightly({"A": 40, "B": 0, "C": 1})
    worked: list[str] = []
    with job("scoring") as j:
        for each in j.clients(["A", "B", "C", "D"], done_within="24h"):
            with each:
                worked.append(each.client)
    assert worked == ["B", "D"]
    (notes, *_) = [found.system_notes or "" for found in fresh.jobs() if found.run_id == j.run_id]
    assert "2 clients were left out: Completed with at least 1 posts, leads and items, within 24h" in notes
    assert jobspan.health().ok


def test_how_many_items_are_enough_is_to_be_said(fresh: Fresh) -> None:
    nightly({"A": 40, "B": 0})
    nightly({"A": 3})  # the latest one is not the largest
    assert entered(min_items=0) == ["C", "D"]
    assert entered(min_items=40) == ["B", "C", "D"]
    assert entered(min_items=41) == ["A", "B", "C", "D"]


def test_posts_leads_and_items_add_up_and_other_counters_do_not(fresh: Fresh) -> None:
    with job("scoring") as j:
        with j.client("A") as each:
            each.add(posts=1, leads=1)
            each.item("one")
        with j.client("B") as each:
            each.add(pages=100, posts=2)
    assert entered(min_items=3) == ["B", "C", "D"]


def test_a_block_asks_for_its_own_client(fresh: Fresh) -> None:
    nightly({"A": 1})

    @client_run
    def work(client_id: str) -> bool:
        each = current_run()
        assert isinstance(each, jobspan.ClientRun)
        if each.done_within("24h"):
            each.skip("done today")
            return False
        each.add(leads=1)
        return not each.done_within("24h")  # it is not done itself

    with job("scoring"):
        assert [work(client) for client in "AB"] == [False, True]
        assert work("B") is True  # nor by another entry in the same job
    with job("scoring"):  # one that was skipped is not what is found
        assert [work(client) for client in "AB"] == [False, False]
    with job("scoring") as j:
        assert not j.client("A", part="x").new_run().done_within(0.000001)


def test_skipped_failed_running_and_old_ones_are_not_done(
    fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    with job("scoring") as j:
        with j.client("A") as each:
            each.skip("tier Basic")
        with suppress(ValueError), j.client("B") as each:
            each.add(leads=5)
            raise ValueError
        with j.client("C") as each:
            each.add(leads=5)
            each.detach(external_id="vendor-1")
    assert entered(min_items=0) == ["A", "B", "C", "D"]
    nightly({"D": 1})
    assert entered() == ["A", "B", "C"]
    now = _clock.now_ns
    monkeypatch.setattr(_clock, "now_ns", lambda: now() + DAY_NS)
    assert entered() == ["A", "B", "C", "D"]
    assert entered(within="25h") == ["A", "B", "C"]


def test_other_types_and_keys_have_nothing_to_do_with_it(fresh: Fresh) -> None:
    nightly({"A": 1}, "other")
    nightly({"B": 1}, key="eu")
    nightly({"C": 1})
    assert entered() == ["A", "B", "D"]
    assert entered(key="eu") == ["A", "C", "D"]
    assert entered(key="us") == ["A", "B", "C", "D"]


def test_work_of_another_process_that_still_runs_is_seen(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.db"
    code = """
with job("scoring") as j:
    with j.client("A") as r: r.add(items=2)
    import subprocess
    ask = "from jobspan import job\\nwith job('scoring') as j:"
    ask += " print([r.client for r in j.clients('AB', done_within=60)])"
    say(subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True).stdout.strip())
"""
    assert run(ledger, code) == ["['B']"]
    assert len(jobs(ledger)) == 2


def test_a_ledger_that_cannot_be_read_keeps_no_work_from_running(fresh: Fresh) -> None:
    nightly({"A": 1, "B": 1})
    jobspan.flush(10)
    aside = fresh.folder / "aside"
    aside.mkdir()
    with job("scoring") as j:
        jobspan.shutdown(5)
        files = list(fresh.folder.glob("ledger.db*"))
        files = [path for path in files if path.is_file()]
        for path in files:
            path.rename(aside / path.name)
        fresh.ledger.mkdir()
        began = time.monotonic()
        worked = []
        for each in j.clients(["A", "B"], done_within="24h"):
            with each:
                worked.append((each.client, each.done_within("24h")))
        assert time.monotonic() - began < 6
        assert worked == [("A", False), ("B", False)]
        assert jobspan.health().reasons.get("done_within") == 1  # asked once, not for every client
        fresh.ledger.rmdir()
        for path in files:
            (aside / path.name).rename(path)
    notes = [found.system_notes or "" for found in fresh.jobs() if found.run_id == j.run_id]
    assert "done_within: the ledger cannot be read, so the work runs" in notes[0]


def test_wrong_options_are_told_at_once(fresh: Fresh) -> None:
    with job("scoring") as j:
        for wrong in ({"done_within": "today"}, {"done_within": 0}, {"done_within": "1h", "min_items": -1}):
            with pytest.raises(UsageError, match=r"done_within=|min_items="):
                j.clients(["A"], **wrong)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="min_items="):
            j.clients(["A"], min_items=True)
        with j.client("A") as each, pytest.raises(UsageError, match="done_within="):
            each.done_within("soon")
    fresh.configure(mode="disabled")
    with job("scoring") as j:
        assert [each.client for each in j.clients(["A"], done_within="24h")] == ["A"]
        with j.client("A") as each:
            assert not each.done_within("24h")


@pytest.mark.parametrize("concurrency", [1, 3])
def test_map_and_amap_leave_out_what_was_done_of_late(fresh: Fresh, concurrency: int) -> None:
    nightly({"A": 40, "B": 0, "C": 1})
    options: dict[str, Any] = {"concurrency": concurrency, "done_within": "24h"}

    async def work(client: str) -> str:
        return client.lower()

    async def main() -> list[Any]:
        async with job("scoring") as j:
            return await j.amap(work, "ABCD", **options)

    with job("scoring") as j:
        plain = j.map(str.lower, "ABCD", **options)
    for outcomes in (plain, asyncio.run(main())):
        assert [(each.value, each.attempts) for each in outcomes] == [
            (None, 0),
            ("b", 1),
            (None, 0),
            ("d", 1),
        ]
        assert {each.status for each in outcomes} == {"Completed"}
    notes = [found.system_notes or "" for found in fresh.jobs() if found.items_processed is None]
    assert all("2 clients were left out: Completed" in text for text in notes)
    assert len(notes) == 2
    with job("scoring") as j, pytest.raises(UsageError):
        j.map(str.lower, "A", done_within="soon")
