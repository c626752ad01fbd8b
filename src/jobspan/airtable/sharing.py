"""A row that several ledgers know: each tells its share in System Notes, the cells show all of them together.

No ledger knows another's facts. Where work names a run of another ledger (by token, or by run id), its row
is gone on with: one line for each ledger says what that one recorded, and the numbers of the row are the
sums of these lines. So nothing that another ledger brought is lost, and nothing is counted twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from jobspan.airtable.fields import number
from jobspan.airtable.ownership import find_mark
from jobspan.model.delivery import Seen
from jobspan.model.status import Status, combine

Share = dict[str, Any]
"""What one ledger recorded: `status`; `n`, its numbers by field; `alive`, it was heard of since."""
NOBODY = "0" * 12
"""Stands for whoever wrote a row without a mark."""
_LINE = re.compile(
    r"^recorded by ledger (?P<ledger>[0-9a-f]{6,64}): (?P<status>[A-Za-z_]+)"
    r"(?P<numbers>(?:, [a-z0-9_]+ -?[0-9][0-9.e+-]*)*)$",
    re.MULTILINE,
)


def line(ledger: str, share: Share) -> str:
    """Return the line that tells a share."""
    numbers = "".join(f", {name} {value!r}" for name, value in share["n"].items())
    return f"recorded by ledger {ledger}: {share['status']}{numbers}"


def is_line(text: str) -> bool:
    """Whether a line tells a share."""
    return _LINE.fullmatch(text) is not None


def told(notes: object) -> dict[str, Share]:
    """Return the shares told in System Notes, by ledger."""
    found: dict[str, Share] = {}
    for match in _LINE.finditer(notes if isinstance(notes, str) else ""):
        try:
            status = Status(match["status"])
            pairs = [each.rsplit(" ", 1) for each in match["numbers"].split(", ")[1:]]
            numbers = {name: float(value) for name, value in pairs}
        except ValueError:
            continue
        found[match["ledger"]] = _share(status, numbers)
    return found


def others(row: Seen, own: str, status: Status, fields: Iterable[str], *, unmarked: bool) -> dict[str, Share]:
    """Return the shares of other ledgers in a row as it stands there.

    Args:
        row: The row.
        own: This ledger.
        status: What the row's Status says.
        fields: The fields that are numbers.
        unmarked: A row without a mark is another's, too.
    """
    notes = row.cells.get("system_notes")
    found = {ledger: share for ledger, share in told(notes).items() if ledger != own}
    mark = find_mark(notes)
    if mark is None and not unmarked:
        return found
    writer = NOBODY if mark is None else mark.ledger
    if writer != own and writer not in found:
        found[writer] = _share(status, {name: row.cells[name] for name in fields if name in row.cells})
    return found


def _share(status: Status, numbers: Mapping[str, Any]) -> Share:
    clean = {name: number(value) for name, value in numbers.items()}
    known = {name: value for name, value in clean.items() if value is not None}
    return {"status": status.value, "n": known}


def share_of(status: Status, numbers: Mapping[str, Any]) -> Share:
    """Return this ledger's share of a row."""
    return _share(status, numbers)


def total(own: Any, name: str, shares: Iterable[Share]) -> int | float | None:
    """Return what a number of the row is: the sum of what was measured; None if nothing was."""
    values = [value for value in (own, *(share["n"].get(name) for share in shares)) if value is not None]
    return number(round(sum(values), 9)) if values else None


def joined_status(own: Status, shares: Iterable[Share], *, alone: bool) -> Status:
    """Return how a run stands that several ledgers know.

    Another ledger's Running counts only if that one was heard of since this one came: before, it handed the
    run over, or is gone. A deadline that passed here while another went on with the run says nothing.

    Args:
        own: What this ledger says.
        shares: The others.
        alone: The base has one writer: other ledgers are gone.
    """
    known = [(Status(share["status"]), bool(share.get("alive")) and not alone) for share in shares]
    counted = [status for status, is_alive in known if status.is_terminal or is_alive]
    if own is not Status.TIMED_OUT or all(status is own for status in counted):
        counted.append(own)
    return Status.RUNNING if Status.RUNNING in counted else combine(None, counted, errors=False)
