"""What the relay asks of a destination. Each method that sends makes exactly one request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from jobspan.exceptions import DeliveryError
from jobspan.model.delivery import Cells, Delivery, Lookup, Seen, Whose, Write
from jobspan.model.record import ClientRunRecord, JobRecord
from jobspan.model.rendering import NotesEnding

Record = JobRecord | ClientRunRecord


class Destination(Protocol):
    """A place where records are shown.

    Methods that send raise `DeliveryError` and nothing else. `kind` is j (jobs) or c (client runs).
    """

    @property
    def name(self) -> str:
        """Its name in the ledger."""
        ...

    @property
    def most_rows(self) -> int:
        """How many rows one request may write."""
        ...

    def needs_refresh(self, *, asked: bool = False) -> bool:
        """Whether its schema is to be read before anything is sent (`asked`: a person waits for it)."""
        ...

    def refresh(self) -> None:
        """Read its schema. One request."""
        ...

    def doubt(self) -> None:
        """Read its schema again before anything else: a table or the whole base may be gone."""
        ...

    def accepts(self, kind: str) -> bool:
        """Whether rows of this kind can be delivered at all."""
        ...

    def cells(self, record: Record) -> Cells:
        """Return what a row is to show, without the fields that cannot be delivered."""
        ...

    def ending(self, delivery: Delivery, deadline_ns: int | None) -> NotesEnding:
        """Return what stands at the end of the row's System Notes."""
        ...

    def has_run_ids(self, kind: str) -> bool:
        """Whether rows can be looked up by run id."""
        ...

    def claims(self, kind: str) -> bool:
        """Whether a first upsert finds its own row again by the notes it wrote."""
        ...

    def read(self, kind: str, wanted: Sequence[Lookup]) -> list[Seen]:
        """Return the rows there that are wanted, several where a run id stands in several. One request."""
        ...

    def joined(
        self, record: Record, delivery: Delivery, cells: Cells, seen: Seen | None
    ) -> tuple[Cells, Cells | None]:
        """Return what a row is to show, and the shares of other ledgers in it; None: it is ours alone."""
        ...

    def tells(self, row: Seen, cells: Cells) -> bool:
        """Whether a row that several ledgers know tells of this one what `cells` do."""
        ...

    def is_others(self, row: Seen) -> bool:
        """Whether another ledger wrote the row last."""
        ...

    def is_closed(self, kind: str, row: Seen) -> bool:
        """Whether a row says that its run has ended, other than by a cancel, which may be a person's."""
        ...

    def looks(self, kind: str) -> bool:
        """Whether rows can be asked for by what somebody else did to them."""
        ...

    def touched(self, kind: str, run_ids: Sequence[str]) -> list[Seen]:
        """Return the client runs' rows of these jobs that a person or another ledger changed. One request."""
        ...

    def write(self, kind: str, rows: Sequence[Write]) -> list[Seen]:
        """Upsert rows; return them as they then stand there, in order. One request."""
        ...

    def learn(self, kind: str, error: DeliveryError, rows: Sequence[Write]) -> bool:
        """Take the lesson of a refusal; True if the same rows may now be sent again."""
        ...

    def owes(self, kind: str, run_id: str) -> bool:
        """Take note that a row was written; True if cells of it were held back and are to be tried now."""
        ...

    def abandoned(self, kind: str) -> list[Write]:
        """Return what closes the rows that other ledgers left Running and that may be closed. One request."""
        ...

    def whose(self, record: Record, delivery: Delivery, found: Sequence[Seen]) -> tuple[Whose, Seen | None]:
        """Judge whose a job's row is."""
        ...

    def comes_first(self, delivery: Delivery, found: Sequence[Seen]) -> bool:
        """Whether ours is the rightful one of the rows with the same run id."""
        ...

    def is_canceled(self, row: Seen) -> bool:
        """Whether the row's Status says Canceled."""
        ...

    def around_notes(self, there: str, ours: str) -> tuple[str, str]:
        """Return the text before and after our block in System Notes; `ours` is the block sent last."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
