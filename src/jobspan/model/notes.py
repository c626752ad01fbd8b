"""System Notes: the story of a run, rendered from its entries for a person to read.

Full dates in the configured zone; what started, each operation with counts, duration and tokens,
skips with their reasons, errors grouped, attempts, trouble. A failed step never shows a tick.
At most 8,000 characters; head and tail are kept (design, section 4).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import tzinfo

from jobspan.model.entry import Entry
from jobspan.model.numbers import Sums
from jobspan.model.part import Part, winners
from jobspan.model.record import dollars, instant
from jobspan.model.run import Run
from jobspan.model.settling import LAST_SEEN
from jobspan.model.status import Left, Status

NOTES_LIMIT = 8_000
ERROR_LIMIT = 2_000
_LISTED = 20
_TICK = {Status.COMPLETED: "✓", Status.COMPLETED_WITH_ERRORS: "!", Status.RUNNING: "…"}


def when(at_ns: int | None, zone: tzinfo) -> str:
    """Return an instant with its full date in `zone`, to the second."""
    moment = instant(at_ns)
    return "unknown time" if moment is None else moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def duration(start_ns: int | None, end_ns: int | None) -> str:
    """Return a duration a person reads at a glance."""
    if start_ns is None or end_ns is None:
        return ""
    seconds = max(0, end_ns - start_ns) / 1e9
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def failure_text(kind: str, message: str, at_ns: int | None, zone: tzinfo) -> str:
    """Return ``Type: message``, with the last sign of life of a vanished run filled in."""
    text = message.replace(LAST_SEEN, when(at_ns, zone))
    return clip(f"{kind}: {text}" if kind and text else kind or text, ERROR_LIMIT)


def clip(text: str, limit: int) -> str:
    """Return `text`, cut in its middle where it is too long, so that head and tail are kept."""
    if len(text) <= limit:
        return text
    mark = f"\n… {len(text) - limit:,} characters left out …\n"
    keep = limit - len(mark)
    return text[: keep - keep // 2] + mark + text[len(text) - keep // 2 :]


def numbers_text(counts: Sums, spend: Sums | None = None) -> str:
    """Return counts, tokens and cost in one line: ``43 posts, 120 leads, 1,200 tokens, $0.02``."""
    parts = [f"{value:,} {name}" for name, value in counts.items()]
    spend = spend or {}
    if "prompt" in spend or "completion" in spend:
        parts.append(f"{spend.get('prompt', 0) + spend.get('completion', 0):,} tokens")
    micro = sum(value for name, value in spend.items() if name == "llm_cost" or name.startswith("cost:"))
    if micro:
        parts.append(f"${dollars(micro)}")
    return ", ".join(parts)


def render_notes(
    run: Run,
    tops: Sequence[Part],
    operations: Sequence[Part],
    entries: Iterable[Entry],
    zone: tzinfo,
    *,
    extra: Sequence[str] = (),
    mark: str = "",
) -> str:
    """Render the notes of one run.

    Args:
        run: The job or client run.
        tops: Its parts, without operations.
        operations: The operations in it.
        entries: Its notes, skips and errors (a job's: also the errors of its client runs).
        zone: The zone instants are shown in.
        extra: More lines, put before the last one (delivery trouble).
        mark: The last line, if any, whole whatever the length.
    """
    chosen = (
        {part.uid for part in winners([part for part in tops if part.is_opened])[0]} if tops else set[str]()
    )
    known = list(entries)
    lines = [f"{when(run.start_ns, zone)}  started {_what(run)}"]
    lines += _operation_lines(operations, zone)
    lines += _entry_lines(known, zone)
    lines += [
        f"errors: {line}" for line in error_lines(e for e in known if e.run != run.uid or e.top in chosen)
    ]
    lines += _client_lines(run)
    if run.attempts > 1:
        lines.append(f"{run.attempts} attempts; results are the best one's, spend is of all")
    lines += _spend_lines(run)
    lines += _late_lines(tops)
    lines += _ending_lines(run, zone)
    lines += extra
    room = NOTES_LIMIT - (len(mark) + 1 if mark else 0)
    text = clip("\n".join(lines), room)
    return f"{text}\n{mark}" if mark else text


def _what(run: Run) -> str:
    return f"job {run.label}" if run.uid == run.job else f"client run {run.label}"


def _operation_lines(operations: Sequence[Part], zone: tzinfo) -> list[str]:
    ordered = sorted(operations, key=lambda part: (part.start_ns or 0, part.uid))
    if len(ordered) <= _LISTED:
        return [_operation_line(part, zone) for part in ordered]
    return _operation_summaries(ordered)


def _operation_line(part: Part, zone: tzinfo) -> str:
    status, end = part.status, part.end
    numbers = numbers_text(part.counters.values(), part.spend)
    text = f"{_TICK.get(status, '✗')} {part.label}: "
    text += "still running" if status is Status.RUNNING else status.value
    if end is not None:
        text += f" in {duration(part.start_ns, end.at_ns)}"
        if end.how not in (Left.OK, Left.WITH_ERRORS) and (end.type or end.message):
            text += f" — {failure_text(end.type, end.message, end.at_ns, zone)}"
    return f"{text} ({numbers})" if numbers else text


def _operation_summaries(operations: Sequence[Part]) -> list[str]:
    groups: dict[str, list[Part]] = {}
    for part in operations:
        groups.setdefault(part.label, []).append(part)
    lines: list[str] = []
    for name, parts in list(groups.items())[:_LISTED]:
        statuses = Counter(part.status for part in parts)
        tick = "✓" if set(statuses) == {Status.COMPLETED} else "!"
        counts: Sums = {}
        for part in parts:
            for counter, value in part.counters.values().items():
                counts[counter] = counts.get(counter, 0) + value
        tally = ", ".join(f"{n} {status.value}" for status, n in sorted(statuses.items()))
        numbers = numbers_text(counts)
        lines.append(f"{tick} {name} × {len(parts)}: {tally}" + (f" ({numbers})" if numbers else ""))
    if len(groups) > _LISTED:
        lines.append(f"and {len(groups) - _LISTED} more kinds of operation")
    return lines


def _entry_lines(entries: Sequence[Entry], zone: tzinfo) -> list[str]:
    ordered = sorted((e for e in entries if e.kind in ("note", "skip")), key=lambda entry: entry.stamp)
    lines: list[str] = []
    for entry in ordered:
        label = "skipped: " if entry.kind == "skip" else ""
        lines.append(f"{when(entry.stamp[0], zone)}  {label}{entry.data['text']}")
    return lines


def error_lines(entries: Iterable[Entry]) -> list[str]:
    """Return errors grouped by type and message, the most frequent first, with the first item named."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in sorted((e for e in entries if e.kind == "error"), key=lambda entry: entry.stamp):
        groups.setdefault((entry.data["type"], entry.data["message"]), []).append(entry)
    ordered = sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[1][0].stamp))
    lines: list[str] = []
    for (kind, message), found in ordered[:_LISTED]:
        item = next((entry.data["item"] for entry in found if entry.data["item"]), "")
        first = f" — first {item}" if item else ""
        lines.append(f"{len(found)} × {kind}: {clip(message, 300)}{first}")
    if len(ordered) > _LISTED:
        lines.append(f"and {len(ordered) - _LISTED} more kinds of error")
    return lines


