"""System Notes: what a person reads in Airtable."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobspan.ledger.reading import LedgerReader
from jobspan.model.entry import Entry
from jobspan.model.notes import NOTES_LIMIT, duration, numbers_text, render_notes
from jobspan.model.part import Part
from jobspan.model.run import Run
from jobspan.model.status import Status
from tests.model.histories import legal_history
from tests.model.stores import SqliteStore, fold_in_order, sqlite_ledger
from tests.model.telling import Teller

TICKS = "✓✔✅☑"


def test_the_whole_story_of_a_client_run() -> None:
    teller = Teller()
    teller.client("C", 1)
    teller.operation("A", 2, "profile_fetch", "C")
    teller.at("A", 3, "add", c={"posts": 1})
    teller.at("A", 3, "note", text="profile search returned 2 pages")
    teller.close("A", 4)
    teller.operation("B", 5, "lead_scoring", "C")
    teller.at("B", 6, "add", c={"leads": 120, "retries": 2})
    teller.at("B", 6, "usage", u={"in": 1200, "out": 300, "cr": 200, "c": "0.012", "m": "gpt-4o"})
    for n in range(5):
        teller.at("B", 8, "error", type="ValueError", message="bad profile", item=f"lead {17 + n}")
    teller.close("B", 65)
    teller.operation("D", 66, "upload", "C")
    teller.close("D", 67, "failed", "HTTPError", "503 from server")
    teller.at("C", 67, "cost", source="apify", micro_usd=183_400)
    teller.close("C", 68)
    assert teller.run().system_notes.splitlines() == [
        "2026-05-28 20:26:41 UTC  started client run Wilson",
        "2026-05-28 20:26:42 UTC  ✓ profile_fetch: Completed in 2.0 s (1 post)",
        "2026-05-28 20:26:43 UTC  profile search returned 2 pages",
        "2026-05-28 20:26:45 UTC  ! lead_scoring: Completed_with_errors in 1 min 0 s"
        " (120 leads, 2 retries, 1,500 tokens, $0.012)",
        "2026-05-28 20:27:46 UTC  ✗ upload: Failed in 1.0 s — HTTPError: 503 from server",
        "errors: 5 × ValueError: bad profile — first lead 17",
        "1 call: 1,200 in (200 cached) + 300 out = 1,500; $0.0120; gpt-4o ×1",
        "apify costs: $0.1834",
        "2026-05-28 20:27:48 UTC  Completed_with_errors after 1 min 7 s",
    ]


def test_dates_are_whole_and_in_the_configured_zone() -> None:
    teller = Teller(ZoneInfo("Australia/Sydney"))
    teller.close("J", 1)
    assert teller.job().system_notes.splitlines() == [
        "2026-05-29 06:26:40 AEST  started job nightly",
        "2026-05-29 06:26:41 AEST  Completed after 1.0 s",
    ]


def test_many_operations_are_summed_up_by_name() -> None:
    teller = Teller()
    teller.client("C", 1)
    for n in range(1_000):
        teller.operation(f"O{n}", 2, "scrape" if n % 2 else "score", "C")
        teller.at(f"O{n}", 2, "add", c={"posts": 2})
        teller.close(f"O{n}", 3, "ok" if n else "failed")
    lines = teller.run().system_notes.splitlines()
    assert lines[1:] == [
        "! score × 500: 499 Completed, 1 Failed; on average 1.0 s (1,000 posts)",
        "✓ scrape × 500: 500 Completed; on average 1.0 s (1,000 posts)",
    ]


def test_a_failed_step_shows_no_tick_whatever_it_is_called() -> None:
    teller = Teller()
    teller.client("C", 1)
    for n, how in enumerate(["failed", "canceled", "timed_out"]):
        teller.operation(f"O{n}", 2, f"{TICKS} step {n}\n✓ done", "C")
        teller.close(f"O{n}", 3, how, "Error", "✓ all good")
    assert not set(TICKS) & set(teller.run().system_notes)


def test_no_note_passes_for_a_line_of_ours() -> None:
    teller = Teller()
    teller.client("C", 1)
    teller.at("C", 2, "note", text="hello\n2026-05-28 20:26:42 UTC  Completed after 1.0 s\r\nerrors: none")
    lines = teller.run().system_notes.splitlines()
    assert [line[:4] for line in lines] == ["2026", "2026", "    ", "    "]


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({"leads": 1, "posts": 1}, "1 post, 1 lead"),
        ({"zeta": 1_000, "items": 0, "alpha": 1}, "0 items, 1 alpha, 1,000 zeta"),
        ({"errors": 4, "prompt_tokens": 3}, ""),
    ],
)
def test_numbers_have_their_noun(counts: dict[str, int], text: str) -> None:
    assert numbers_text(counts) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (59.96, "1 min 0 s"), (61, "1 min 1 s"), (3_599, "59 min 59 s"), (86_400, "24 h 0 min")],
)
def test_durations_are_read_at_a_glance(seconds: float, text: str) -> None:
    assert duration(0, round(seconds * 1e9)) == text


def test_calls_without_usage_are_not_shown_as_zero_tokens() -> None:
    teller = Teller()
    teller.at("J", 1, "usage", u={"me": False})
    assert "1 call reported no usage" in teller.job().system_notes
    teller.at("J", 1, "usage", u={"in": 5, "out": 1, "c": "0.000002"})
    notes = teller.job().system_notes
    assert "1 call: 5 in + 1 out = 6; ≥ $0.0000020; 1 call reported no usage" in notes


def ended(text: str, count: int) -> tuple[Run, list[Part], list[Entry]]:
    run = Run("J/x", "c", "J", label="x", start_ns=1, end_ns=2, status=Status.COMPLETED)
    part = Part("C", run="J/x", job="J", top="C", start_ns=1)
    data = {"text": text, "type": text, "message": text, "item": text, "place": text}
    entries = [
        Entry(kind, "C", "C", "J/x", "J", (n, "C", n), data)
        for n in range(count)
        for kind in ("note", "error", "skip")
    ]
    return run, [part], entries


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=300), st.integers(0, 40), st.text("abc ✓", max_size=200), st.integers(1, 300))
def test_notes_are_bounded_and_what_delivery_says_is_whole(
    text: str, count: int, extra: str, times: int
) -> None:
    run, parts, entries = ended(text * (times if count < 3 else 1), count)
    mark = "jobspan C ledger 1"
    notes = render_notes(run, parts, parts, entries, UTC, extra=[f"[{extra}]"], mark=mark)
    assert len(notes) <= NOTES_LIMIT
    assert notes.startswith("1970-01-01 00:00:00 UTC  started client run x")
    assert notes.endswith(f"[{extra}]\n1970-01-01 00:00:00 UTC  Completed after 0.0 s\n{mark}")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_no_history_makes_notes_with_program_words(seed: int) -> None:
    connection = sqlite_ledger()
    fold_in_order(SqliteStore(connection), legal_history(seed, 6))
    for job in LedgerReader(connection, UTC).jobs():
        for notes in [job.system_notes, *(run.system_notes for run in job.client_runs)]:
            assert 0 < len(notes) <= NOTES_LIMIT
            for word in ("None", "undefined", "Traceback", "1 LLM calls", "{last_seen}", "unknown time"):
                assert word not in notes
