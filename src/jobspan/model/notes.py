"""System Notes: the story of a run, rendered from its entries for a person to read.

Full dates in the configured zone; what started, each operation with counts, duration and tokens,
skips with their reasons, errors grouped, attempts, trouble. A failed step never shows a tick.
At most 8,000 characters; head and tail are kept (design, section 4).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import tzinfo

from jobspan.model.columns import SPECIAL_COUNTERS
from jobspan.model.counters import money_text
from jobspan.model.entry import Entry
from jobspan.model.numbers import Sums, add_sums
from jobspan.model.part import Part, winners
from jobspan.model.record import instant
from jobspan.model.run import Run
from jobspan.model.settling import LAST_SEEN
from jobspan.model.spending import cost_of, summary_of
from jobspan.model.status import Status
from jobspan.model.text import clip, multi_line, one_line
from jobspan.model.usage.summary import usage_line

NOTES_LIMIT = 8_000
ERROR_LIMIT = 2_000
_EXTRA_LIMIT = 3_000
_LISTED = 20
_UNWELL = (Status.FAILED, Status.TIMED_OUT, Status.CANCELED)
_LINE_LIMIT = 300
_TICK = {Status.COMPLETED: "✓", Status.COMPLETED_WITH_ERRORS: "!", Status.RUNNING: "…"}
_NO_TICKS = str.maketrans(dict.fromkeys("✓✔✅☑", "*"))
_COLUMN_ORDER = ("posts", "leads", "items")
_GUESSES = {
    "by:only": "LLM calls given to this client run because no other was open, for lack of a context",
    "by:job": "LLM calls not attributed to any client run, for lack of a context",
}
_ONE = {"posts": "post", "leads": "lead", "items": "item"}


def when(at_ns: int | None, zone: tzinfo) -> str:
    """Return an instant with its full date in `zone`, to the second."""
    moment = instant(at_ns)
    return "unknown time" if moment is None else moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def duration(start_ns: int | None, end_ns: int | None) -> str:
    """Return a duration a person reads at a glance; empty where an end of it is unknown."""
    if start_ns is None or end_ns is None:
        return ""
    seconds = max(0, end_ns - start_ns) / 1e9
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def failure_text(kind: str, message: str, at_ns: int | None, zone: tzinfo) -> str:
    """Return ``Type: message``, with the last sign of life of a vanished run filled in."""
    text = message if kind else message.replace(LAST_SEEN, when(at_ns, zone))
    return clip(f"{kind}: {text}" if kind and text else kind or text, ERROR_LIMIT)


def amount(count: int, one: str, many: str) -> str:
    """Return a number with its noun: ``1 call``, ``1,200 calls``."""
    return f"{count:,} {one if count == 1 else many}"


def numbers_text(counts: Sums, spend: Sums | None = None) -> str:
    """Return counts, tokens and cost in one line: ``43 posts, 120 leads, 1,200 tokens, $0.02``."""
    first = [name for name in _COLUMN_ORDER if name in counts]
    others = sorted(name for name in counts if name not in first and name not in SPECIAL_COUNTERS)
    parts = [amount(counts[name], _ONE.get(name, _short(name)), _short(name)) for name in [*first, *others]]
    spend = spend or {}
    if "prompt" in spend or "completion" in spend:
        parts.append(amount(spend.get("prompt", 0) + spend.get("completion", 0), "token", "tokens"))
    cost = cost_of(spend)
    if cost:
        parts.append(f"${cost:f}")
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
        extra: More lines, put before the last one (delivery trouble); whole, up to 3,000 characters.
        mark: The last line, if any, whole whatever the length.
    """
    opened = [part for part in tops if part.is_opened]
    chosen = {part.uid for part in winners(opened)[0]} if opened else set[str]()
    known = list(entries)
    lines = [f"{when(run.start_ns, zone)}  started {_what(run)}"]
    lines += _story_lines(operations, known, zone)
    counted = [entry for entry in known if entry.run != run.uid or entry.top in chosen]
    lines += [f"errors: {line}" for line in error_lines(counted)]
    lines += _client_lines(run)
    if run.attempts > 1:
        lines.append(f"{run.attempts} attempts: results are of the best one, tokens and costs of all")
        lines += _lost_attempt_lines([part for part in opened if part.uid not in chosen], zone)
    if run.status is Status.COMPLETED_WITH_ERRORS:
        lines += _unwell_part_lines([part for part in opened if part.uid in chosen], zone)
    lines += _spend_lines(run)
    lines += _late_lines(opened)
    told = clip("\n".join(extra), _EXTRA_LIMIT)
    tail = "\n".join(line for line in [told, *_ending_lines(run, zone), mark] if line)
    body = clip("\n".join(lines), NOTES_LIMIT - len(tail) - 1)
    return f"{body}\n{tail}" if tail else body


