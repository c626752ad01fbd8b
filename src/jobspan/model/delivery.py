"""What is said between ledger, relay and destination: values, no behaviour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from jobspan.model.status import Status

Cells = dict[str, Any]
"""Field (a snake_case column name) to the JSON value a destination is to show; None: empty."""

SHARES = "~shares"
"""Among the cells kept in the ledger: what other ledgers recorded, where the run is another's, too."""
UNSEEN, FREE, OURS, ELSEWHERE, SHARED = 0, 1, 2, 3, 4
"""Stages of a job's row: nobody looked yet; its run id was free, it may be written; it is ours for sure; it
is another ledger's and left to that; it was another ledger's and is gone on with here."""

Naming = Literal["own", "named", "passing"]
"""How a ledger knows a job: it was opened here; work here names it; only client runs of it are known."""


@dataclass(slots=True)
class Delivery:
    """What a destination shows of a run, and what it is to show; see the ledger's table of that name."""

    run: str
    job: str
    kind: str
    wanted: int
    sent: int
    status: str
    shown: str | None
    urgent: bool
    state: str
    stage: int
    remote_id: str | None
    claim: str | None
    attempts: int
    last_error: str | None
    dirty_ns: int
    hold_ns: int
    sent_ns: int
    cells: Cells | None
    came_by: str = ""
    """By which delivery all came that is known of the run; empty: not all by the same, or not asked."""
    owed: bool = False
    """It was written in part: the rest is as overdue as the whole was."""
    named: str | None = None
    """The run id of a job that calls here only name: another ledger may have made it."""

    @property
    def is_job(self) -> bool:
        """Whether it is a job's row."""
        return self.kind == "j"

    @property
    def sends_notes(self) -> bool:
        """Whether System Notes go along: with the first and last state and late facts, not with progress."""
        is_progress = self.shown == Status.RUNNING == self.status
        return not is_progress or "system_notes" not in (self.cells or {}) or self.is_shared

    @property
    def is_shared(self) -> bool:
        """Whether another ledger knows the run, too."""
        return SHARES in (self.cells or {})


@dataclass(frozen=True, slots=True)
class Write:
    """One row to write: the cells that changed.

    Attributes:
        run: Inside name of the run.
        run_id: What people call it.
        remote_id: The row's id there, when it is known.
        cells: Only what changed; with `run_id` where there is no `remote_id`.
        claim: The System Notes of the very first attempt, by which that row is found again; only
            while there is no `remote_id`.
    """

    run: str
    run_id: str
    remote_id: str | None
    cells: Cells
    claim: str | None = None


@dataclass(frozen=True, slots=True)
class Lookup:
    """One row to read: by its id there, else by run id."""

    run_id: str
    remote_id: str | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """One row as it stands there.

    Attributes:
        remote_id: Its id there.
        run_id: The cell Run ID; "" where there is none.
        cells: The cells of the fields asked for, those that are empty left out.
        created: When the row was made, as text that sorts; "" unknown.
    """

    remote_id: str
    run_id: str
    cells: Cells = field(default_factory=dict[str, Any])
    created: str = ""


Whose = Literal["ours", "free", "foreign"]


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A field of a table that cannot be delivered, and why; its values stay in the ledger."""

    place: str
    field: str
    reason: str
    since_ns: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a destination.

    Attributes:
        rows: How many rows are not as the ledger says.
        oldest_ns: Since when the oldest one is so; None if none is.
        parked: How many of them were refused and wait for a change.
    """

    rows: int
    oldest_ns: int | None
    parked: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to be the one sender of a destination.

    Attributes:
        fence: This holder's number.
        expires_ns: Until when it is good.
        rested: Seconds for which nobody had it before this holder.
    """

    fence: int
    expires_ns: int
    rested: float = 0.0
