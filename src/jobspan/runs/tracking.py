"""`JobTracking`: the procedural face, for code that has no block to wrap.

Any process that shares the ledger may call any method, by run id. Nothing here raises because tracking
could not do its work: the outcome says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal, TypeVar

from jobspan import _clock
from jobspan._guard import guard
from jobspan._runtime import Runtime, runtime
from jobspan.exceptions import LedgerError, UsageError
from jobspan.journal.identity import current as current_process
from jobspan.ledger.reading import LedgerReader
from jobspan.model.client_id import clean_client_id
from jobspan.model.columns import CLIENT_RUN_FIELDS, JOB_FIELDS, counter_of
from jobspan.model.counters import clean_count, clean_money
from jobspan.model.record import ClientRunRecord, JobRecord
from jobspan.model.run import client_run_uid
from jobspan.model.status import LEFT_BY_STATUS, Status, parse_status
from jobspan.model.text import clip, multi_line
from jobspan.runs.field import set_event
from jobspan.runs.option import Duration, name_of, refuse_unknown, seconds_of

Record = JobRecord | ClientRunRecord
T = TypeVar("T")

_MONEY = ("cost_usd", "apify_api_costs")
_READ_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class TrackingResult:
    """What a call of `JobTracking` came to; true iff it was done.

    Attributes:
        outcome: done; not_found: no such run, nothing was written; unavailable: the ledger could not
            be read, but what could be written was, and will be folded.
        run_id: The run's id.
        record: What the ledger says after the call; its status is the derived one.
    """

    outcome: Literal["done", "not_found", "unavailable"]
    run_id: str
    record: Record | None = None

    def __bool__(self) -> bool:
        return self.outcome == "done"


class JobTracking:
    """Creates, updates and completes jobs and client runs by run id.

    `fields` are the snake_case column names and *set* the value; ``add={"leads_processed": 40}`` adds.
    Runs made here belong to no process: they end when they are completed, or after `deadline`.

    Args:
        deadline: How long a run may stay open before it counts as Timed_out.

    Raises:
        UsageError: `deadline` is no duration. All methods raise it for an unknown field, a status that
            is none of the six words, or a job type that is no text.
    """

    def __init__(self, *, deadline: Duration = "24h") -> None:
        self._deadline_seconds = seconds_of(deadline, "deadline")
        self._writer = (0, "", count())

    def generate_run_id(self) -> str:
        """Return a run id that is nobody else's, claimed for you."""
        return runtime().new_run_id(_clock.now_ns())

    def create_job(self, run_id: str | None = None, *, job_type: str, **fields: Any) -> TrackingResult:
        """Create a job; one that exists is left as it is, and updated with `fields`.

        Args:
            run_id: From `generate_run_id`; None: a new one.
            job_type: The type of the job.
            **fields: Columns to set, and ``add=``.
        """
        name_of(job_type, "a job type")
        change = self._change(fields, JOB_FIELDS, "create_job()", completing=False)
        owner = runtime()
        run_id = _known_id(run_id) or self.generate_run_id()
        return self._act(
            owner, run_id, None, lambda uid: self._open_job(owner, uid, run_id, job_type, change)
        )

    def update_job(self, run_id: str, **fields: Any) -> TrackingResult:
        """Set columns of a job, or add to counters with ``add=``."""
        change = self._change(fields, JOB_FIELDS, "update_job()", completing=False)
        return self._change_existing(run_id, None, change, None)

    def complete_job(self, run_id: str, status: str | None = None, **fields: Any) -> TrackingResult:
        """End a job; `status` says how its own part was left, the derived status is in the record."""
        change = self._change(fields, JOB_FIELDS, "complete_job()", completing=True)
        return self._change_existing(run_id, None, change, _end_status(status))

    def create_client_run(self, run_id: str, client_id: str | int, **fields: Any) -> TrackingResult:
        """Create one client's share of the job `run_id`; one that exists is updated with `fields`."""
        change = self._change(fields, CLIENT_RUN_FIELDS, "create_client_run()", completing=False)
        client = clean_client_id(client_id).text
        owner = runtime()

        def write(job: str | None) -> bool:
            if job is None:
                return False
            uid = client_run_uid(job, client)
            self._open(owner, uid, {"kind": "c", "job": job, "name": client, "client": client})
            self._write_change(owner, _part_uid(uid), change)
            return True

        return self._act(owner, run_id, client, write)

    def update_client_run(self, run_id: str, client_id: str | int, **fields: Any) -> TrackingResult:
        """Set columns of a client run, or add to counters with ``add=``."""
        change = self._change(fields, CLIENT_RUN_FIELDS, "update_client_run()", completing=False)
        return self._change_existing(run_id, clean_client_id(client_id).text, change, None)

    def complete_client_run(
        self, run_id: str, client_id: str | int, status: str | None = None, **fields: Any
    ) -> TrackingResult:
        """End a client run; `status` says how it was left, the derived status is in the record."""
        change = self._change(fields, CLIENT_RUN_FIELDS, "complete_client_run()", completing=True)
        return self._change_existing(run_id, clean_client_id(client_id).text, change, _end_status(status))

    def get_job(self, run_id: str) -> JobRecord | None:
        """Return the record of a job; None if there is none, or the ledger cannot be read."""
        return _read(runtime(), lambda reader: reader.job(run_id))

    def get_client_run(self, run_id: str, client_id: str | int) -> ClientRunRecord | None:
        """Return the record of a client run; None if there is none, or the ledger cannot be read."""
        client = clean_client_id(client_id).text
        return _read(runtime(), lambda reader: reader.client_run(run_id, client))

    # --- how

    def _act(
        self, owner: Runtime, run_id: str, client: str | None, write: Callable[[str | None], bool]
    ) -> TrackingResult:
        """Find the job, have `write` write for it, and read what became of it."""
        if not owner.enabled:
            return TrackingResult("unavailable", run_id)
        try:
            with owner.reading(_READ_SECONDS) as reader:
                job = reader.job_uid(run_id)
        except LedgerError as error:
            guard.note("tracking", str(error))
            write(_job_uid(run_id))
            return TrackingResult("unavailable", run_id)
        if not write(job):
            return TrackingResult("not_found", run_id)
        record: Record | None = (
            self.get_job(run_id) if client is None else self.get_client_run(run_id, client)
        )
        shown = record.run_id if record is not None else run_id
        return TrackingResult("done" if record is not None else "unavailable", shown, record)

    def _change_existing(
        self, run_id: str, client: str | None, change: dict[str, Any], status: Status | None
    ) -> TrackingResult:
        owner = runtime()

        def write(job: str | None) -> bool:
            uid = None if job is None else job if client is None else client_run_uid(job, client)
            if job is None or uid is None or not _exists(owner, uid):
                return False
            opening: dict[str, Any] = {"kind": "j", "job": job, "name": ""}
            if client is not None:
                opening = {"kind": "c", "job": job, "name": client, "client": client}
            self._emit(owner, _part_uid(uid), {"e": "open", "free": 1, "passive": 1, **opening})
            self._write_change(owner, _part_uid(uid), change)
            if status is not None:
                self._emit(owner, _part_uid(uid), {"e": "close", "how": LEFT_BY_STATUS[status]})
            return True

        return self._act(owner, run_id, client, write)

    def _open_job(
        self, owner: Runtime, uid: str | None, run_id: str, job_type: str, change: dict[str, Any]
    ) -> bool:
        uid = uid or _job_uid(run_id)
        opening: dict[str, Any] = {"kind": "j", "job": uid, "name": job_type, "id": run_id}
        if owner.deliveries.destinations:
            opening["to"] = list(owner.deliveries.destinations)
        self._open(owner, uid, opening)
        self._write_change(owner, _part_uid(uid), change)
        return True

    def _open(self, owner: Runtime, uid: str, opening: Mapping[str, Any]) -> None:
        """Open the part of a run that is held from outside; a run that blocks made keeps its own life."""
        part = _part_uid(uid)
        is_made_by_blocks = _read(owner, lambda r: r.status(uid) is not None and not r.has_part(part))
        if is_made_by_blocks:
            self._emit(owner, part, {"e": "open", "free": 1, "passive": 1, **opening})
            return
        deadline = _clock.now_ns() + round(self._deadline_seconds * 1e9)
        self._emit(owner, part, {"e": "open", "free": 1, "deadline": deadline, **opening})

    def _write_change(self, owner: Runtime, part: str, change: dict[str, Any]) -> None:
        """Write what `_change` prepared; the instant of the call is the epoch of its counters."""
        epoch = _clock.now_ns()
        if change["set"]["c"] or change["set"]["f"]:
            self._emit(owner, part, {"e": "set", **change["set"], "x": epoch})
        if change["add"]:
            self._emit(owner, part, {"e": "add", "c": change["add"], "x": epoch})
        for note in change["notes"]:
            self._emit(owner, part, {"e": "note", "text": note})

    def _emit(self, owner: Runtime, part: str, event: Mapping[str, Any]) -> None:
        process = current_process()
        if self._writer[0] != process.pid:
            self._writer = (process.pid, f"{process.uid}.{id(self):x}.{_clock.now_ns():x}", count())
        stamp = {"w": self._writer[1], "q": next(self._writer[2]), "t": _clock.now_ns(), "p": part}
        owner.emit({**stamp, **event})

    def _change(
        self, fields: dict[str, Any], known: Mapping[str, Any], what: str, *, completing: bool
    ) -> dict[str, Any]:
        added = fields.pop("add", None) or {}
        names = [name for name in known if name != "status" or not completing]
        refuse_unknown(fields, [*names, "add"], what)
        if not isinstance(added, Mapping):
            raise UsageError(f'add={added!r}: give a mapping, say add={{"leads_processed": 40}}')
        pairs: Mapping[Any, Any] = added
        fields.pop("status", None)  # derived, never asserted
        owner = runtime()
        event, notes = set_event(fields, lambda value: owner.redact(multi_line(clip(str(value), 4_000))))
        clean: dict[str, int] = {}
        for name, value in pairs.items():
            number, reason = clean_money(value) if name in _MONEY else clean_count(value)
            if number is None:
                notes.append(f"{name} was left out: {reason}")
            else:
                clean[counter_of(str(name))] = number
        return {"set": event, "add": clean, "notes": notes}


def _job_uid(run_id: str) -> str:
    """Return the inside name of a job made here: the same from whatever process it is created."""
    return f"t{run_id}"


def _part_uid(uid: str) -> str:
    """Return the name of the one part that all calls for a run share."""
    return f"{uid}#tracking"


def _exists(owner: Runtime, uid: str) -> bool:
    return bool(_read(owner, lambda reader: reader.status(uid)))


def _known_id(run_id: str | None) -> str | None:
    if run_id is not None and (not isinstance(run_id, str) or not run_id.strip() or len(run_id) > 100):
        raise UsageError(f"run_id={run_id!r}: give a text from generate_run_id()")
    return run_id


def _end_status(status: str | None) -> Status:
    try:
        parsed = Status.COMPLETED if status is None else parse_status(status)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if parsed is Status.RUNNING:
        raise UsageError("a run cannot be completed as Running")
    return parsed


def _read(owner: Runtime, ask: Callable[[LedgerReader], T]) -> T | None:
    try:
        with owner.reading(_READ_SECONDS) as reader:
            return ask(reader)
    except LedgerError as error:
        guard.note("tracking", str(error))
        return None
