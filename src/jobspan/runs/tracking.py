"""`JobTracking`: the procedural face, for code that has no block to wrap.

Any process that shares the ledger may call any method, by run id. Nothing here raises because tracking
could not do its work: the outcome says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal, TypeVar

from jobspan import _clock
from jobspan._composition import Runtime
from jobspan._guard import guard, guarded
from jobspan._runtime import runtime
from jobspan.exceptions import LedgerError, UsageError
from jobspan.journal.identity import current as current_process
from jobspan.ledger.reading import LedgerReader
from jobspan.model.columns import CLIENT_RUN_FIELDS, JOB_FIELDS, counter_of
from jobspan.model.counters import clean_count, clean_money
from jobspan.model.record import ClientRunRecord, JobRecord
from jobspan.model.run import client_run_uid
from jobspan.model.status import LEFT_BY_STATUS, Status, parse_status
from jobspan.model.text import clip, one_line
from jobspan.runs.field import set_event
from jobspan.runs.naming import client_of, name_text, said, text_of
from jobspan.runs.option import Duration, name_of, refuse_unknown, seconds_of

Record = JobRecord | ClientRunRecord
T = TypeVar("T")

_Writer = tuple[int, str, Callable[[], int]]

_MONEY = ("cost_usd", "apify_api_costs")
_READ_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class TrackingResult:
    """What a call of `JobTracking` came to; true iff it was done.

    Attributes:
        outcome: done; not_found: no such run, nothing was written; unavailable: the ledger could not
            be read. Then `create_job` has written its job all the same, to be folded later; of any other
            call nothing is kept: call again.
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
        self._writer: _Writer = (0, "", count().__next__)

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
        known = self.generate_run_id() if run_id is None else _known_id(run_id)
        name = name_text(owner, job_type)

        def write(found: _Found) -> bool:
            uid = found.job or _job_uid(known)
            opening: dict[str, Any] = {"kind": "j", "job": uid, "name": name, "id": known}
            if owner.deliveries.destinations:
                opening["to"] = list(owner.deliveries.destinations)
            self._open(owner, found, uid, opening, change)
            return True

        return self._act(owner, known, None, write, creates=True)

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
        owner = runtime()
        client = client_of(owner, client_id).text

        def write(found: _Found) -> bool:
            if found.job is None:
                return False
            opening = {"kind": "c", "job": found.job, "name": client, "client": client}
            self._open(owner, found, client_run_uid(found.job, client), opening, change)
            return True

        return self._act(owner, run_id, client, write)

    def update_client_run(self, run_id: str, client_id: str | int, **fields: Any) -> TrackingResult:
        """Set columns of a client run, or add to counters with ``add=``."""
        change = self._change(fields, CLIENT_RUN_FIELDS, "update_client_run()", completing=False)
        return self._change_existing(run_id, client_of(runtime(), client_id).text, change, None)

    def complete_client_run(
        self, run_id: str, client_id: str | int, status: str | None = None, **fields: Any
    ) -> TrackingResult:
        """End a client run; `status` says how it was left, the derived status is in the record."""
        change = self._change(fields, CLIENT_RUN_FIELDS, "complete_client_run()", completing=True)
        return self._change_existing(
            run_id, client_of(runtime(), client_id).text, change, _end_status(status)
        )

    def get_job(self, run_id: str) -> JobRecord | None:
        """Return the record of a job; None if there is none, or the ledger cannot be read."""
        known = _known_id(run_id)
        return _read(runtime(), lambda reader: reader.job(known), _READ_SECONDS)

    def get_client_run(self, run_id: str, client_id: str | int) -> ClientRunRecord | None:
        """Return the record of a client run; None if there is none, or the ledger cannot be read."""
        known, owner = _known_id(run_id), runtime()
        client = client_of(owner, client_id).text
        return _read(owner, lambda reader: reader.client_run(known, client), _READ_SECONDS)

    # --- how

    def _act(
        self,
        owner: Runtime,
        run_id: str,
        client: str | None,
        write: Callable[[_Found], bool],
        *,
        creates: bool = False,
    ) -> TrackingResult:
        """Find the run, have `write` write for it, and read what became of it; all in about 2 s."""
        run_id = _known_id(run_id)
        if not owner.enabled:
            return TrackingResult("unavailable", run_id)
        until = _clock.monotonic() + _READ_SECONDS
        found = _read(owner, lambda reader: _find(reader, run_id, client), _READ_SECONDS)
        with guarded("tracking"):
            if found is None:
                if creates:  # the same again changes nothing, so it can be written unseen
                    write(_Found(None, False, False))
                return TrackingResult("unavailable", run_id)
            if not write(found):
                return TrackingResult("not_found", run_id)
            left = max(0.1, until - _clock.monotonic())
            record = _read(owner, lambda reader: _record(reader, run_id, client), left)
            if record is not None:
                return TrackingResult("done", record.run_id, record)
        return TrackingResult("unavailable", run_id)

    def _change_existing(
        self, run_id: str, client: str | None, change: dict[str, Any], status: Status | None
    ) -> TrackingResult:
        owner = runtime()

        def write(found: _Found) -> bool:
            job = found.job
            if job is None or not found.exists:
                return False
            opening: dict[str, Any] = {"kind": "j", "job": job, "name": ""}
            uid = job
            if client is not None:
                opening = {"kind": "c", "job": job, "name": client, "client": client}
                uid = client_run_uid(job, client)
            part = _part_uid(uid) if found.is_tracked else _guest_uid(uid)
            self._emit(owner, part, {"e": "open", "free": 1, "passive": 1, **opening})
            self._write_change(owner, part, change)
            if status is not None:
                self._emit(owner, part, {"e": "close", "how": LEFT_BY_STATUS[status]})
            return True

        return self._act(owner, run_id, client, write)

    def _open(
        self,
        owner: Runtime,
        found: _Found,
        uid: str,
        opening: Mapping[str, Any],
        change: dict[str, Any],
    ) -> None:
        """Open the part of a run that is held from outside; a run that blocks made keeps its own life."""
        event = {"e": "open", "free": 1, **opening}
        part = _part_uid(uid)
        if found.exists and not found.is_tracked:
            part, event["passive"] = _guest_uid(uid), 1
        else:
            event["deadline"] = _clock.now_ns() + round(self._deadline_seconds * 1e9)
        self._emit(owner, part, event)
        self._write_change(owner, part, change)

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
        pid, writer, next_number = self._writer
        if pid != os.getpid():
            pid, writer, next_number = self._writer = _new_writer()
        owner.emit({"w": writer, "q": next_number(), "t": _clock.now_ns(), "p": part, **event})

    def _change(
        self, fields: dict[str, Any], known: Mapping[str, Any], what: str, *, completing: bool
    ) -> dict[str, Any]:
        added = fields.pop("add", None)
        names = [name for name in known if name != "status" or not completing]
        refuse_unknown(fields, [*names, "add"], what)
        asserted = fields.pop("status", None)  # derived, never asserted; a wrong word is told all the same
        if asserted is not None:
            _status_of(asserted)
        owner = runtime()
        event, notes = set_event(fields, lambda value: text_of(owner, value))
        clean: dict[str, int] = {}
        for name, value in _counters(added, known).items():
            number, reason = clean_money(value) if name in _MONEY else clean_count(value)
            if number is None:
                notes.append(f"{name} was left out: {reason}")
            else:
                clean[counter_of(name)] = number
        return {"set": event, "add": clean, "notes": [text_of(owner, note) for note in notes]}


