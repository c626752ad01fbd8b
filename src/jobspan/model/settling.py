"""Settling: everything that follows from the events a pass has applied.

In this order: what closed parts and dead processes left open, what operations give the part above
them, then client runs, then jobs.
"""

from __future__ import annotations

from jobspan.model.booking import repeated_items
from jobspan.model.handover import meet
from jobspan.model.part import JOB, OPERATION, Ending, Part, overdue
from jobspan.model.run import Run
from jobspan.model.settled import Settled, whole_of
from jobspan.model.status import Left
from jobspan.model.workspace import Process, Workspace

LAST_SEEN = "{last_seen}"
"""Stands in the text of a vanished run where a reader puts the instant, in its own zone."""


def is_given_up(run: Run) -> bool:
    """Whether a run ended only because its process did, or its deadline passed with nobody there."""
    if run.failure_type:
        late = overdue(0)
        return (run.failure_type, run.failure) == (late.type, late.message)
    return LAST_SEEN in run.failure


def settle(space: Workspace) -> None:
    """Derive endings, then operations' shares, client runs and jobs."""
    _infer_endings(space)
    operations = [part for part in space.parts.values() if part.kind == OPERATION and part.is_opened]
    space.load_parts({part.top for part in operations if part.top})
    for operation in operations:
        _give_to_top(space, operation)
    tops = [part for part in space.parts.values() if part.kind != OPERATION and part.is_opened]
    runs = {run.uid: run for part in tops if (run := space.run(part.run or "", part.kind, part.job or ""))}
    runs.update((uid, grown) for uid in space.grown if (grown := space.known_run(uid)) is not None)
    space.grown = set()
    space.load_tops(runs)
    clients = [run for run in runs.values() if run.kind != JOB]
    changed = _settled_by_run(tops)
    for run in clients:
        _settle_parts(space, run, changed.get(run.uid, []))
        _derive_client_run(space, run)
    jobs = {run.job for run in clients} | {run.uid for run in runs.values() if run.kind == JOB}
    space.load_tops(jobs)
    for uid in jobs:
        job = space.job(uid)
        if job.client_end_ns is None:
            job.client_end_ns = space.latest_end(uid)
        for part in meet([part for part in space.tops(uid) if part.is_opened], job.client_parts):
            space.touch(part)
        job.derive(space.tops(uid), repeated_items(space, job))
        space.runs[uid] = job


def _settled_by_run(parts: list[Part]) -> dict[str, list[Part]]:
    groups: dict[str, list[Part]] = {}
    for part in parts:
        if part.settled:
            groups.setdefault(part.run or "", []).append(part)
    return groups


def _settle_parts(space: Workspace, run: Run, changed: list[Part]) -> None:
    """Settle what parts of a run are whole now; see to the settled ones that have changed."""
    weighed = _weighed(space, run)
    for part in changed + [part for part in weighed.values() if part.settled and part not in changed]:
        before = space.whole[part.uid]
        now = None if part.uid in weighed else whole_of(part)
        if before == now:
            continue
        if not run.settled.exchange(before, now):
            _settle_anew(space, run, weighed)
            break
        if now is None:
            _unsettle(space, run, part)
        else:
            space.whole[part.uid] = now
    for part in space.tops(run.uid):
        if part.uid not in weighed and (whole := whole_of(part)) is not None:
            run.settled.add(whole)
            run.settled.name = part.name
            space.whole[part.uid] = whole
            part.settled = True
            space.touch(part)


def _weighed(space: Workspace, run: Run) -> dict[str, Part]:
    """Return the parts of a run tried again or attached to, and those with a name that are not alone."""
    weighed = _retried(space, run)
    tops = space.tops(run.uid)
    if len(tops) + run.settled.parts > 1:
        others = space.load_settled(run.uid) if run.settled.name else []
        weighed |= {part.uid: part for part in [*tops, *others] if part.name}
    return weighed


def _retried(space: Workspace, run: Run) -> dict[str, Part]:
    tops = space.tops(run.uid)
    names = {part.retry_of for part in tops if part.retry_of} | {
        part.of for part in tops if part.of and part.delivery
    }
    if not names:
        return {}
    space.load_parts(names)
    found = (part for name in names if (part := space.known(name)) is not None)
    return {part.uid: part for part in found if part.run == run.uid}


