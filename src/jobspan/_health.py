"""How tracking itself is doing, as a value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Health:
    """How tracking itself is doing.

    Attributes:
        ok: Nothing was lost and nothing went wrong.
        errors: How often something inside jobspan failed.
        dropped: How many events or spans were lost.
        pending: How many events are in memory only, spans not exported, and rows not delivered yet.
        last_error: The last trouble, in words.
        reasons: Each trouble and how often it was met.
    """

    ok: bool
    errors: int
    dropped: int
    pending: int
    last_error: str | None
    reasons: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)
