"""Booking: what an entry adds to its part, its run and its job. A key counts once in each of them."""

from __future__ import annotations

from jobspan.model.entry import Entry, read_entry
from jobspan.model.event import Event
from jobspan.model.numbers import Sums, add_sums
from jobspan.model.part import CLIENT_RUN, Part, winners
from jobspan.model.workspace import Workspace


def book(space: Workspace, part: Part, event: Event) -> None:
    """Book one entry on an opened part."""
    assert part.run is not None
    assert part.job is not None
    entry = read_entry(event, part.uid, part.top or part.uid, part.run, part.job)
    if entry.kind == "error":
        part.errors += 1
    elif entry.kind == "skip":
        part.skipped = min(text for text in (part.skipped, entry.data["text"] or "skipped") if text)
    if entry.kind == "item":
        _book_item(space, part, entry)
    elif entry.kind in ("usage", "cost"):
        _book_spend(space, part, entry)
    space.add_entry(entry)


def _book_item(space: Workspace, part: Part, entry: Entry) -> None:
    """Count an item once per job's or client run's part; the greatest stamp of equal keys holds."""
    part.items = True
    space.load_parts({entry.top})
    top = space.part(entry.top)
    if not top.items:
        top.items = True
        space.touch(top)
    held = max((twin for twin in space.twins(entry) if twin.top == entry.top), key=_stamp, default=None)
    wins = held is None or held.stamp < entry.stamp
    for name, value in entry.counts.items():
        part.counters.add(name, value if wins else 0)  # 0: measured, though another one holds
    if wins and held is not None:
        space.load_parts({held.part})
        holder = space.part(held.part)
        for name, value in held.counts.items():
            holder.counters.add(name, -value)
        space.touch(holder)


def _book_spend(space: Workspace, part: Part, entry: Entry) -> None:
    """Add an entry to the spend of its part and run, and to its job's."""
    run = space.run(entry.run, CLIENT_RUN, entry.job)
    job = space.job(entry.job)
    twins = space.twins(entry)
    held = max((twin for twin in twins if twin.run == entry.run), key=_stamp, default=None)
    _replace(part.spend, entry, None if held is None or held.stamp < entry.stamp else held)
    if held is not None and held.stamp < entry.stamp:
        space.load_parts({held.part})
        holder = space.part(held.part)
        add_sums(holder.spend, held.sums, -1)
        space.touch(holder)
    if run is not job:
        _exchange(run.spend, entry, held)
    _exchange(job.spend, entry, max(twins, key=_stamp, default=None))
    space.runs[run.uid] = run
    space.runs[job.uid] = job


def _exchange(spend: Sums, entry: Entry, held: Entry | None) -> None:
    """Put `entry` in the place of the one that held its key, if it is the later one."""
    wins = held is None or held.stamp < entry.stamp
    _replace(spend, entry, None if wins else held)
    if wins and held is not None:
        add_sums(spend, held.sums, -1)


def _replace(spend: Sums, entry: Entry, holder: Entry | None) -> None:
    """Add an entry; where another one holds its key, only note that its names were measured."""
    add_sums(spend, entry.sums, 1 if holder is None else 0)


def repeated_items(space: Workspace, run: str) -> Sums:
    """Return the counts of items that several winning parts of a run booked, to be taken away once."""
    parts = [part for part in space.tops(run) if part.is_opened]
    if sum(part.items for part in parts) < 2:
        return {}
    uids = {part.uid for part in winners(parts)[0]}
    found = [*space.store.load_items(run), *(e for e in space.entries if e.kind == "item" and e.run == run)]
    per_top: dict[tuple[str, str, str], Entry] = {}
    for entry in found:
        place = (entry.source, entry.key or "", entry.top)
        if entry.top in uids and (place not in per_top or per_top[place].stamp < entry.stamp):
            per_top[place] = entry
    best: dict[tuple[str, str], Entry] = {}
    surplus: Sums = {}
    for (source, key, _), entry in sorted(per_top.items(), key=lambda pair: pair[1].stamp):
        if (source, key) in best:
            add_sums(surplus, best[source, key].counts)
        best[source, key] = entry
    return surplus


def _stamp(entry: Entry) -> tuple[int, str, int]:
    return entry.stamp
