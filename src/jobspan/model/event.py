"""The events a journal holds: their kinds, their keys, and how they are written and read.

An event is one JSON object on one line. Every event has::

    e   kind (below)
    w   writer id: handle x process; of the opener it is the part's uid
    q   sequence number of the writer: (w, q) is the event's identity
    t   instant, nanoseconds since the epoch
    p   uid of the part it belongs to; left out when it is w

and by kind::

    process   who writes this journal: process, host, pid, ... (the first record of each journal)
    open      kind j|c|o, job, name, parent, top, id, part, attempt, lane, deadline, to, free
    add       c {counter: delta}; x
    item      key, c {counter: value}
    set       f {field: value}; x
    note      text
    skip      reason
    error     type, message, item, place
    usage     key, model, provider, n {prompt, completion, cached, reasoning, cost ...}
    cost      key, source, micro_usd
    close     how, type, message, lane
    gone      the process of this journal ended without closing what it opened (written by a reader)

``x`` is the epoch of a counter: a `set` takes away what was added in earlier epochs.
Deltas are applied once each; any order and any repetition folds to the same records.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as quote
from typing import Any

__all__ = ["Event", "event_part", "quote", "read_event", "write_event"]

Event = Mapping[str, Any]

KINDS = frozenset(
    ["process", "open", "add", "item", "set", "note", "skip", "error", "usage", "cost", "close", "gone"]
)


def write_event(event: Event) -> str:
    """Return the event as one line of ASCII JSON.

    Raises:
        ValueError: A value is NaN or infinite.
    """
    return json.dumps(event, separators=(",", ":"), allow_nan=False)


def read_event(payload: bytes | str) -> Event | None:
    """Return the event in a journal record; None where it is no event this version knows."""
    try:
        event = json.loads(payload)
    except ValueError:
        return None
    if not isinstance(event, dict) or event.get("e") not in KINDS:
        return None
    if event["e"] not in ("process", "gone") and not (
        isinstance(event.get("w"), str)
        and isinstance(event.get("q"), int)
        and isinstance(event.get("t"), int)
    ):
        return None
    return event


def event_part(event: Event) -> str:
    """Return the uid of the part an event belongs to."""
    part: str = event.get("p") or event["w"]
    return part
