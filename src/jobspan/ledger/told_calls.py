"""Calls in new client runs told whole: they have no other witness yet, and are resolved on the spot."""

from __future__ import annotations

import json

from jobspan.ledger import codec
from jobspan.model.entry import Entry
from jobspan.model.numbers import Sums
from jobspan.model.spending import resolve_alone
from jobspan.model.telling import ToldPart
from jobspan.model.workspace import Pricing


class ToldCalls:
    """Gathers the rows that the calls of parts told whole make."""

    def __init__(self, pricing: Pricing | None) -> None:
        self._pricing = pricing
        self.entries: list[codec.Row] = []
        self.calls: list[codec.Row] = []
        self.spends: dict[str, list[Sums]] = {}
        """Of each job, what its client runs have spent."""

    def take(self, run: str, part: ToldPart) -> Sums:
        """Take the calls of a client run whose only part is this one; return what they add up to."""
        place = ("usage", part.uid, part.uid, run, part.job)
        entries = [
            Entry(*place, (int(at_ns), part.uid, int(seq)), {"u": json.loads(text)})
            for seq, at_ns, text in part.usages
        ]
        calls, spend = resolve_alone(run, part.job, entries, self._pricing)
        self.entries += map(codec.entry_row, entries)
        self.calls += map(codec.call_row, calls)
        self.spends.setdefault(part.job, []).append(spend)
        return spend