def _client_lines(run: Run) -> list[str]:
    if run.uid != run.job or not any(run.clients.values()):
        return []
    tally = [f"{run.clients[status]} {status.value}" for status in Status if run.clients.get(status)]
    if run.clients.get("skipped"):
        tally.append(f"{run.clients['skipped']} skipped")
    return [f"client runs: {', '.join(tally)}"]


def _spend_lines(run: Run) -> list[str]:
    spend = run.spend
    if not spend:
        return []
    lines: list[str] = []
    if spend.get("calls"):
        text = f"{spend['calls']:,} LLM calls: {spend.get('prompt', 0):,} in"
        if spend.get("cached"):
            text += f" ({spend['cached']:,} cached)"
        text += f" + {spend.get('completion', 0):,} out"
        if spend.get("reasoning"):
            text += f" ({spend['reasoning']:,} reasoning)"
        if "llm_cost" in spend:
            text += f"; {'≥ ' if spend.get('unpriced') else ''}${dollars(spend['llm_cost'])}"
        lines.append(text)
    if spend.get("unmetered"):
        lines.append(f"{spend['unmetered']:,} calls reported no usage")
    for name, micro in sorted(spend.items()):
        if name.startswith("cost:"):
            lines.append(f"{name.removeprefix('cost:')} costs: ${dollars(micro)}")
    return lines


def _late_lines(tops: Sequence[Part]) -> list[str]:
    late = sum(1 for part in tops if part.end is not None and part.last_ns > part.end.at_ns)
    return ["numbers or notes arrived after the end and were kept"] if late else []


def _ending_lines(run: Run, zone: tzinfo) -> list[str]:
    if run.status is Status.RUNNING or run.end_ns is None:
        return []
    text = f"{when(run.end_ns, zone)}  {run.status.value} after {duration(run.start_ns, run.end_ns)}"
    if run.failure_type or run.failure:
        text += f" — {failure_text(run.failure_type, run.failure, run.end_ns, zone)}"
    return [text]
