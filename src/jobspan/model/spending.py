"""What runs used of models: calls resolved from facts, and summed into parts, runs and jobs.

A fact changes nothing by itself: it makes its run *unresolved*, and all calls of that run are worked out
again from all its facts. So no order, repetition or lateness of facts can change a sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from jobspan.model.entry import Entry
from jobspan.model.numbers import Sums, add_sums
from jobspan.model.part import CLIENT_RUN
from jobspan.model.run import Run
from jobspan.model.usage.call import Call
from jobspan.model.usage.fact import LLM, UsageFact
from jobspan.model.usage.number import PICO, plain
from jobspan.model.usage.resolve import resolve
from jobspan.model.usage.summary import UNKNOWN_MODEL, UsageSummary
from jobspan.model.usage.tree import SpanKey
from jobspan.model.workspace import BookedCall, Pricing, Workspace

_FEW = 200
"""A run with so few facts is resolved at once: 10 ms at most."""

_NAMES = (
    "calls",
    "prompt",
    "completion",
    "cached",
    "reasoning",
    "unmetered",
    "unpriced",
    "priced",
    "llm_pico",
)
_PREFIXES = ("model:", "unpriced:", "by:")


def is_usage(name: str) -> bool:
    """Tell whether a name of a run's spend comes from calls of models."""
    return name in _NAMES or name.startswith(_PREFIXES)


def cost_of(spend: Sums) -> Decimal | None:
    """Return what a spend costs in US dollars, exactly: calls of models and all else; None: unknown."""
    micro = [value for name, value in spend.items() if name.startswith("cost:")]
    if "llm_pico" not in spend:
        return plain(Decimal(sum(micro)) / 1_000_000) if micro else None
    return plain(Decimal(spend["llm_pico"] + sum(micro) * 1_000_000) / PICO)


def summary_of(spend: Sums) -> UsageSummary:
    """Return the calls of models in a spend as a summary."""

    def counted(prefix: str) -> list[tuple[str, int]]:
        return [(name.removeprefix(prefix), n) for name, n in spend.items() if name.startswith(prefix)]

    return UsageSummary(
        spend.get("prompt", 0),
        spend.get("completion", 0),
        spend.get("cached", 0),
        spend.get("reasoning", 0),
        plain(Decimal(spend["llm_pico"]) / PICO) if "llm_pico" in spend else None,
        spend.get("calls", 0),
        spend.get("unmetered", 0),
        spend.get("unpriced", 0),
        tuple(sorted(counted("model:"), key=lambda item: (-item[1], item[0]))),
        tuple(sorted(name for name, _ in counted("unpriced:"))),
    )


def book_fact(space: Workspace, entry: Entry) -> None:
    """Keep a usage fact or a link between spans; its run is resolved when settling."""
    run = space.run(entry.run, CLIENT_RUN, entry.job)
    if entry.kind != "path" and not entry.data.get("void"):
        fact = entry.fact
        _put_price(entry, space.price)
        loose = entry.data.get("by") == "job" or (fact.role != LLM and not fact.manual)
        run.loose = run.loose or (loose and run.uid == run.job)
    run.facts += 1
    run.facts_new += 1
    space.runs[run.uid] = run
    space.usage.setdefault(run.uid, []).append(entry)
    space.hold(entry)


def _put_price(entry: Entry, pricing: Pricing | None) -> None:
    fact = entry.fact
    if fact.has_usage and fact.cost is None and fact.total and pricing is not None:
        price = pricing(fact)
        if price is not None:
            entry.data["price"] = list(price)


def resolve_alone(
    run: str, job: str, entries: Iterable[Entry], pricing: Pricing | None
) -> tuple[list[BookedCall], Sums]:
    """Return the calls of a run of which nobody has told but these facts, and what it has spent on them."""
    for entry in entries:
        _put_price(entry, pricing)
    facts = _Facts(entries)
    found = resolve(facts.facts)
    calls = [facts.booked(run, job, call) for call in (*found.calls, *found.silent)]
    return calls, _exchanged({}, calls)


def add_spend(job: Run, spends: Iterable[Sums]) -> None:
    """Add what new client runs have spent to their job."""
    for spend in spends:
        add_sums(job.spend, spend)
    _tidy(job.spend)


