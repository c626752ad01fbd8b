"""System Notes there: which text is ours, which a person's."""

from __future__ import annotations

import re
from collections.abc import Callable

from jobspan.airtable.ownership import mark_span

_STARTED = re.compile(r"^\d{4}-\d\d-\d\d [^\n]*  started (?:job|client run) ", re.MULTILINE)


def around(notes: str, ours: str) -> tuple[str, str]:
    """Return the text a person wrote before and after our block, each with its line break.

    Args:
        notes: The cell as it stands.
        ours: The block sent last; "" where that is not known.
    """
    if not notes.strip():
        return "", ""
    if ours and (place := notes.find(ours)) >= 0:
        return _before(notes[:place]), _after(notes[place + len(ours) :])
    span = mark_span(notes)
    if span is None:
        return _before(_not_in(notes, ours)), ""
    above, below = notes[: span[0]], notes[span[1] :]
    starts = list(_STARTED.finditer(above))
    if starts:
        inside = above[starts[-1].start() :]
        typed = _not_in(inside, ours) if ours else ""
        return _before(above[: starts[-1].start()] + typed), _after(below)
    return _before(_not_in(above, ours)), _after(below)


def beside(notes: str, ours: str, is_told: Callable[[str], bool]) -> str:
    """Return what stands in notes another ledger wrote last, without our block, marks and told shares."""
    lines = (line for line in notes.splitlines() if not is_told(line) and mark_span(line) is None)
    return _before(_not_in("\n".join(lines), ours))


def with_line(notes: str, line: str) -> str:
    """Return `notes` with a line put before the mark, or at the end where there is none."""
    span = mark_span(notes)
    return f"{notes}\n{line}" if span is None else f"{notes[: span[0]]}{line}\n{notes[span[0] :]}"


def _not_in(text: str, ours: str) -> str:
    """Return the lines of `text` that are none of ours."""
    known = set(ours.splitlines())
    return "\n".join(line for line in text.splitlines() if line.strip() and line not in known)


def _before(text: str) -> str:
    text = text.rstrip("\n")
    return f"{text}\n" if text.strip() else ""


def _after(text: str) -> str:
    text = text.strip("\n")
    return f"\n{text}" if text.strip() else ""