def _what(run: Run) -> str:
    return f"job {_short(run.label)}" if run.uid == run.job else f"client run {_short(run.label)}"


def _short(text: str) -> str:
    """Return a stranger's text on one line of bounded length, without anything that looks like our ticks."""
    return clip(one_line(text.translate(_NO_TICKS)), _LINE_LIMIT)


def _story_lines(operations: Sequence[Part], entries: Sequence[Entry], zone: tzinfo) -> list[str]:
    """Return operations, notes and skips in the order they happened."""
    told = [entry for entry in entries if entry.kind in ("note", "skip")]
    story = [(entry.stamp, _entry_line(entry, zone)) for entry in told]
    summaries: list[str] = []
    if len(operations) <= _LISTED:
        story += [((part.start_ns or 0, part.uid, 0), _operation_line(part, zone)) for part in operations]
    else:
        summaries = _operation_summaries(sorted(operations, key=lambda part: (part.start_ns or 0, part.uid)))
    return [*summaries, *(line for _, line in sorted(story))]


def _operation_line(part: Part, zone: tzinfo) -> str:
    status, end = part.status, part.end
    numbers = numbers_text(part.counters.values(), part.spend)
    text = f"{when(part.start_ns, zone)}  {_TICK.get(status, '✗')} {_short(part.label)}: "
    if end is None:
        text += "still running"
    else:
        text += f"{status.value} in {duration(part.start_ns, end.at_ns)}"
    text += f" ({numbers})" if numbers else ""
    if end is not None and status is not Status.COMPLETED and (end.type or end.message):
        text += f" — {_short(failure_text(end.type, end.message, end.at_ns, zone))}"
    return text


def _operation_summaries(operations: Sequence[Part]) -> list[str]:
    groups: dict[str, list[Part]] = {}
    for part in operations:
        groups.setdefault(part.label, []).append(part)
    lines: list[str] = []
    for name, parts in list(groups.items())[:_LISTED]:
        statuses = Counter(part.status for part in parts)
        tick = "✓" if set(statuses) == {Status.COMPLETED} else "!"
        counts: Sums = {}
        spend: Sums = {}
        for part in parts:
            add_sums(counts, part.counters.values())
            add_sums(spend, part.spend)
        tally = ", ".join(f"{statuses[status]} {status.value}" for status in Status if statuses[status])
        numbers = numbers_text(counts, spend)
        took = _time_taken(parts)
        lines.append(
            f"{tick} {_short(name)} × {len(parts):,}: {tally}{took}" + (f" ({numbers})" if numbers else "")
        )
    if len(groups) > _LISTED:
        lines.append(f"and {amount(len(groups) - _LISTED, 'more kind', 'more kinds')} of operation")
    return lines


def _time_taken(parts: Sequence[Part]) -> str:
    spans = [max(0, part.end.at_ns - (part.start_ns or 0)) for part in parts if part.end is not None]
    return f"; on average {duration(0, sum(spans) // len(spans))}" if spans else ""


def _entry_line(entry: Entry, zone: tzinfo) -> str:
    label = "skipped: " if entry.kind == "skip" else ""
    # Further lines are set in, so that no note can pass for a line of ours.
    text = multi_line(entry.data["text"]).replace("\n", "\n    ")
    return f"{when(entry.stamp[0], zone)}  {label}{text}"