@dataclass(frozen=True, slots=True)
class _Found:
    """What the ledger knows: the job's inside name, whether the run is there, and was made from outside."""

    job: str | None
    exists: bool
    is_tracked: bool


def _find(reader: LedgerReader, run_id: str, client: str | None) -> _Found:
    job = reader.job_uid(run_id)
    if job is None:
        return _Found(None, False, False)
    uid = job if client is None else client_run_uid(job, client)
    return _Found(job, reader.status(uid) is not None, reader.has_part(_part_uid(uid)))


def _record(reader: LedgerReader, run_id: str, client: str | None) -> Record | None:
    return reader.job(run_id) if client is None else reader.client_run(run_id, client)


def _new_writer() -> _Writer:
    return os.getpid(), f"{current_process().uid}.{os.urandom(6).hex()}", count().__next__


def _counters(added: object, known: Mapping[str, Any]) -> dict[str, Any]:
    if added is None:
        return {}
    if not isinstance(added, Mapping):
        raise UsageError(f'add={added!r}: give a mapping, say add={{"leads_processed": 40}}')
    pairs: dict[Any, Any] = dict(added)  # pyright: ignore[reportUnknownArgumentType] - checked below
    for name in pairs:
        if not isinstance(name, str) or known.get(name) not in (None, "count", "money"):
            raise UsageError(f"add={{{name!r}: …}}: only numbers can be added to")
    return pairs


def _job_uid(run_id: str) -> str:
    """Return the inside name of a job made here: the same from whatever process it is created."""
    return f"t{run_id}"


def _part_uid(uid: str) -> str:
    """Return the name of the one part that all calls for a run share."""
    return f"{uid}#tracking"


def _guest_uid(uid: str) -> str:
    """Return the name of the part that holds what calls say of a run that blocks made."""
    return f"{uid}#calls"


def _known_id(run_id: object) -> str:
    if not isinstance(run_id, str) or not run_id.strip() or len(run_id) > 100 or one_line(run_id) != run_id:
        raise UsageError(f"run_id={clip(one_line(said(run_id)), 120)!r}: give a text from generate_run_id()")
    return run_id


def _status_of(status: object) -> Status:
    try:
        return parse_status(status if isinstance(status, str) else said(status))
    except ValueError as error:
        raise UsageError(str(error)) from None


def _end_status(status: str | None) -> Status:
    parsed = Status.COMPLETED if status is None else _status_of(status)
    if parsed is Status.RUNNING:
        raise UsageError("a run cannot be completed as Running")
    return parsed


def _read(owner: Runtime, ask: Callable[[LedgerReader], T], seconds: float) -> T | None:
    """Return what the ledger answers; None where it cannot be read, and `health()` knows."""
    with guarded("tracking"):
        try:
            with owner.reading(seconds) as reader:
                return ask(reader)
        except LedgerError as error:
            guard.note("tracking", str(error))
    return None
