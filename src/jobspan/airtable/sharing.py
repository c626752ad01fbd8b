"""A row that several ledgers know: each tells its share in System Notes, the cells show all of them together.

No ledger knows another's facts. Where work names a run of another ledger (by token, or by run id), its row
is gone on with: one line for each ledger says what that one recorded, and the numbers of the row are the
sums of these lines. So nothing that another ledger brought is lost, and nothing is counted twice.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from jobspan.airtable.fields import number
from jobspan.airtable.ownership import find_mark, mark_uid
from jobspan.model.delivery import Seen
from jobspan.model.status import Status, combine, success_rank

Share = dict[str, Any]
"""What one ledger recorded: `status`; `n`, its numbers by field; `alive`, it was heard of since; `by`, the
one delivery that all of it came by."""
_SPENT = frozenset(
    ["token_usage", "prompt_tokens", "completion_tokens", "total_tokens", "apify_api_costs", "cost_usd"]
)
"""Numbers that count for every attempt; the others are results, which count once."""
NOBODY = "0" * 12
"""Stands for whoever wrote a row without a mark."""
_LINE = re.compile(
    r"^recorded by ledger (?P<ledger>[0-9a-f]{6,64})(?: by delivery (?P<by>[0-9a-f]{12}))?:"
    r" (?P<status>[A-Za-z_]+)"
    r"(?P<numbers>(?:, [a-z0-9_]+ -?[0-9][0-9.e+-]*)*)$",
    re.MULTILINE,
)


def line(ledger: str, share: Share) -> str:
    """Return the line that tells a share."""
    numbers = "".join(f", {name} {value!r}" for name, value in share["n"].items())
    by = f" by delivery {share['by']}" if share.get("by") else ""
    return f"recorded by ledger {ledger}{by}: {share['status']}{numbers}"


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
        found[match["ledger"]] = share_of(status, numbers, match["by"] or "")
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
        found[writer] = share_of(status, {name: row.cells[name] for name in fields if name in row.cells})
    return found


def is_named(row: Seen, own: str) -> bool:
    """Whether a row was made by a ledger that only names its job, and no third one has written it since.

    Whose job it is does not move to another run id then: it goes on with that row.
    """
    notes = row.cells.get("system_notes")
    mark = find_mark(notes)
    if mark is None or mark.uid != mark_uid("t", "t", mark.ledger, named=row.run_id):
        return False
    return told(notes).keys() <= {mark.ledger, own}


def share_of(status: Status, numbers: Mapping[str, Any], by: str = "") -> Share:
    """Return a ledger's share of a row; `by`: the one delivery that all of it came by."""
    clean = {name: number(value) for name, value in numbers.items()}
    known = {name: value for name, value in clean.items() if value is not None}
    return {"status": status.value, "n": known} | ({"by": by} if by else {})


def beaten(shares: Mapping[str, Share]) -> set[str]:
    """Return the ledgers whose results do not count: another has a better attempt of the same delivery."""
    best: dict[str, tuple[int, str]] = {}
    for ledger, share in shares.items():
        if by := share.get("by"):
            best[by] = max(best.get(by, (0, "")), (success_rank(Status(share["status"])), ledger))
    return {ledger for ledger, share in shares.items() if share.get("by") and best[share["by"]][1] != ledger}


def total(name: str, shares: Mapping[str, Share], out: Collection[str] = ()) -> int | float | None:
    """Return what a number of the row is: the sum of what was measured; None if nothing was.

    Args:
        name: The field.
        shares: Of all ledgers.
        out: Ledgers whose results do not count, but what they spent.
    """
    counted = (share for ledger, share in shares.items() if ledger not in out or name in _SPENT)
    values = [value for share in counted if (value := share["n"].get(name)) is not None]
    return number(round(sum(values), 9)) if values else None


def joined_status(ledger: str, shares: Mapping[str, Share], out: Collection[str], *, alone: bool) -> Status:
    """Return how a run stands that several ledgers know.

    Another ledger's Running counts only if that one was heard of since this one came: before, it handed the
    run over, or is gone. A deadline that passed here while another went on with the run says nothing.

    Args:
        ledger: This ledger.
        shares: Of all ledgers.
        out: Ledgers whose attempts were beaten: how these ended says nothing.
        alone: The base has one writer: other ledgers are gone.
    """
    statuses = {name: Status(share["status"]) for name, share in shares.items()}
    own = statuses[ledger]
    alive = {name for name, share in shares.items() if share.get("alive") and not alone}
    counted = [
        status
        for name, status in statuses.items()
        if name != ledger and ((status.is_terminal and name not in out) or (name in alive))
    ]
    if not (own.is_terminal and ledger in out) and (
        own is not Status.TIMED_OUT or all(status is own for status in counted)
    ):
        counted.append(own)
    return Status.RUNNING if Status.RUNNING in counted else combine(None, counted, errors=False)
