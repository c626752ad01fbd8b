"""From what a row shows and what the ledger says to the cells to be sent: only those that changed."""

from __future__ import annotations

from dataclasses import dataclass

from jobspan.model.delivery import SHARES, Cells, Delivery, Seen, Write
from jobspan.model.status import Status
from jobspan.relay.destination import Destination, Record

NOTES, STATUS, RUN_ID = "system_notes", "status", "run_id"
AROUND = "~around"
"""Among the cells kept in the ledger: a person's text before and after our block of System Notes."""
_LONGEST_TEXT = 100_000


@dataclass(slots=True)
class Item:
    """One row of a request.

    Attributes:
        delivery: As it was read.
        write: What is sent.
        cells: All that the row shows after it, as kept in the ledger.
        shown: The status it shows after it.
        again: It is to be looked at again even if nothing more happens: another ledger may have written it
            between our look and our write, and one of the two did not see what the other wrote.
    """

    delivery: Delivery
    write: Write
    cells: Cells
    shown: str
    again: bool = False


def changes(delivery: Delivery, wanted: Cells) -> Cells:
    """Return the cells that differ from what the row is known to show.

    System Notes go with the first and the last state and with late facts, not with mere progress.
    """
    known = delivery.cells or {}
    is_untouched = delivery.remote_id is None and delivery.attempts == 0 and delivery.claim is None
    found: Cells = {}
    for name, value in wanted.items():
        if name in known:
            if known[name] != value:
                found[name] = value
        elif value is not None or not is_untouched:
            found[name] = value
    if not delivery.sends_notes:
        found.pop(NOTES, None)
    return found


def item(destination: Destination, delivery: Delivery, record: Record, seen: Seen | None) -> Item | None:
    """Return what to send of a row; None if it is up to date.

    Args:
        destination: Says what a row can show.
        delivery: What it shows.
        record: What the ledger says.
        seen: The row as it stands there, if it was read a moment ago.
    """
    wanted, shares = destination.joined(record, delivery, destination.cells(record), seen)
    if shares is not None and seen is not None and seen.remote_id:
        there = {name: seen.cells.get(name) for name in wanted if name != NOTES}
        if not destination.tells(seen, wanted):
            there[NOTES] = None
        delivery.cells = {**(delivery.cells or {}), **there}  # another ledger may have written any of them
    found = changes(delivery, wanted)
    if not found:
        return None
    kept: Cells = {**dict.fromkeys(wanted), **(delivery.cells or {}), **found}
    if shares is not None:
        kept[SHARES] = shares
    sent = dict(found)
    if NOTES in found:
        kept[AROUND] = _around(destination, delivery, seen)
        sent[NOTES] = _joined(found[NOTES], *kept[AROUND])
    if STATUS in sent and seen is not None and _is_persons_word(destination, delivery, seen):
        del sent[STATUS]
    claim, again = _claim(destination, delivery, found), shares is not None
    if claim is not None and sent.get(NOTES) != claim:
        sent[NOTES] = kept[NOTES] = claim
        again = True
    if delivery.remote_id is None and RUN_ID in wanted:
        sent[RUN_ID] = wanted[RUN_ID]
    write = Write(delivery.run, record.run_id, delivery.remote_id, sent, claim)
    return Item(delivery, write, kept, record.status.value, again)


def _claim(destination: Destination, delivery: Delivery, found: Cells) -> str | None:
    if delivery.remote_id is not None or not destination.claims(delivery.kind):
        return None
    return delivery.claim or found.get(NOTES)


def _around(destination: Destination, delivery: Delivery, seen: Seen | None) -> list[str]:
    known = delivery.cells or {}
    if seen is None:
        return list(known.get(AROUND, ("", "")))
    return list(destination.around_notes(str(seen.cells.get(NOTES) or ""), str(known.get(NOTES) or "")))


def _joined(block: str, before: str, after: str) -> str:
    text = before + block + after
    if len(text) <= _LONGEST_TEXT:
        return text
    return before + block.rpartition("\n")[2] + after


def _is_persons_word(destination: Destination, delivery: Delivery, seen: Seen) -> bool:
    """Whether a person set Canceled on a row we showed as Running, or tried to."""
    return delivery.shown in (None, Status.RUNNING) and destination.is_canceled(seen)
