"""It fits the base there is: a bad column costs its own cells, and they come when the column does."""

from __future__ import annotations

from decimal import Decimal
from itertools import product

import pytest

import jobspan
from jobspan.airtable import known
from tests.relay.conftest import Deliver
from tests.relay.support import CLIENT_RUN_COLUMNS, CLIENT_RUNS, JOB_COLUMNS, JOBS, expected, in_ledger, rows

COLUMNS = [(JOBS, name) for name in JOB_COLUMNS] + [(CLIENT_RUNS, name) for name in CLIENT_RUN_COLUMNS]
TROUBLES = ("missing", "computed", "wrong type")
TEXTS = {"Run ID", "Job Type", "Error", "System Notes", "Apify Run ID", "Client ID", "Status"}
WRONG = {**dict.fromkeys(TEXTS, "number"), "Token Usage": "checkbox"}
TYPES = {
    "Start Time": "dateTime",
    "End Time": "dateTime",
    "System Notes": "multilineText",
    "Status": "singleSelect",
}


def cases() -> list[object]:
    """Give each column each trouble; the quick suite meets each column once."""
    found: list[object] = []
    for (place, column), (number, trouble) in product(enumerate(COLUMNS), enumerate(TROUBLES)):
        marks = () if (place + number) % 3 == 0 else (pytest.mark.slow,)
        found.append(pytest.param(*column, trouble, marks=marks, id=f"{column[0]}.{column[1]}-{trouble}"))
    return found


def work() -> None:
    """Run a job that fills every column."""
    with jobspan.job("full") as job:
        with job.client("A") as run:
            run.add(posts=3, leads=4)
            run.record_usage(input_tokens=100, output_tokens=20, model="m")
            run.record_cost("apify", usd=Decimal("0.25"), id="run-1")
        with job.client("B") as run:
            run.error(ValueError("bad profile"))
    tracking = jobspan.JobTracking()
    tracking.update_job(job.run_id, apify_run_id="apify-1", error="ValueError: bad profile")


def compare(server: jobspan.testing.airtable.AirtableServer, table: str, column: str | None) -> None:  # type: ignore[name-defined]
    """Assert all cells but those of one column; a missing Run ID is no excuse."""
    jobs, clients = in_ledger()
    for name, records, columns in ((JOBS, jobs, JOB_COLUMNS), (CLIENT_RUNS, clients, CLIENT_RUN_COLUMNS)):
        left_out = {"System Notes"} | ({column} if name == table and column else set())
        wanted = [
            {key: value for key, value in expected(record, columns).items() if key not in left_out}
            for record in records.values()
        ]
        there = [
            {key: value for key, value in row.items() if key in columns and key not in left_out}
            for row in rows(server, name)
        ]
        assert sorted(there, key=str) == sorted(wanted, key=str), name


@pytest.mark.parametrize(("table", "column", "trouble"), cases())
def test_a_bad_column_costs_only_its_cells_until_it_is_good(
    deliver: Deliver, monkeypatch: pytest.MonkeyPatch, table: str, column: str, trouble: str
) -> None:
    monkeypatch.setattr(known, "ASKED_SECONDS", 0.0)
    place = f"{table}.{column}"
    variants: dict[str, dict[str, object]] = {
        "missing": {"missing": [place]},
        "computed": {"computed": [place]},
        "wrong type": {"types": {place: WRONG.get(column, "singleLineText")}},
    }
    server = deliver(**variants[trouble])
    work()
    assert jobspan.flush(15)
    compare(server, table, column)
    if (table, column) != (JOBS, "System Notes"):
        notes = rows(server, JOBS)[0].get("System Notes", "")
        assert f"column {column!r}" in notes
    kind = TYPES.get(column, "singleLineText" if column in TEXTS else "number")
    options = ["Running", "Completed", "Failed", "Completed_with_errors"] if column == "Status" else None
    if trouble == "missing":
        server.person.add_column(table, column, kind, options)
    else:
        server.person.retype_column(table, column, kind, options)
        if column == "Apify API Costs":
            server.base.find_table(table).find_field(column).options["precision"] = 2  # type: ignore[union-attr]
    assert jobspan.flush(15)
    assert jobspan.flush(15)
    compare(server, table, None)


def test_three_statuses_are_enough_for_everything_else(deliver: Deliver) -> None:
    server = deliver(status_options=["Running", "Completed", "Failed"])
    work()
    with jobspan.job("ends") as job:
        with pytest.raises(KeyboardInterrupt):
            with job.client("C"):
                raise KeyboardInterrupt
    assert jobspan.flush(15)
    jobs, clients = in_ledger()
    shown = {row["Run ID"]: row["Status"] for row in (*rows(server, JOBS), *rows(server, CLIENT_RUNS))}
    nearest = {"Completed_with_errors": "Completed", "Canceled": "Failed"}
    for run_id, record in {**jobs, **clients}.items():
        assert shown[run_id] == nearest.get(record.status.value, record.status.value)
    assert "Completed_with_errors is shown as 'Completed'" in rows(server, JOBS)[0]["System Notes"]