def settle_usage(space: Workspace, *, exact: bool) -> None:
    """Resolve the runs whose facts have changed; but for `exact` only those that are small or have grown."""
    waiting = set(space.usage)
    if exact:
        waiting.update(space.store.load_unresolved())
    space.load_runs(waiting)
    runs = [run for uid in sorted(waiting) if (run := space.known_run(uid)) is not None and run.facts_new]
    due = [run for run in runs if exact or run.facts <= _FEW or run.facts_new * 2 >= run.facts]
    jobs = {run.job: space.job(run.job) for run in due}
    for run in due:
        if run.uid != run.job:
            _resolve(space, run)
    ready = {run.uid for run in due}
    for job in jobs.values():
        if job.uid in ready or job.loose:
            _resolve(space, job)
        _tidy(job.spend)


def _resolve(space: Workspace, run: Run) -> None:
    facts = _Facts(_entries(space, run.job, run.uid))
    found = resolve(facts.facts, links=facts.links)
    calls = [*found.calls, *found.silent]
    if run.uid == run.job and run.loose:
        calls = _not_of_clients(space, run, facts, calls)
    new = [facts.booked(run.uid, run.job, call) for call in calls]
    old = [] if space.is_made(run.uid) else list(space.store.load_calls(run.uid))
    space.take_calls(run, new)
    _spend_on_parts(space, run, old, new)
    if run.uid != run.job:
        run.spend = _exchanged(run.spend, new)
    _spend_on_job(space, run, old, new)
    run.facts_new = 0
    space.runs[run.uid] = run


def _spend_on_parts(space: Workspace, run: Run, old: Sequence[BookedCall], new: Sequence[BookedCall]) -> None:
    by_part: dict[str, list[BookedCall]] = {call.part: [] for call in [*old, *new] if call.part}
    for call in new:
        if call.part:
            by_part[call.part].append(call)
    space.load_parts(set(by_part))
    for uid, calls in by_part.items():
        part = space.part(uid)
        part.spend = _exchanged(part.spend, calls)
        space.touch(part)


def _exchanged(spend: Sums, calls: Iterable[BookedCall]) -> Sums:
    """Return a spend in which `calls` take the place of the calls it had."""
    total = {name: value for name, value in spend.items() if not is_usage(name)}
    for call in calls:
        add_sums(total, call.sums)
    _tidy(total)
    return total


def _tidy(spend: Sums) -> None:
    """Take out the names nothing was measured for: they depend on the calls alone, not on their history."""
    blank = {"prompt", "completion"} if not spend.get("calls") else set[str]()
    if not spend.get("priced"):
        blank.add("llm_pico")
    measured = {"prompt", "completion", "llm_pico"} - blank
    for name in [name for name, value in spend.items() if is_usage(name) and not value]:
        if name not in measured:
            del spend[name]
    for name in blank & spend.keys():
        del spend[name]


def _spend_on_job(space: Workspace, run: Run, old: Sequence[BookedCall], new: Sequence[BookedCall]) -> None:
    """Put the new calls of a run in the place of its old ones; an id counts once in the job."""
    job = space.job(run.job)
    for call in new:
        add_sums(job.spend, call.sums)
    for call in old:
        add_sums(job.spend, call.sums, -1)
    before, after = _by_id(old), _by_id(new)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    for name, others in _held_elsewhere(space, run, changed).items():
        add_sums(job.spend, _repeated([*others, *before.get(name, ())]))
        add_sums(job.spend, _repeated([*others, *after.get(name, ())]), -1)
    space.runs[job.uid] = job


def _by_id(calls: Iterable[BookedCall]) -> dict[str, list[BookedCall]]:
    groups: dict[str, list[BookedCall]] = {}
    for call in calls:
        if call.id is not None:
            groups.setdefault(call.id, []).append(call)
    return groups


def _held_elsewhere(space: Workspace, run: Run, ids: set[str]) -> dict[str, list[BookedCall]]:
    """Return the calls with these ids, as the job counts them now; of other runs only."""
    found: dict[str, list[BookedCall]] = {name: space.calls_with_id(run.job, name) for name in ids}
    for call in space.store.load_calls_of_ids(run.job, ids) if ids else ():
        if call.run not in space.calls and call.id is not None:
            found[call.id].append(call)
    return {name: [call for call in calls if call.run != run.uid] for name, calls in found.items()}


