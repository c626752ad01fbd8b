"""What a failure means for the sender, as data: wait, hold the rows, learn, split, stop.

The facts behind the rules: Airtable's documentation and what public projects saw live. After a
connection that broke, or a 5xx, the write may have been done: the same upsert is repeated, and only
when the request cannot be on its way any more. A 403 never means that something is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from jobspan.exceptions import DeliveryError
from jobspan.relay.pace import Timing


class Action(Enum):
    """What to do."""

    WAIT = "nothing was written; try again later"
    BLOCK = "nothing was written; every process leaves the destination alone for a while"
    HOLD = "it may have been written; repeat the same upsert later"
    LEARN = "the schema or a row id is not what was thought; learn from it, else split"
    MATCH = "several rows have the run id; look which one is ours"
    SPLIT = "one of the rows is refused, or there are too many; find it by halves"
    STOP = "token, base or rights; say so once, and look now and then"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a failure means.

    Attributes:
        action: What to do.
        seconds: How long; 0: by the number of failures.
        reason: For people.
    """

    action: Action
    seconds: float = 0.0
    reason: str = ""


_LEARNED = frozenset(
    [
        "UNKNOWN_FIELD_NAME",
        "INVALID_VALUE_FOR_COLUMN",
        "INVALID_MULTIPLE_CHOICE_OPTIONS",
        "ROW_DOES_NOT_EXIST",
        "INVALID_FILTER_BY_FORMULA",
    ]
)
_REASONS = {
    401: "the token is refused; give a valid AIRTABLE_API_KEY",
    403: "the token may not use this base or table; give it data.records:read, data.records:write and"
    " schema.bases:read on the base, or check AIRTABLE_BASE_ID",
    404: "the base or a table is not there; check AIRTABLE_BASE_ID",
}


def judge(error: DeliveryError, timing: Timing) -> Verdict:
    """Return what `error` means for the sender."""
    if error.status == 429:
        return _limited(error, timing)
    if error.outcome == "unknown":
        timed_out = error.type == "ReadTimeout"
        seconds = timing.overtaken if timed_out else timing.broken
        if error.status == 200:
            seconds = min(seconds, 1.0)  # it did answer: nothing is on its way any more
        return Verdict(Action.HOLD, max(seconds, error.retry_after or 0.0), str(error))
    if error.outcome == "not_sent":
        return Verdict(Action.WAIT, error.retry_after or 0.0, str(error))
    if error.status in _REASONS:
        return Verdict(Action.STOP, 0.0, _REASONS[error.status])
    if error.type in _LEARNED:
        return Verdict(Action.LEARN, 0.0, str(error))
    if error.type == "RECORD_LIMIT_EXCEEDED":
        return Verdict(Action.STOP, 0.0, "the base is full; delete rows or run `jobspan airtable prune`")
    if "more than one record" in error.message:
        return Verdict(Action.MATCH, 0.0, str(error))
    return Verdict(Action.SPLIT, 0.0, str(error))


def _limited(error: DeliveryError, timing: Timing) -> Verdict:
    if "BILLING_LIMIT" in error.type:
        reason = "the workspace has used up its API calls of the month"
        return Verdict(Action.BLOCK, timing.quota, reason)
    return Verdict(Action.BLOCK, max(timing.penalty, error.retry_after or 0.0), "too many requests (429)")
