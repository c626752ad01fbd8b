"""Records: what was written about a run, as people and scripts read it.

Keys are snake_case column names; None means never measured; instants are aware UTC datetimes;
money is a Decimal of US dollars. `to_dict` gives JSON values: ISO 8601 with Z, decimal strings.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from jobspan.model.counters import money_text
from jobspan.model.status import Status
from jobspan.model.usage.summary import UsageSummary

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(at_ns: int | None) -> datetime | None:
    """Return nanoseconds since the epoch as an aware UTC datetime (microseconds kept)."""
    return None if at_ns is None else _EPOCH + timedelta(microseconds=at_ns // 1000)


def instant_text(moment: datetime | None) -> str | None:
    """Return ISO 8601 UTC with milliseconds and Z, as Airtable reads it back."""
    if moment is None:
        return None
    text = (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def dollars(micro_usd: int | None) -> Decimal | None:
    """Return micro-USD as dollars, without needless zeros."""
    if micro_usd is None:
        return None
    return Decimal(money_text(micro_usd))


_AS_THEY_ARE = frozenset((str, int, type(None)))


def _plain(value: Any) -> Any:
    if type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Status):
        return value.value
    if isinstance(value, dict):
        return dict(value)  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
    if isinstance(value, tuple):
        return [_plain(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    return value.to_dict() if isinstance(value, _Record) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        specs = self.__dataclass_fields__.items()
        return {name: _plain(getattr(self, name)) for name, spec in specs if spec.repr}


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRecord(_Record):
    """What was written about one operation; `counts` holds its own counters."""

    name: str
    status: Status
    start_time: datetime | None
    end_time: datetime | None
    counts: dict[str, int]
    errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRunRecord(_Record):
    """What was written about one client's share of a job: a row of Client Run Results."""

    run_id: str
    job_run_id: str
    client_id: str
    status: Status
    start_time: datetime | None
    end_time: datetime | None
    posts_processed: int | None
    leads_processed: int | None
    errors: int | None
    system_notes: str
    token_usage: int | None
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    apify_api_costs: Decimal | None
    cost_usd: Decimal | None
    counts: dict[str, int]
    attempts: int
    operations: tuple[OperationRecord, ...]
    usage: UsageSummary = field(default_factory=UsageSummary, repr=False)
    """The calls of models summed up, for people; no key of `to_dict`."""

    @property
    def cached_tokens(self) -> int | None:
        """Return how many of the prompt tokens came from a cache; None where nobody told of any."""
        return self.usage.cached or None

    @property
    def reasoning_tokens(self) -> int | None:
        """Return how many of the completion tokens were reasoning; None where nobody told of any."""
        return self.usage.reasoning or None

    @property
    def llm_cost(self) -> Decimal | None:
        """Return what the calls of models cost, as far as it is known."""
        return self.usage.cost

    @property
    def llm_calls(self) -> int | None:
        """Return how many calls of models were counted."""
        return self.usage.calls or None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord(_Record):
    """What was written about one job: a row of Job Tracking."""

    run_id: str
    job_type: str
    status: Status
    start_time: datetime | None
    end_time: datetime | None
    items_processed: int | None
    errors: int | None
    error: str | None
    system_notes: str
    apify_run_id: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    cost_usd: Decimal | None
    client_runs: tuple[ClientRunRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow(_Record):
    """One line of a usage report: tokens, cost and calls of one client, job or model."""

    name: str
    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    cost_usd: Decimal | None
    calls: int
    unmetered_calls: int
    unpriced_calls: int


JOB_COLUMNS = tuple(spec.name for spec in fields(JobRecord) if spec.name != "client_runs")
"""The flat columns of a job, in order."""

CLIENT_RUN_COLUMNS = tuple(
    spec.name for spec in fields(ClientRunRecord) if spec.repr and spec.name != "operations"
)
"""The flat columns of a client run, in order."""
