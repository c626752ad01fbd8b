"""What one span, or one record made by hand, says about the tokens of one LLM call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from decimal import Decimal
from typing import Any

from jobspan.model.usage.number import count, dollars

LLM = "llm"
"""Role of a fact about one call of a model."""

AGGREGATE = "agg"
"""Role of a fact that may repeat what several calls below it used: an agent, a chain, a tool."""


@dataclass(slots=True, unsafe_hash=True)
class Used:
    """What a call, or `requests` calls together, used: numbers and names only, never message content.

    A value like all others; not frozen, for to set so many fields of a frozen one takes three times as
    long, on the caller's path.

    `prompt` holds all input tokens, cache reads and writes included; `completion` all generated ones,
    reasoning included. Both are None when the call is known but not its usage, else both are numbers.
    `cost` is in US dollars, None when not reported.
    """

    prompt: int | None = None
    completion: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    cost: Decimal | None = None
    provider: str | None = None
    model: str | None = None
    response_id: str | None = None
    requests: int = 1

    @property
    def has_usage(self) -> bool:
        """Tell whether there are any numbers."""
        return self.prompt is not None

    @property
    def total(self) -> int:
        """Return prompt plus completion; the provider's own total is not trusted."""
        return (self.prompt or 0) + (self.completion or 0)


@dataclass(slots=True, unsafe_hash=True)
class UsageFact(Used):
    """State what one witness says one call used. Times are Unix nanoseconds.

    `metered` is False for a call whose usage is unknown or was only seen in part (an abandoned stream).
    `manual` marks a record made by hand; an aggregate stands for several calls.
    A fact is identified by (trace id, span id); `resolve` says which version of one fact holds.
    """

    _: KW_ONLY
    trace_id: str
    span_id: str
    parent_span_id: str | None
    scope: str
    start_ns: int
    end_ns: int
    role: str = LLM
    request_model: str | None = None
    metered: bool = True
    manual: bool = False

    @property
    def aggregate(self) -> bool:
        """Tell whether this may be the sum of several calls."""
        return self.role == AGGREGATE

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready form with short keys; what has its default value is left out."""
        out: dict[str, Any] = {}
        for name, key, default in _KEYS:
            value = getattr(self, name)
            if value != default or default is _REQUIRED:
                out[key] = str(value) if name == "cost" else value
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> UsageFact:
        """Read a fact back; missing, unknown and damaged entries take their defaults."""
        return cls(
            trace_id=_text(data.get("t")) or "",
            span_id=_text(data.get("s")) or "",
            parent_span_id=_text(data.get("p")),
            scope=_text(data.get("sc")) or "",
            start_ns=_instant(data.get("b")),
            end_ns=_instant(data.get("e")),
            role=AGGREGATE if data.get("r") == AGGREGATE else LLM,
            prompt=count(data.get("in")),
            completion=count(data.get("out")),
            cache_read=count(data.get("cr")),
            cache_write=count(data.get("cw")),
            reasoning=count(data.get("re")),
            cost=dollars(data.get("c")),
            provider=_text(data.get("pr")),
            model=_text(data.get("m")),
            request_model=_text(data.get("rm")),
            response_id=_text(data.get("id")),
            metered=data.get("me") is not False,
            manual=data.get("h") is True,
            requests=count(data.get("n")) or 1,
        )


_REQUIRED = object()
_KEYS: tuple[tuple[str, str, object], ...] = (
    ("trace_id", "t", _REQUIRED),
    ("span_id", "s", _REQUIRED),
    ("parent_span_id", "p", None),
    ("scope", "sc", _REQUIRED),
    ("start_ns", "b", _REQUIRED),
    ("end_ns", "e", _REQUIRED),
    ("role", "r", LLM),
    ("prompt", "in", None),
    ("completion", "out", None),
    ("cache_read", "cr", None),
    ("cache_write", "cw", None),
    ("reasoning", "re", None),
    ("cost", "c", None),
    ("provider", "pr", None),
    ("model", "m", None),
    ("request_model", "rm", None),
    ("response_id", "id", None),
    ("metered", "me", True),
    ("manual", "h", False),
    ("requests", "n", 1),
)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _instant(value: object) -> int:
    return value if type(value) is int else 0
