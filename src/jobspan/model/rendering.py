"""From the ledger's state to records: which number stands in which column."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any

from jobspan.model.columns import COUNTERS, SPECIAL_COUNTERS
from jobspan.model.entry import Entry
from jobspan.model.notes import ERROR_LIMIT, error_text, failure_text, render_notes
from jobspan.model.numbers import Sums
from jobspan.model.part import Part
from jobspan.model.record import ClientRunRecord, JobRecord, OperationRecord, dollars, instant
from jobspan.model.run import Run
from jobspan.model.spending import cost_of, summary_of
from jobspan.model.status import Status
from jobspan.model.text import clip
from jobspan.model.usage.number import plain


@dataclass(frozen=True, slots=True)
class NotesEnding:
    """What a destination wants at the end of System Notes: lines of its own, and a mark as the last one."""

    lines: tuple[str, ...] = ()
    mark: str = ""


NOTHING_MORE = NotesEnding()


def operation_record(part: Part) -> OperationRecord:
    """Return the record of one operation."""
    return OperationRecord(
        name=part.label,
        status=part.status,
        start_time=instant(part.start_ns),
        end_time=instant(part.end.at_ns) if part.end is not None else None,
        counts=_shown_counts(part.counters.values()),
        errors=part.total_errors,
    )


def client_run_record(
    run: Run,
    job: Run,
    tops: Sequence[Part],
    operations: Sequence[Part],
    entries: Sequence[Entry],
    zone: tzinfo,
    ending: NotesEnding = NOTHING_MORE,
) -> ClientRunRecord:
    """Return the record of one client run; a skipped one has blank numbers."""
    tokens = _tokens(run)
    counts = {} if run.skipped else run.counts
    return ClientRunRecord(
        run_id=f"{job.run_id or job.uid}-{run.label}",
        job_run_id=job.run_id or job.uid,
        client_id=run.label,
        status=run.status,
        start_time=_instant_field(run, "start_time", run.start_ns),
        end_time=_instant_field(run, "end_time", run.end_ns),
        posts_processed=counts.get("posts"),
        leads_processed=counts.get("leads"),
        errors=None if run.skipped else run.errors,
        system_notes=render_notes(run, tops, operations, entries, zone, extra=ending.lines, mark=ending.mark),
        token_usage=counts.get("token_usage", tokens["total"]),
        prompt_tokens=tokens["prompt"],
        completion_tokens=tokens["completion"],
        total_tokens=tokens["total"],
        apify_api_costs=dollars(_sum(run.spend.get("cost:apify"), run.counts.get("apify_api_costs"))),
        cost_usd=_cost(run),
        counts=_shown_counts(counts),
        attempts=run.attempts,
        operations=tuple(operation_record(part) for part in operations),
        usage=summary_of(run.spend),
    )


def job_record(
    job: Run,
    tops: Sequence[Part],
    operations: Sequence[Part],
    entries: Sequence[Entry],
    client_runs: Iterable[ClientRunRecord],
    zone: tzinfo,
    ending: NotesEnding | None = NOTHING_MORE,
) -> JobRecord:
    """Return the record of one job. `entries` hold the job's own and the errors of its client runs.

    Without an `ending` its System Notes are left empty.
    """
    tokens = _tokens(job)
    notes = ""
    if ending is not None:
        notes = render_notes(job, tops, operations, entries, zone, extra=ending.lines, mark=ending.mark)
    processed = [job.counts[name] for name in ("posts", "leads", "items") if name in job.counts]
    return JobRecord(
        run_id=job.run_id or job.uid,
        job_type=job.label,
        status=job.status,
        start_time=_instant_field(job, "start_time", job.start_ns),
        end_time=_instant_field(job, "end_time", job.end_ns),
        items_processed=sum(processed) if processed else None,
        errors=job.errors,
        error=_error_text(job, entries, zone),
        system_notes=notes,
        apify_run_id=_apify_run_id(job),
        prompt_tokens=tokens["prompt"],
        completion_tokens=tokens["completion"],
        total_tokens=tokens["total"],
        cost_usd=_cost(job),
        client_runs=tuple(client_runs),
    )


def _apify_run_id(job: Run) -> str | None:
    """Return what was set, else the runs that were booked, in the order they came."""
    held = job.fields.get("apify_run_id")
    if held is not None:
        return str(held[2])
    booked = [value for name, value in job.fields.items() if name.startswith("apify_run_id:")]
    ids = [str(value) for _, _, value in sorted(booked, key=lambda value: value[1])]
    return clip(", ".join(ids), ERROR_LIMIT) if ids else None


def _tokens(run: Run) -> dict[str, int | None]:
    """Return prompt, completion and total; the total is always their sum where either is known."""
    prompt = _sum(run.spend.get("prompt"), run.counts.get("prompt_tokens"))
    completion = _sum(run.spend.get("completion"), run.counts.get("completion_tokens"))
    total = _sum(prompt, completion)
    return {
        "prompt": prompt,
        "completion": completion,
        "total": run.counts.get("total_tokens") if total is None else total,
    }


def _cost(run: Run) -> Decimal | None:
    set_by_hand = [run.counts[name] for name in ("cost_usd", "apify_api_costs") if name in run.counts]
    by_hand = dollars(sum(set_by_hand)) if set_by_hand else None
    known = cost_of(run.spend)
    return by_hand if known is None else plain(known + by_hand) if by_hand is not None else known


def _sum(*values: int | None) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _shown_counts(counts: Sums) -> Sums:
    return {name: value for name, value in sorted(counts.items()) if name not in SPECIAL_COUNTERS}


def _instant_field(run: Run, name: str, derived_ns: int | None) -> datetime | None:
    held = run.fields.get(name)
    if held is None or (name == "end_time" and not run.status.is_terminal):
        return instant(derived_ns)
    return _parse_instant(held[2]) or instant(derived_ns)


def _parse_instant(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _error_text(job: Run, entries: Sequence[Entry], zone: tzinfo) -> str | None:
    """Return the exception that ended the job, else the most frequent error with its count."""
    held = job.fields.get("error")
    if held is not None and held[2]:
        return clip(str(held[2]), ERROR_LIMIT)
    if job.status is Status.RUNNING:
        return None
    if job.failure_type or job.failure:
        return failure_text(job.failure_type, job.failure, job.failure_ns, zone)
    texts = Counter(error_text(e.data["type"], e.data["message"]) for e in entries if e.kind == "error")
    if not texts:
        return None
    text, count = min(texts.items(), key=lambda pair: (-pair[1], pair[0]))
    return clip(text if count == 1 else f"{count} × {text}", ERROR_LIMIT)


__all__ = ["COUNTERS", "client_run_record", "job_record", "operation_record"]
