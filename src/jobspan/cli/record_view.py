"""One job or one client run as a page of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import tzinfo

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from jobspan.cli import words
from jobspan.cli.columns import Column
from jobspan.cli.table import Cell, heading, pairs, show, status_text, table
from jobspan.model.record import ClientRunRecord, JobRecord, OperationRecord, UsageRow
from jobspan.model.status import Status
from jobspan.model.text import multi_line

_UNFINISHED = (Status.FAILED, Status.CANCELED, Status.TIMED_OUT)


def show_job(job: JobRecord, usage: Sequence[UsageRow], zone: tzinfo) -> None:
    """Print a job: its numbers, client runs, operations and notes.

    Args:
        job: The job.
        usage: Its usage by client, for telling where a cost is only a lower bound.
        zone: Instants are shown in it.
    """
    unpriced = {row.name: row.unpriced_calls for row in usage}
    facts: list[tuple[str, Cell]] = [
        ("Type", job.job_type),
        ("Status", status_text(job.status)),
        *_times(job, zone),
        ("Items", words.number(job.items_processed)),
        ("Errors", words.number(job.errors)),
        ("Error", job.error or ""),
        ("Tokens", _tokens(job)),
        ("Cost", _cost(job, sum(unpriced.values()))),
        ("Apify runs", job.apify_run_id or ""),
        ("Go on", f"JOBSPAN_RESUME={job.run_id} python …" if job.status in _UNFINISHED else ""),
    ]
    parts: list[RenderableType] = [Text(f"Job {job.run_id}", style="bold"), pairs(facts)]
    if job.client_runs:
        statuses = Counter(run.status.value for run in job.client_runs)
        parts += [heading(f"Client runs ({words.tally(statuses)})"), _client_runs(job.client_runs, unpriced)]
    operations = [each for run in job.client_runs for each in run.operations]
    if operations:
        parts += [heading("Operations of client runs"), _operations_by_name(operations)]
    show(*parts, *_notes(job.system_notes))


def show_client_run(run: ClientRunRecord, usage: Sequence[UsageRow], zone: tzinfo) -> None:
    """Print a client run: its numbers, operations and notes; the arguments are as for `show_job`."""
    unpriced = next((row.unpriced_calls for row in usage if row.name == run.client_id), 0)
    apify = run.apify_api_costs
    facts: list[tuple[str, Cell]] = [
        ("Client ID", run.client_id),
        ("Job", run.job_run_id),
        ("Status", status_text(run.status)),
        *_times(run, zone),
        ("Posts", words.number(run.posts_processed)),
        ("Leads", words.number(run.leads_processed)),
        ("Counts", words.counts(_others(run.counts)) if _others(run.counts) else ""),
        ("Errors", words.number(run.errors)),
        ("Attempts", words.number(run.attempts) if run.attempts > 1 else ""),
        ("Tokens", _tokens(run)),
        ("Cost", _cost(run, unpriced)),
        ("Apify costs", "" if apify is None else words.money(apify)),
    ]
    parts: list[RenderableType] = [Text(f"Client run {run.run_id}", style="bold"), pairs(facts)]
    if run.operations:
        parts += [heading("Operations"), _operations(run.operations, zone)]
    show(*parts, *_notes(run.system_notes))


def _times(record: JobRecord | ClientRunRecord, zone: tzinfo) -> list[tuple[str, Cell]]:
    ended = words.moment(record.end_time, zone)
    if record.end_time is not None:
        ended += f"  (took {words.took(record.start_time, record.end_time)})"
    return [("Started", f"{words.moment(record.start_time, zone)} {zone}"), ("Ended", ended)]


def _tokens(record: JobRecord | ClientRunRecord) -> str:
    if record.prompt_tokens is None and record.completion_tokens is None:
        return words.number(record.total_tokens)
    total, prompt = words.number(record.total_tokens), words.number(record.prompt_tokens)
    return f"{total}  ({prompt} prompt + {words.number(record.completion_tokens)} completion)"


def _cost(record: JobRecord | ClientRunRecord, unpriced: int) -> str:
    text = words.money(record.cost_usd, unpriced)
    return f"{text}  ({unpriced:,} calls without a price)" if unpriced else text


def _others(counts: dict[str, int]) -> dict[str, int]:
    return {name: value for name, value in counts.items() if name not in ("posts", "leads")}


def _client_runs(runs: Sequence[ClientRunRecord], unpriced: dict[str, int]) -> Table:
    columns = [
        Column("Client ID", wraps=True),
        Column("Status"),
        Column("Took", numeric=True),
        Column("Posts", numeric=True),
        Column("Leads", numeric=True),
        Column("Errors", numeric=True),
        Column("Tokens", numeric=True),
        Column("Cost", numeric=True),
    ]
    rows: list[list[Cell]] = [
        [
            run.client_id,
            status_text(run.status),
            words.took(run.start_time, run.end_time),
            words.number(run.posts_processed),
            words.number(run.leads_processed),
            words.number(run.errors),
            words.number(run.total_tokens),
            words.money(run.cost_usd, unpriced.get(run.client_id, 0)),
        ]
        for run in runs
    ]
    return table(columns, rows)


def _operations(operations: Sequence[OperationRecord], zone: tzinfo) -> Table:
    columns = [
        Column("Operation", wraps=True),
        Column("Status"),
        Column(f"Started ({zone})"),
        Column("Took", numeric=True),
        Column("Errors", numeric=True),
        Column("Counts", wraps=True),
    ]
    rows: list[list[Cell]] = [
        [
            each.name,
            status_text(each.status),
            words.moment(each.start_time, zone),
            words.took(each.start_time, each.end_time),
            words.number(each.errors),
            words.counts(each.counts),
        ]
        for each in operations
    ]
    return table(columns, rows)


def _operations_by_name(operations: Sequence[OperationRecord]) -> Table:
    groups: dict[str, list[OperationRecord]] = {}
    for each in operations:
        groups.setdefault(each.name, []).append(each)
    columns = [
        Column("Operation", wraps=True),
        Column("Times", wraps=True),
        Column("Errors", numeric=True),
        Column("Counts", wraps=True),
    ]
    rows: list[list[Cell]] = []
    for name, found in groups.items():
        counts: Counter[str] = Counter()
        for each in found:
            counts.update(each.counts)
        statuses = Counter(each.status.value for each in found)
        errors = sum(each.errors for each in found)
        rows.append([name, words.tally(statuses), words.number(errors), words.counts(counts)])
    return table(columns, rows)


def _notes(notes: str) -> list[RenderableType]:
    return [heading("System notes"), Text(multi_line(notes))] if notes else []