def _repeated(calls: Sequence[BookedCall]) -> Sums:
    """Return what all but the latest of calls with one id add up to."""
    surplus: Sums = {}
    for call in sorted(calls, key=lambda call: (call.at_ns, call.speaker, call.run))[:-1]:
        add_sums(surplus, call.sums)
    return surplus


def _entries(space: Workspace, job: str, run: str | None) -> list[Entry]:
    """Return the facts and paths of a run or of a whole job, each place once."""
    loaded = () if run is not None and space.is_made(run) else space.store.load_usage(job, run)
    stored = [entry for entry in loaded if entry.place not in space.keyed]
    if run is None:
        fresh = [entry for entries in space.usage.values() for entry in entries if entry.job == job]
    else:
        fresh = space.usage.get(run, [])
    return stored + [entry for entry in fresh if entry.key is None or space.keyed.get(entry.place) is entry]


@dataclass(slots=True)
class _Witness:
    entry: Entry
    fact: UsageFact


class _Facts:
    """The facts and links among entries; of equal keys given by hand only the latest."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.links: dict[SpanKey, str | None] = {}
        self._held: dict[SpanKey, _Witness] = {}
        latest: dict[str, Entry] = {}
        chosen: list[Entry] = []
        for entry in entries:
            if entry.kind == "path":
                trace, _, span = (entry.key or "").partition(":")
                self.links[trace, span] = max(self.links.get((trace, span)) or "", entry.data["p"])
            elif entry.kind == "usage" and entry.key is not None:
                held = latest.get(entry.key)
                latest[entry.key] = entry if held is None or held.stamp < entry.stamp else held
            elif not entry.data.get("void"):
                chosen.append(entry)
        self.witnesses = [_Witness(entry, entry.fact) for entry in [*chosen, *latest.values()]]
        self.facts = [witness.fact for witness in self.witnesses]
        for witness in sorted(self.witnesses, key=lambda one: one.entry.stamp):
            self._held[witness.fact.trace_id, witness.fact.span_id] = witness

    def booked(self, run: str, job: str, call: Call) -> BookedCall:
        """Return a call as the ledger keeps it."""
        entry = self._held[call.speaker].entry
        speaker = ":".join(call.speaker)
        names = (call.model, call.provider)
        sums = self._sums(call, entry)
        return BookedCall(run, job, entry.part, call.id, call.at_ns, speaker, *names, sums)

    @staticmethod
    def _sums(call: Call, entry: Entry) -> Sums:
        if not call.requests:
            return {"unmetered": 1}
        sums: Sums = {"calls": call.requests, "prompt": call.prompt, "completion": call.completion}
        for name, value in (("cached", call.cached), ("reasoning", call.reasoning)):
            if value is not None:
                sums[name] = value
        model = call.model or UNKNOWN_MODEL
        sums[f"model:{model}"] = call.requests
        if not call.metered:
            sums["unmetered"] = 1
        price = entry.data.get("price")
        cost = call.cost if call.cost is not None else Decimal(price[0]) if price else None
        if cost is not None:
            sums |= {"llm_pico": int(cost * PICO), "priced": call.requests}
        elif call.total:
            sums |= {"unpriced": call.requests, f"unpriced:{model}": call.requests}
        if entry.data.get("by"):
            sums[f"by:{entry.data['by']}"] = call.requests
        return sums

    def is_loose(self, key: SpanKey) -> bool:
        """Tell whether a fact of a job may be about a call of one of its client runs."""
        witness = self._held[key]
        fact = witness.fact
        return not fact.manual and (witness.entry.data.get("by") == "job" or fact.role != LLM)


def _not_of_clients(space: Workspace, job: Run, own: _Facts, calls: list[Call]) -> list[Call]:
    """Return the job's own calls, without those that client runs have witnesses of."""
    everything = _Facts(_entries(space, job.uid, None))
    merged = resolve(everything.facts, links=everything.links)
    mine = {(fact.trace_id, fact.span_id) for fact in own.facts}
    alone = {
        span for call in [*merged.calls, *merged.silent] if mine.issuperset(call.spans) for span in call.spans
    }
    return [
        call
        for call in calls
        if not all(own.is_loose(span) for span in call.spans) or not alone.isdisjoint(call.spans)
    ]
