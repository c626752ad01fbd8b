"""What `map` and `amap` return for each client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from jobspan.model.status import Status

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class ClientOutcome(Generic[T, R]):
    """What became of one client.

    Attributes:
        client: The client as it came.
        client_id: Its recorded id; None if it had none.
        status: Of the last attempt.
        value: What the function returned; None if it failed.
        error: The exception of the last attempt; None if it returned.
        attempts: How many attempts were made; 0 where the client was left out, for an earlier attempt
            of the job has Completed it.
    """

    client: T
    client_id: str | None
    status: Status
    value: R | None
    error: Exception | None
    attempts: int

    @property
    def ok(self) -> bool:
        """Whether the function returned."""
        return self.error is None
