"""A column or table that people rename is still the same one, also for the next process."""

from __future__ import annotations

from pathlib import Path

import pytest

import jobspan
from tests.relay.conftest import Deliver
from tests.relay.support import CLIENT_RUNS, JOBS, batch, settings

NEW = {"Posts Processed": "Posts", "Status": "State", "Run ID": "Key"}


def test_the_next_process_delivers_to_renamed_columns_and_a_renamed_table(
    deliver: Deliver, fresh: Path
) -> None:
    server = deliver()
    batch(2)
    assert jobspan.flush(15)
    for name, to in NEW.items():
        server.person.rename_column(CLIENT_RUNS, name, to)
    server.person.rename_table(CLIENT_RUNS, "Results")
    jobspan.configure(
        ledger=fresh / "ledger.db", airtable=settings(server)
    )  # everything is built anew, only the ledger is left
    run_id = batch(3)
    assert jobspan.flush(15)
    new = [row for row in server.rows("Results") if str(row["Key"]).startswith(run_id)]
    assert [(row["Posts"], row["State"]) for row in new] == [(n, "Completed") for n in range(3)]
    assert all("missing" not in row["System Notes"] for row in server.rows(JOBS))


@pytest.mark.slow
def test_a_name_that_is_set_anew_wins_over_what_was_known(deliver: Deliver, fresh: Path) -> None:
    server = deliver()
    batch(1)
    assert jobspan.flush(15)
    server.person.rename_column(CLIENT_RUNS, "Posts Processed", "Old Posts")
    server.person.add_column(CLIENT_RUNS, "Posts Processed", "number")
    server.person.add_column(CLIENT_RUNS, "All Leads", "number")
    columns = {"leads_processed": "All Leads"}
    jobspan.configure(ledger=fresh / "ledger.db", airtable=settings(server, client_run_columns=columns))
    run_id = batch(2)
    assert jobspan.flush(15)
    (row,) = [row for row in server.rows(CLIENT_RUNS) if row["Run ID"] == f"{run_id}-client-1"]
    assert (row["Posts Processed"], row["All Leads"]) == (1, 2)
    assert "Old Posts" not in row
    assert "Leads Processed" not in row


def test_without_the_schema_scope_a_renamed_column_costs_its_cells_and_is_told(
    deliver: Deliver, fresh: Path
) -> None:
    server = deliver(scopes=("data.records:read", "data.records:write"))
    batch(1)
    assert jobspan.flush(15)
    server.person.rename_column(CLIENT_RUNS, "Posts Processed", "Posts")
    jobspan.configure(ledger=fresh / "ledger.db", airtable=settings(server))
    run_id = batch(2)
    assert jobspan.flush(15)
    (row,) = [row for row in server.rows(CLIENT_RUNS) if row["Run ID"] == f"{run_id}-client-1"]
    assert (row["Leads Processed"], row["Status"]) == (2, "Completed")
    assert "Posts" not in row
    with jobspan.job("after"):
        pass
    assert jobspan.flush(15)
    notes = server.rows(JOBS)[-1]["System Notes"]
    assert "column 'Posts Processed' is missing" in notes
