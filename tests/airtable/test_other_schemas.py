"""Bases nobody made for us: other types, names and options; whatever a column is, the other cells arrive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import jobspan
from jobspan.airtable import known
from jobspan.testing.airtable import AirtableServer
from jobspan.testing.airtable.field import Field
from jobspan.testing.airtable.seed import options_for
from tests.airtable.test_schema_variants import work
from tests.relay.conftest import Deliver
from tests.relay.support import (
    CLIENT_RUN_COLUMNS,
    CLIENT_RUNS,
    JOB_COLUMNS,
    JOBS,
    assert_equal_to_ledger,
    expected,
    in_ledger,
    rows,
)

TYPES = [
    "checkbox", "multipleSelects", "url", "email", "phoneNumber", "rating", "percent", "currency", "duration",
    "date", "singleLineText", "multilineText", "richText", "singleSelect", "barcode", "rollup",
    "multipleLookupValues",
    "multipleRecordLinks", "button", "aiText", "formula", "number", "dateTime", "autoNumber", "createdTime",
    "lastModifiedBy", "singleCollaborator", "multipleAttachments", "somethingNew",
]  # fmt: skip
ALL_SCOPES = ("data.records:read", "data.records:write", "schema.bases:read")
BLIND = ("data.records:read", "data.records:write")
BOTH = ((JOBS, JOB_COLUMNS), (CLIENT_RUNS, CLIENT_RUN_COLUMNS))


def retype(server: AirtableServer, table: str, column: str, kind: str) -> None:
    """Make a column one of any type; links go to the table itself."""
    found = server.base.find_table(table)
    assert found is not None
    field = found.find_field(column)
    assert field is not None
    if kind == "multipleRecordLinks":
        options: dict[str, Any] = {"linkedTableId": found.id}
    elif kind in ("barcode", "singleCollaborator", "multipleAttachments", "somethingNew"):
        options = {}
    else:
        options = options_for(kind, ["one", "two"])
    field.type, field.options = kind, options


def assert_others(server: AirtableServer, bad: set[tuple[str, str]]) -> None:
    """Assert one row each, with all cells but the bad ones and those of System Notes."""
    jobs, clients = in_ledger()
    for (table, columns), records in zip(BOTH, (jobs, clients), strict=True):
        left_out = {"System Notes"} | {column for place, column in bad if place == table}
        wanted = [
            {key: value for key, value in expected(record, columns).items() if key not in left_out}
            for record in records.values()
        ]
        there = [
            {key: value for key, value in row.items() if key in columns and key not in left_out}
            for row in rows(server, table)
        ]
        assert sorted(there, key=str) == sorted(wanted, key=str), table


def rounds() -> list[list[tuple[str, str, str]]]:
    """Give each type to some columns, and in the end each column some types; three columns a round."""
    columns = [(table, column) for table, names in BOTH for column in names if column != "System Notes"]
    made: list[list[tuple[str, str, str]]] = []
    for number, kind in enumerate(TYPES):
        picked = [columns[(3 * number + step * 7) % len(columns)] for step in range(3)]
        made.append([(*place, kind) for place in dict.fromkeys(picked)])
    return made


CASES = [
    pytest.param(changes, scopes, id=f"{changes[0][2]}-{how}",
                 marks=[] if (number + is_blind) % 7 == 0 else [pytest.mark.slow])
    for number, changes in enumerate(rounds())
    for is_blind, (how, scopes) in enumerate((("seen", ALL_SCOPES), ("blind", BLIND)))
]  # fmt: skip


@pytest.mark.parametrize(("changes", "scopes"), CASES)
def test_columns_of_any_type_cost_at_most_their_own_cells(
    deliver: Deliver, changes: list[tuple[str, str, str]], scopes: tuple[str, ...]
) -> None:
    server = deliver(scopes=scopes)
    for change in changes:
        retype(server, *change)
    work()
    assert jobspan.flush(40)
    assert_others(server, {(table, column) for table, column, _ in changes})
    assert server.rate_limited == 0


@pytest.mark.parametrize("kind", ["Run ID is a link", "all numbers are links"])
def test_a_refusal_that_names_no_column_costs_only_the_cells_to_blame(deliver: Deliver, kind: str) -> None:
    server = deliver(scopes=BLIND)
    bad = {(CLIENT_RUNS, "Run ID")}
    if kind != "Run ID is a link":
        bad = {(CLIENT_RUNS, name) for name in ("Posts Processed", "Leads Processed", "Errors")}
    for table, column in bad:
        retype(server, table, column, "multipleRecordLinks")
    work()
    assert jobspan.flush(40)
    assert_others(server, bad)


@pytest.mark.parametrize(
    ("table", "column"), [(JOBS, "Run ID"), (CLIENT_RUNS, "Run ID"), (CLIENT_RUNS, "Status")]
)
@pytest.mark.parametrize("trouble", ["missing", "computed"])
def test_without_the_schema_scope_even_a_key_may_be_bad(
    deliver: Deliver, table: str, column: str, trouble: str
) -> None:
    server = deliver(scopes=BLIND, **{trouble: [f"{table}.{column}"]})
    work()
    assert jobspan.flush(40)
    assert_others(server, {(table, column)})


def as_text(server: AirtableServer) -> None:
    for table in (JOBS, CLIENT_RUNS):
        server.person.retype_column(table, "Status", "singleLineText")


def lower(server: AirtableServer) -> None:
    options = ["running", "COMPLETED", "failed", "completed with errors", "cancelled", "timed out"]
    for table in (JOBS, CLIENT_RUNS):
        server.person.retype_column(table, "Status", "singleSelect", options)


def several(server: AirtableServer) -> None:
    for table in (JOBS, CLIENT_RUNS):
        retype(server, table, "Status", "multipleSelects")


def empty(server: AirtableServer) -> None:
    for table in (JOBS, CLIENT_RUNS):
        retype(server, table, "Status", "singleSelect")


@pytest.mark.parametrize(("change", "shown"), [(as_text, 1), (lower, 2), (several, 0), (empty, 0)])
@pytest.mark.parametrize("scopes", [ALL_SCOPES, BLIND], ids=["seen", "blind"])
def test_status_of_any_kind(
    deliver: Deliver, change: Callable[[AirtableServer], None], shown: int, scopes: tuple[str, ...]
) -> None:
    server = deliver(scopes=scopes)
    change(server)
    work()
    assert jobspan.flush(40)
    assert_others(server, {(JOBS, "Status"), (CLIENT_RUNS, "Status")})
    jobs, clients = in_ledger()
    for row in (*rows(server, JOBS), *rows(server, CLIENT_RUNS)):
        status = {**jobs, **clients}[row["Run ID"]].status.value
        if shown == 1:
            assert row["Status"] == status
        elif shown == 2 and scopes is ALL_SCOPES:
            assert row["Status"].casefold().replace(" ", "_") == status.casefold()


def test_another_column_may_be_the_primary_one(deliver: Deliver) -> None:
    server = deliver()
    for table in (JOBS, CLIENT_RUNS):
        found = server.base.find_table(table)
        assert found is not None
        found.fields.insert(0, Field("Name", "singleLineText", {}))
        found.fields.append(found.fields.pop(1))
    work()
    assert jobspan.flush(15)
    assert_equal_to_ledger(server)


NAMES = {
    "run_id": 'Run {ID} "é" 🙂',
    "status": "Status, or 'so'",
    "system_notes": "Notes\\{x}",
    "client_id": "Client}",
    "posts_processed": "  Posts  #1 ",
}


@pytest.mark.parametrize("scopes", [ALL_SCOPES, BLIND], ids=["seen", "blind"])
def test_names_may_hold_quotes_braces_and_emoji(deliver: Deliver, scopes: tuple[str, ...]) -> None:
    server = deliver(
        scopes=scopes, airtable={"client_run_table": 'Runs "A/B" {🙂}?', "client_run_columns": NAMES}
    )
    server.person.rename_table(CLIENT_RUNS, 'Runs "A/B" {🙂}?')
    ours = {name: column for column, name in CLIENT_RUN_COLUMNS.items()}
    for name, column in NAMES.items():
        server.person.rename_column('Runs "A/B" {🙂}?', ours[name], column)
    with jobspan.job("names") as job, job.client("A") as run:
        assert jobspan.flush(20)
        server.person.edit('Runs "A/B" {🙂}?', f"{job.run_id}-A", {NAMES["system_notes"]: "typed"})
        run.add(posts=3)
    assert jobspan.flush(20)
    (row,) = server.rows('Runs "A/B" {🙂}?')
    shown = (
        row[NAMES["run_id"]],
        row[NAMES["status"]],
        row[NAMES["client_id"]],
        row[NAMES["posts_processed"]],
    )
    assert shown == (f"{job.run_id}-A", "Completed", "A", 3)


@pytest.mark.parametrize("scopes", [ALL_SCOPES, BLIND], ids=["seen", "blind"])
def test_columns_and_a_table_renamed_while_running_go_on(deliver: Deliver, scopes: tuple[str, ...]) -> None:
    server = deliver(scopes=scopes)
    new = {"Posts Processed": "Posts", "Status": "State", "Run ID": "Key"}
    with jobspan.job("renamed") as job, job.client("A") as run:
        run.add(posts=1)
        assert jobspan.flush(15)
        for name, to in new.items():
            server.person.rename_column(CLIENT_RUNS, name, to)
        if scopes is ALL_SCOPES:
            server.person.rename_table(CLIENT_RUNS, "Results")
        run.add(posts=1, leads=4)
        jobspan.flush(15)
    assert jobspan.flush(25)
    (row,) = server.rows("Results" if scopes is ALL_SCOPES else CLIENT_RUNS)
    assert row["Leads Processed"] == 4
    if scopes is ALL_SCOPES:
        assert (row["Posts"], row["State"], row["Key"]) == (2, "Completed", f"{job.run_id}-A")


def test_a_table_deleted_while_running_holds_back_only_its_rows(
    deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known, "_CONTRADICTED", 0.5)
    server = deliver()
    found = server.base.find_table(CLIENT_RUNS)
    assert found is not None
    with jobspan.job("deleted") as job:
        with job.client("A") as run:
            run.add(posts=1)
            assert jobspan.flush(10)
            server.person.delete_table(CLIENT_RUNS)
            run.add(posts=1)
        with job.client("B"):
            pass
    assert not jobspan.flush(5)
    assert [row["Status"] for row in rows(server, JOBS)] == ["Completed"]
    server.base.tables.append(found)
    assert jobspan.flush(20)
    assert_equal_to_ledger(server)


@pytest.mark.parametrize("quick", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_row_deleted_by_a_person_while_running_comes_back_once(deliver: Deliver, quick: bool) -> None:
    server = deliver()
    with jobspan.job("deleted") as job, job.client("A") as run, job.client("B") as other:
        run.add(posts=1)
        assert jobspan.flush(10)
        server.person.delete(CLIENT_RUNS, f"{job.run_id}-A")
        if not quick:
            server.person.delete(JOBS, job.run_id)
        run.add(posts=1)
        other.add(posts=7)
        assert jobspan.flush(10)
    assert jobspan.flush(20)
    assert_equal_to_ledger(server)


def test_decimals_in_a_column_of_whole_numbers_and_money(deliver: Deliver) -> None:
    server = deliver()
    for column in ("Apify API Costs", "Posts Processed"):
        field = server.base.find_table(CLIENT_RUNS).find_field(column)  # type: ignore[union-attr]
        assert field is not None
        field.options = {"precision": 0}
    retype(server, CLIENT_RUNS, "Leads Processed", "currency")
    with jobspan.job("decimals") as job, job.client("A") as run:
        run.add(posts=2, leads=3)
        run.record_cost("apify", usd="0.1234")
    assert jobspan.flush(10)
    (row,) = rows(server, CLIENT_RUNS)
    assert (row["Posts Processed"], row["Leads Processed"], row["Apify API Costs"]) == (2, 3, 0.1234)
