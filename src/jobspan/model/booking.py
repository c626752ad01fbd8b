"""Booking: what an entry adds to its part, its run and its job. A key counts once in each of them."""

from __future__ import annotations

from collections.abc import Iterable

from jobspan.model.entry import Entry, path_entries, read_entry
from jobspan.model.event import Event
from jobspan.model.numbers import Sums, add_sums
from jobspan.model.part import CLIENT_RUN, Part, winners
from jobspan.model.run import Run
from jobspan.model.spending import book_fact
from jobspan.model.workspace import Workspace


def book(space: Workspace, part: Part, event: Event) -> None:
    """Book one entry on an opened part."""
    assert part.run is not None
    assert part.job is not None
    place = (part.uid, part.top or part.uid, part.run, part.job)
    if event["e"] == "path":
        for link in path_entries(event, *place):
            book_fact(space, link)
        return
    entry = read_entry(event, *place)
    if entry.kind == "error":
        part.errors += 1
    elif entry.kind == "skip":
        part.skipped = min(text for text in (part.skipped, entry.data["text"] or "skipped") if text)
    if entry.kind == "item":
        _book_item(space, part, entry)
    elif entry.kind in ("usage", "span"):
        book_fact(space, entry)
        return
    elif entry.kind == "cost":
        _book_spend(space, part, entry)
    space.hold(entry)


def _book_item(space: Workspace, part: Part, entry: Entry) -> None:
    """Count an item once per job's or client run's part; the greatest stamp of equal keys holds."""
    twins = space.twins_in_run(entry)
    if entry.key is not None:
        _mark_top(space, entry, twins)
    held = max((twin for twin in twins if twin.top == entry.top), key=_stamp, default=None)
    wins = held is None or held.stamp < entry.stamp
    for name, value in entry.counts.items():
        part.counters.add(name, value if wins else 0, entry.epoch)  # 0: measured, though another one holds
    if wins and held is not None:
        space.load_parts({held.part})
        holder = space.part(held.part)
        for name, value in held.counts.items():
            holder.counters.add(name, -value, held.epoch)
        space.touch(holder)


def _mark_top(space: Workspace, entry: Entry, twins: list[Entry]) -> None:
    """Note on the job's or client run's part that it has items, and who had booked this one before."""
    space.load_parts({entry.top})
    top = space.part(entry.top)
    if not top.items:
        top.items = True
        space.first_items.add(top.uid)
        space.touch(top)
    space.remember_items(entry, twins)


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


def repeated_items(space: Workspace, run: Run) -> Sums:
    """Return the counts of items that several winning parts of a run booked, to be taken away once.

    Kept up from what this pass booked; all items of the run are read again only where a part with
    items of earlier passes begins or ceases to win (a later attempt was better).
    """
    opened = [part for part in space.tops(run.uid) if part.is_opened]
    uids = {part.uid for part in winners(opened)[0] if part.items} if opened else set[str]()
    if len(uids) < 2:
        run.repeated = {}
    elif (uids ^ set(run.item_parts)) - space.first_items or set(run.item_parts) - uids:
        run.repeated = _surplus(_all_items(space, run.uid), uids)
    else:
        before = space.items_before.get(run.uid, {})
        kept = [twin for twins in before.values() for twin in twins]
        held = [twin for twins in before.values() for twin in (space.twins_in_run(twins[0]) if twins else ())]
        fresh = [entry for entry in _booked_now(space, run.uid) if not before.get(_item_key(entry))]
        run.repeated = dict(run.repeated)
        add_sums(run.repeated, _surplus([*held, *fresh], uids))
        add_sums(run.repeated, _surplus(kept, set(run.item_parts)), -1)
    run.item_parts = sorted(uids)
    return run.repeated


def _booked_now(space: Workspace, run: str) -> list[Entry]:
    return list(space.items.get(run, {}).values())


def _all_items(space: Workspace, run: str) -> Iterable[Entry]:
    stored = {entry.place: entry for entry in space.store.load_items(run) if entry.key is not None}
    return {**stored, **{entry.place: entry for entry in _booked_now(space, run)}}.values()


def _surplus(entries: Iterable[Entry], parts: set[str]) -> Sums:
    """Return what the entries of `parts` count beyond the latest of each key; one for each key and part."""
    best: dict[tuple[str, str], Entry] = {}
    surplus: Sums = {}
    for entry in sorted((entry for entry in entries if entry.top in parts), key=_stamp):
        if (held := best.get(_item_key(entry))) is not None:
            add_sums(surplus, held.counts)
        best[_item_key(entry)] = entry
    return surplus


def _item_key(entry: Entry) -> tuple[str, str]:
    return (entry.source, entry.key or "")


def _stamp(entry: Entry) -> tuple[int, str, int]:
    return entry.stamp
