"""A run id given in the place of another stays the job's, also in a ledger rebuilt from its journals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobspan._guard import guard
from jobspan.journal import Place
from jobspan.journal.given import GivenIds
from tests.program import run_python

WITHOUT_CLAIMS = """
import sys, jobspan
from jobspan import job
from jobspan._runtime import runtime
claims = runtime().claims
take, claims.claim = claims.claim, lambda *args: None
for n in range(3):
    with job("late") as j:
        assert "~" in j.run_id
claims.claim = take
assert jobspan.flush(20)
"""


@pytest.fixture(autouse=True)
def _fresh_guard() -> Iterator[None]:
    guard.reset()
    yield
    guard.reset()


def ids_of(home: Path) -> list[str]:
    done = run_python(["-c", "from jobspan.cli import main; main()", "runs", "--json"], home)
    assert done.returncode == 0, done.stderr
    return [job["run_id"] for job in json.loads(done.stdout)]


def test_a_missed_claim_gives_the_same_id_in_a_rebuilt_ledger(tmp_path: Path) -> None:
    done = run_python(["-c", WITHOUT_CLAIMS], tmp_path)
    assert done.returncode == 0, done.stderr
    first = ids_of(tmp_path)
    assert len(set(first)) == 3
    assert not any("~" in run_id for run_id in first)
    for path in tmp_path.glob("ledger.db*"):
        if path.is_file():
            path.unlink()
    assert ids_of(tmp_path) == first


def test_the_last_id_given_is_given_again_unless_somebody_has_it(tmp_path: Path) -> None:
    place = Place(tmp_path / "ledger.db")
    place.prepare()
    new = iter("bcdefg")
    ids = GivenIds(place, lambda start_ns: next(new, None))
    assert ids.give("j", 0, lambda run_id: True) == "b"
    assert ids.give("j", 0, lambda run_id: run_id != "b") == "c"  # another one's row has b
    assert ids.give("other", 0, lambda run_id: True) == "d"
    again = GivenIds(place, lambda start_ns: None)
    assert [again.give(uid, 0, lambda run_id: True) for uid in ("j", "other", "new")] == ["c", "d", None]
    assert again.give("j", 0, lambda run_id: run_id != "c") is None
    assert ids.give("../../x y", 0, lambda run_id: True) == "e"
    assert again.give("../../x y", 0, lambda run_id: True) == "e"
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.db.d"]


def test_where_nothing_can_be_kept_ids_are_given_all_the_same(tmp_path: Path) -> None:
    ids = GivenIds(Place(tmp_path / "no" / "ledger.db"), lambda start_ns: "a")
    assert ids.give("j", 0, lambda run_id: True) == "a"