@pytest.mark.parametrize(
    ("options", "labels", "shown"),
    [
        (["Running", "Completed", "Failed", "Completed with Errors"], {}, "Completed with Errors"),
        (["In Progress", "Done", "Done with errors"], {}, "Done with errors"),
        (["Running", "Completed", "Mixed"], {"Completed_with_errors": "Mixed"}, "Mixed"),
    ],
)
def test_labels_of_statuses_are_found_or_set(
    deliver: Deliver, options: list[str], labels: dict[str, str], shown: str
) -> None:
    server = deliver(status_options=options, airtable={"status_labels": labels})
    work()
    assert jobspan.flush(15)
    assert rows(server, JOBS)[0]["Status"] == shown


def test_status_may_be_a_text(deliver: Deliver) -> None:
    server = deliver(types={"Status": "singleLineText"})
    work()
    assert jobspan.flush(15)
    compare(server, JOBS, None)


SCOPES = ("data.records:read", "data.records:write")


@pytest.mark.parametrize(
    "variant",
    [
        {},
        {"missing": ["Error", "Client Run Results.Leads Processed", "Client Run Results.System Notes"]},
        {"computed": ["Items Processed", "Client Run Results.Errors"]},
        {"types": {"Items Processed": "singleLineText", "Client Run Results.Posts Processed": "checkbox"}},
        {"status_options": ["Running", "Completed", "Completed with Errors", "Failed"]},
    ],
    ids=["all", "missing", "computed", "types", "options"],
)
def test_it_works_without_the_schema_scope(deliver: Deliver, variant: dict[str, object]) -> None:
    server = deliver(scopes=SCOPES, **variant)
    work()
    assert jobspan.flush(20)
    jobs, clients = in_ledger()
    bad = {
        name.rpartition(".")[2]
        for key in ("missing", "computed", "types")
        for name in variant.get(key, ())  # type: ignore[attr-defined]
    }
    for table, records, columns in ((JOBS, jobs, JOB_COLUMNS), (CLIENT_RUNS, clients, CLIENT_RUN_COLUMNS)):
        there = {row["Run ID"]: row for row in rows(server, table)}
        assert sorted(there) == sorted(records)
        for run_id, record in records.items():
            left_out = {*bad, "System Notes", "Status"}
            wanted = {k: v for k, v in expected(record, columns).items() if k not in left_out}
            assert {k: v for k, v in there[run_id].items() if k in columns and k not in left_out} == wanted
            assert there[run_id]["Status"].replace(" ", "_").lower() == record.status.value.lower()


def test_a_column_that_goes_away_while_running_costs_its_cells(deliver: Deliver) -> None:
    server = deliver()
    with jobspan.job("running") as job:
        with job.client("A") as run:
            run.add(posts=1)
            assert jobspan.flush(10)
            server.person.delete_column(CLIENT_RUNS, "Posts Processed")
            server.person.make_computed(CLIENT_RUNS, "Leads Processed", "1")
            run.add(posts=1, leads=1)
        assert jobspan.flush(10)
    (row,) = rows(server, CLIENT_RUNS)
    assert row["Status"] == "Completed"


def test_an_option_that_goes_away_while_running_is_replaced(deliver: Deliver) -> None:
    server = deliver()
    with jobspan.job("options") as job:
        with job.client("A") as run:
            assert jobspan.flush(10)
            for table in (JOBS, CLIENT_RUNS):
                server.person.remove_option(table, "Status", "Completed_with_errors")
            run.error("odd")
    assert jobspan.flush(10)
    assert rows(server, CLIENT_RUNS)[0]["Status"] == "Completed"
    assert rows(server, JOBS)[0]["Status"] == "Completed"


def test_a_missing_table_holds_back_only_its_own_rows(deliver: Deliver) -> None:
    server = deliver(missing=[JOBS])
    work()
    assert not jobspan.flush(3)
    assert {row["Client ID"] for row in rows(server, CLIENT_RUNS)} == {"A", "B"}


def test_columns_may_have_other_names_and_counters_columns_of_their_own(deliver: Deliver) -> None:
    server = deliver(
        airtable={
            "job_columns": {"job_type": "Kind", "apify_run_id": None, "cost_usd": "Cost"},
            "client_run_columns": {"emails": "Emails Found"},
        }
    )
    server.person.rename_column(JOBS, "Job Type", "Kind")
    server.person.add_column(JOBS, "Cost", "currency")
    server.person.add_column(CLIENT_RUNS, "Emails Found", "number")
    with jobspan.job("mapped") as job, job.client("A") as run:
        run.add(emails=7)
        run.record_cost("apify", usd="0.25")
    assert jobspan.flush(10)
    assert (rows(server, JOBS)[0]["Kind"], rows(server, JOBS)[0]["Cost"]) == ("mapped", 0.25)
    assert rows(server, CLIENT_RUNS)[0]["Emails Found"] == 7
