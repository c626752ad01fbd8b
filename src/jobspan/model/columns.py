"""Which column is which counter or field: the snake_case names people set, and what they mean inside."""

from __future__ import annotations

from typing import Literal

Meaning = Literal["count", "money", "text", "instant", "note", "status"]

COUNTERS = {"posts_processed": "posts", "leads_processed": "leads", "items_processed": "items"}
"""Columns of counters, and the counter each shows. Any other number is a counter of its own name."""

_COMMON: dict[str, Meaning] = {
    "status": "status",
    "start_time": "instant",
    "end_time": "instant",
    "errors": "count",
    "system_notes": "note",
    "prompt_tokens": "count",
    "completion_tokens": "count",
    "total_tokens": "count",
    "cost_usd": "money",
}
JOB_FIELDS: dict[str, Meaning] = {
    **_COMMON,
    "items_processed": "count",
    "error": "text",
    "apify_run_id": "text",
}
CLIENT_RUN_FIELDS: dict[str, Meaning] = {
    **_COMMON,
    "posts_processed": "count",
    "leads_processed": "count",
    "items_processed": "count",
    "token_usage": "count",
    "apify_api_costs": "money",
}

SPECIAL_COUNTERS = frozenset(
    [
        "errors",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "token_usage",
        "cost_usd",
        "apify_api_costs",
    ]
)
"""Counters that are shown in columns of their own and never among `counts`. Money is micro-USD."""


def counter_of(column: str) -> str:
    """Return the counter a column shows."""
    return COUNTERS.get(column, column)


def did_you_mean(name: str, known: list[str]) -> str:
    """Return a hint for an unknown name: the closest known one, or all of them."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"one of: {', '.join(sorted(known))}"