def error_lines(entries: Iterable[Entry]) -> list[str]:
    """Return errors grouped by type and message, the most frequent first, with the first item named."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in sorted((e for e in entries if e.kind == "error"), key=lambda entry: entry.stamp):
        groups.setdefault((entry.data["type"], entry.data["message"]), []).append(entry)
    ordered = sorted(groups.items(), key=lambda pair: (-len(pair[1]), pair[1][0].stamp))
    lines: list[str] = []
    for (kind, message), found in ordered[:_LISTED]:
        item = next((entry.data["item"] for entry in found if entry.data["item"]), "")
        named = f" — {'first ' if len(found) > 1 else ''}{_short(item)}" if item else ""
        lines.append(f"{len(found):,} × {error_text(kind, _short(message))}{named}")
    if len(ordered) > _LISTED:
        lines.append(f"and {amount(len(ordered) - _LISTED, 'more kind', 'more kinds')} of error")
    return lines


def error_text(kind: str, message: str) -> str:
    """Return ``Type: message``; never empty."""
    return ": ".join(text for text in (kind, message) if text) or "unknown error"


def _lost_attempt_lines(lost: Sequence[Part], zone: tzinfo) -> list[str]:
    parts = sorted(lost, key=lambda part: (part.start_ns or 0, part.uid))[:_LISTED]
    return [
        _part_line(part, f"attempt {part.attempt}" if part.of is None else "a delivery", zone)
        for part in parts
    ]


def _unwell_part_lines(parts: Sequence[Part], zone: tzinfo) -> list[str]:
    """Tell which parts make a run Completed_with_errors though none of their errors does."""
    unwell = [part for part in parts if part.status in _UNWELL and not part.errors]
    return [
        _part_line(part, "a part", zone)
        for part in sorted(unwell, key=lambda p: (p.start_ns or 0, p.uid))[:_LISTED]
    ]


def _part_line(part: Part, what: str, zone: tzinfo) -> str:
    end = part.end
    text = f"{when(part.start_ns, zone)}  {what}: "
    if end is None:
        return f"{text}still running"
    text += f"{part.status.value} after {duration(part.start_ns, end.at_ns)}"
    if end.type or end.message:
        text += f" — {_short(failure_text(end.type, end.message, end.at_ns, zone))}"
    return text


def _client_lines(run: Run) -> list[str]:
    if run.uid != run.job or not any(run.clients.values()):
        return []
    tally = [f"{run.clients[status]:,} {status.value}" for status in Status if run.clients.get(status)]
    if run.clients.get("skipped"):
        tally.append(f"{run.clients['skipped']:,} skipped")
    return [f"client runs: {', '.join(tally)}"]


def _spend_lines(run: Run) -> list[str]:
    spend = run.spend
    summary = summary_of(spend)
    lines = [text] if (text := usage_line(summary)) else []
    if summary.unpriced:
        names = [_short(name) for name in summary.unpriced_models[:_LISTED]]
        lines.append(f"no price known for {amount(summary.unpriced, 'call', 'calls')} of {', '.join(names)}")
    lines += [f"{calls}: {spend[name]:,}" for name, calls in _GUESSES.items() if spend.get(name)]
    for name, micro in sorted(spend.items()):
        if name.startswith("cost:"):
            source = _short(name.removeprefix("cost:")) or "other"
            lines.append(f"{source} costs: ${money_text(micro)}")
    return lines


def _late_lines(tops: Sequence[Part]) -> list[str]:
    late = any(part.end is not None and part.last_ns > part.end.at_ns for part in tops)
    return ["numbers or notes arrived after the end and were kept"] if late else []


def _ending_lines(run: Run, zone: tzinfo) -> list[str]:
    if run.status is Status.RUNNING or run.end_ns is None:
        return []
    text = f"{when(run.end_ns, zone)}  {run.status.value}"
    text += ", skipped," if run.skipped else ""
    took = duration(run.start_ns, run.end_ns)
    text += f" after {took}" if took else ""
    failed = run.status not in (Status.COMPLETED, Status.COMPLETED_WITH_ERRORS)
    if failed and (run.failure_type or run.failure):
        text += f" — {failure_text(run.failure_type, multi_line(run.failure), run.failure_ns, zone)}"
    return [text.replace("\n", "\n    ")]


__all__ = ["ERROR_LIMIT", "NOTES_LIMIT", "error_lines", "error_text", "failure_text", "render_notes"]
