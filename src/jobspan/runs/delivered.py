"""Client runs in a job that a delivery attached to: delivered again, they are attempts of the same parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobspan.model.handover import delivery_key
from jobspan.runs.resumption import is_unnamed

if TYPE_CHECKING:
    from jobspan.runs.kinds import ClientRun


class DeliveredJob:
    """What one delivery does in a job: its k-th entering of a client is the k-th of any other delivery.

    Args:
        of: The part that was attached to.
        delivery: What it was attached by.
        part: The name of the part of the work, if it has one.
    """

    def __init__(self, of: str, delivery: str, part: str) -> None:
        self._name = f"delivery {delivery_key(of, delivery, part)}"
        self._entered: dict[str, list[str]] = {}

    def assign(self, run: ClientRun) -> None:
        """Name the part a fresh client run is, if it has no name; retries in `map` are one part."""
        if not is_unnamed(run.part):
            return
        entered = self._entered.setdefault(run.name, [])
        mine = run.part or f" {id(run)}"
        if mine not in entered:
            entered.append(mine)
        run.be_part(f"{self._name} {entered.index(mine)}")
