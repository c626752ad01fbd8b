"""Rows of the ledger to parts, runs and entries, and back. Defaults are left out of the JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from jobspan.model.entry import Entry
from jobspan.model.event import Event
from jobspan.model.numbers import Counters, Seen, Stamp, Sums
from jobspan.model.part import NEVER, Ending, Part
from jobspan.model.run import Run
from jobspan.model.settled import Settled
from jobspan.model.status import Left, Status
from jobspan.model.telling import ToldPart
from jobspan.model.workspace import BookedCall, Process

Row = tuple[Any, ...]

_PART_PLAIN = (
    "top",
    "free",
    "passive",
    "label",
    "name",
    "errors",
    "spend",
    "skipped",
    "items",
    "last_ns",
    "stashed",
    "is_overdue",
    "below",
    "below_errors",
    "operations",
    "given",
    "given_errors",
    "given_status",
    "of",
    "delivery",
    "retry_of",
    "expected",
    "met",
    "lane",
)
_RUN_PLAIN = (
    "scope",
    "counts",
    "errors",
    "spend",
    "skipped",
    "failure_type",
    "failure",
    "failure_ns",
    "repeated",
    "item_parts",
    "clients",
    "client_counts",
    "client_names",
    "client_errors",
    "client_end_ns",
    "parts",
    "client_parts",
    "shared",
    "facts",
    "facts_new",
    "loose",
)
_PART_NAMES, _RUN_NAMES = frozenset(_PART_PLAIN), frozenset(_RUN_PLAIN)


_dump = json.JSONEncoder(separators=(",", ":")).encode  # `json.dumps` makes an encoder each time


def _ending_row(ending: Ending) -> list[Any]:
    return [ending.how, ending.at_ns, ending.type, ending.message, ending.stamp, ending.lane]


def _ending(row: list[Any]) -> Ending:
    how, at_ns, kind, message, stamp, lane = row
    return Ending(Left(how), at_ns, kind, message, _stamp(stamp), lane)


def _stamp(row: Sequence[Any]) -> Stamp:
    return (row[0], row[1], row[2])


def _fields(data: dict[str, Any]) -> dict[str, Any]:
    return {name: (e, _stamp(s), value) for name, (e, s, value) in data.items()}


def _settled_value(run: Run) -> Any:
    """Return what settled parts add up to, short where it is all that the run has."""
    settled = run.settled
    if settled.counts != run.counts or (settled.start_ns, settled.end_ns) != (run.start_ns, run.end_ns):
        return [settled.parts, settled.names, settled.counts, settled.start_ns, settled.end_ns]
    if all(parts == settled.parts for parts in settled.names.values()):
        return settled.parts
    return [settled.parts, settled.names]


def _settled(value: Any, run: Run) -> Settled:
    if isinstance(value, int):
        names = dict.fromkeys(run.counts, value)
        return Settled(value, dict(run.counts), names, run.start_ns or 0, run.end_ns or 0)
    if len(value) == 2:
        return Settled(value[0], dict(run.counts), value[1], run.start_ns or 0, run.end_ns or 0)
    parts, names, counts, start_ns, end_ns = value
    return Settled(parts, counts, names, start_ns, end_ns)


def part_row(part: Part) -> Row:
    """Return the row of a part."""
    data: dict[str, Any] = {name: value for name in _PART_PLAIN if (value := getattr(part, name))}
    if part.attempt != 1:
        data["attempt"] = part.attempt
    counters = part.counters
    if counters.later or counters.settings:
        data["counters"] = counters.to_json()
    elif counters.base:
        data["base"] = counters.base
    if part.fields:
        data["fields"] = part.fields
    if part.ending is not None:
        data["ending"] = _ending_row(part.ending)
    if part.inferred is not None:
        data["inferred"] = _ending_row(part.inferred)
    if part.opened != NEVER:
        data["opened"] = part.opened
    if part.is_detached:
        data["detached"] = part.detached
    if part.to:
        data["to"] = part.to
    data["seen"] = part.seen.to_text()
    return (
        part.uid,
        part.kind,
        part.run,
        part.job,
        part.parent,
        part.process,
        1 if part.ending is not None else 2 if part.inferred is not None else 0,
        part.start_ns,
        part.deadline_ns,
        _dump(data),
        int(part.settled),
    )


def read_part(row: Row) -> Part:
    """Return the part of a row of `queries.PARTS`."""
    uid, kind, run, job, parent, process, start_ns, deadline_ns, text, settled = row
    data: Any = json.loads(text)
    part = Part(
        uid,
        kind,
        run=run,
        job=job,
        parent=parent,
        process=process,
        start_ns=start_ns,
        deadline_ns=deadline_ns,
        settled=bool(settled),
    )
    if text[0] == "[":
        _take_brief(part, data)
        return part
    for name in data.keys() & _PART_NAMES:
        setattr(part, name, data[name])
    part.attempt = data.get("attempt", 1)
    if "counters" in data:
        part.counters = Counters.from_json(data["counters"])
    elif "base" in data:
        part.counters.base = data["base"]
    part.fields = _fields(data.get("fields", {}))
    part.ending = _ending(data["ending"]) if "ending" in data else None
    part.inferred = _ending(data["inferred"]) if "inferred" in data else None
    part.opened = _stamp(data.get("opened", NEVER))
    part.detached = _stamp(data.get("detached", NEVER))
    part.to = tuple(data.get("to", ()))
    part.seen = Seen.from_text(data["seen"])
    return part


def told_data(part: ToldPart, spend: Sums | None = None) -> str:
    """Return the data of a part told whole. What follows from the rest of the row is left out."""
    more = f',"{part.name}"' if part.name or spend else ""
    if spend:
        more += f",{_dump(spend)}"
    return (
        f'["{part.label}",{part.lane},{part.last_ns},{part.end_ns},{part.end_lane},{part.events}'
        f",{part.counts or '{}'}{more}]"
    )


def told_run_data(part: ToldPart, spend: Sums | None = None) -> str:
    """Return the data of a client run of one part told whole, which has spent so much on calls."""
    first = f'"counts":{part.counts},' if part.counts else ""
    more = f',"settled_name":"{part.name}"' if part.name else ""
    if part.usages:
        more += f',"spend":{_dump(spend or {})},"facts":{len(part.usages)}'
    return f'{{{first}"parts":1,"shared":true,"settled":1{more}}}'


def _take_brief(part: Part, data: list[Any]) -> None:
    part.label, part.lane, part.last_ns, end_ns, end_lane, events, part.counters.base, *more = data
    part.name = more[0] if more else ""
    part.spend = more[1] if len(more) > 1 else {}
    part.top = part.uid
    part.opened = (part.start_ns or 0, part.uid, 0)
    part.ending = Ending(Left.OK, end_ns, stamp=(end_ns, part.uid, events - 1), lane=end_lane)
    part.seen = Seen(events)


def run_row(run: Run, version: int) -> Row:
    """Return the row of a run."""
    data: dict[str, Any] = {name: value for name in _RUN_PLAIN if (value := getattr(run, name))}
    if run.attempts != 1:
        data["attempts"] = run.attempts
    if run.fields:
        data["fields"] = run.fields
    if run.destinations:
        data["to"] = run.destinations
    if run.settled.parts:
        data["settled"] = _settled_value(run)
    if run.settled.name:
        data["settled_name"] = run.settled.name
    return (
        run.uid,
        run.kind,
        run.job,
        run.label,
        run.run_id,
        run.status.value,
        run.start_ns,
        run.end_ns,
        _dump(data),
        version,
        run.scope,
    )


def read_run(row: Row) -> Run:
    """Return the run of a row of `queries.RUNS`."""
    uid, kind, job, label, run_id, status, start_ns, end_ns, text = row
    data: dict[str, Any] = json.loads(text)
    run = Run(uid, kind, job, label, run_id, start_ns=start_ns, end_ns=end_ns, status=Status(status))
    for name in data.keys() & _RUN_NAMES:
        setattr(run, name, data[name])
    run.attempts = data.get("attempts", 1)
    run.fields = _fields(data.get("fields", {}))
    run.destinations = tuple(data.get("to", ()))
    if "settled" in data:
        run.settled = _settled(data["settled"], run)
        run.settled.name = data.get("settled_name", "")
    return run


def entry_row(entry: Entry) -> Row:
    """Return the row of an entry."""
    at_ns, writer, seq = entry.stamp
    place = (entry.kind, entry.part, entry.top, entry.run, entry.job)
    return (*place, at_ns, writer, seq, _dump(entry.data), entry.source, entry.key)


def read_entry(row: Row) -> Entry:
    """Return the entry of a row of `queries.KEYED` and its like."""
    kind, part, top, run, job, at_ns, writer, seq, text, source, key = row
    return Entry(kind, part, top, run, job, (at_ns, writer, seq), json.loads(text), source, key)


def call_row(call: BookedCall) -> Row:
    """Return the row of a call."""
    names = (call.run, call.job, call.part, call.id, call.at_ns, call.speaker, call.model, call.provider)
    return (*names, _dump(call.sums))


def read_call(row: Row) -> BookedCall:
    """Return the call of a row of `queries.CALLS` and its like."""
    run, job, part, id, at_ns, speaker, model, provider, sums = row
    return BookedCall(run, job, part, id, at_ns, speaker, model, provider, json.loads(sums))


def stash_row(part: str, event: Event) -> Row:
    """Return the row of an event that waits for its part: an entry of no job, under the part's name."""
    return ("stash", part, "", part, "", event["t"], event["w"], event["q"], _dump(dict(event)), "", None)


def process_row(process: Process) -> Row:
    """Return the row of a process."""
    return (process.uid, _dump(process.about), process.last_ns, process.gone_ns)


def read_process(row: Row) -> Process:
    """Return the process of a row."""
    uid, about, last_ns, gone_ns = row
    return Process(uid, json.loads(about), last_ns, gone_ns)