def _settle_anew(space: Workspace, run: Run, weighed: dict[str, Part]) -> None:
    """Take all settled parts out of the sums of a run, and add those again that are still whole."""
    run.settled = Settled()
    for part in space.load_settled(run.uid):
        whole = None if part.uid in weighed else whole_of(part)
        if whole is None:
            _unsettle(space, run, part)
        else:
            run.settled.add(whole)
            run.settled.name = part.name
            space.whole[part.uid] = whole


def _unsettle(space: Workspace, run: Run, part: Part) -> None:
    if part.name:
        run.settled.name = ""
    part.settled = False
    space.whole.pop(part.uid, None)
    space.add_top(part)
    space.touch(part)


def _derive_client_run(space: Workspace, run: Run) -> None:
    run.derive(space.tops(run.uid), repeated_items(space, run))
    share = run.share()
    space.job(run.job).take_share(space.shares.get(run.uid), share)
    space.shares[run.uid] = share
    run.shared = True
    space.runs[run.uid] = run


def _give_to_top(space: Workspace, operation: Part) -> None:
    """Pass on to the part above what an operation has and had not passed on yet."""
    if operation.top is None:
        return
    top = space.part(operation.top)  # made where its own open event is yet to come
    values = operation.counters.values()
    for name, value in values.items():
        top.below[name] = top.below.get(name, 0) + value - operation.given.get(name, 0)
    top.below_errors += operation.total_errors - operation.given_errors
    status = operation.status
    if operation.given_status != status:
        top.operations[status] = top.operations.get(status, 0) + 1
        if given := operation.given_status:
            top.operations[given] -= 1
            if not top.operations[given]:
                del top.operations[given]
    operation.given, operation.given_errors = dict(values), operation.total_errors
    operation.given_status = status
    space.touch(top)


def _infer_endings(space: Workspace) -> None:
    pending, space.ended = space.ended, {}
    while pending:
        ended = [part.uid for part in pending.values() if part.end is not None]
        looked_at = {part.uid: part for part in [*pending.values(), *space.open_children(ended)]}
        space.load_parts({part.parent for part in looked_at.values() if part.parent})
        pending = {}
        for part in looked_at.values():
            if part.ending is None and part.is_opened and _infer(space, part):
                pending[part.uid] = part


def _infer(space: Workspace, part: Part) -> bool:
    """Work out how a part without a close of its own ended; True if that changed."""
    inferred = _inferred_ending(space, part)
    if inferred == part.inferred:
        return False
    part.inferred = inferred
    space.touch(part)
    return True


def _inferred_ending(space: Workspace, part: Part) -> Ending | None:
    late = overdue(part.deadline_ns) if part.is_overdue and part.deadline_ns is not None else None
    if part.process is None:
        return late
    parent = space.known(part.parent)
    end = parent.end if parent is not None and parent.process == part.process else None
    if end is not None and end.how is not Left.VANISHED:
        return _inherited(part, end)
    process = space.process(part.process)
    if process.is_gone:
        if part.deadline_ns is not None and part.deadline_ns <= (process.gone_ns or 0):
            return overdue(part.deadline_ns)
        return Ending(Left.VANISHED, max(process.gone_ns or 0, part.start_ns or 0), "", _epitaph(process))
    return late


def _inherited(part: Part, end: Ending) -> Ending:
    """Return how a child still open ends when the part around it ends in the same process."""
    at_ns = max(end.at_ns, part.start_ns or 0)
    if end.how not in (Left.OK, Left.WITH_ERRORS):
        why = end.message or "ended with the run around it"
        return Ending(end.how, at_ns, end.type, why, lane=end.lane)
    if part.lane == end.lane:
        return Ending(Left.OK, at_ns, "", "left open; ended with the run around it", lane=end.lane)
    # Another thread or task may still be at work: that is no success, until its own close says so.
    why = "still open in another thread or task when the run around it ended"
    return Ending(Left.FAILED, at_ns, "", why, lane=end.lane)


def _epitaph(process: Process) -> str:
    about = process.about
    return (
        f"process ended without finishing (last seen {LAST_SEEN}, "
        f"host {about.get('host', 'unknown')}, pid {about.get('pid', 'unknown')})"
    )
