"""Read the recordings: spans of real instrumentations against a server that logs what it billed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jobspan.model.usage.fact import UsageFact
from jobspan.model.usage.normalise import normalise

FOLDER = Path(__file__).parent / "recordings"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDER / "EXPECTED.json").read_text())["cases"]
EXACT = sorted(name for name, case in EXPECTED.items() if case["reachable_is_exact"])

Links = dict[tuple[str, str], str | None]


def spans_of(name: str) -> list[dict[str, Any]]:
    return json.loads((FOLDER / f"{name}.json").read_text())["spans"]


def fact_of(span: dict[str, Any]) -> UsageFact | None:
    return normalise(
        span["attributes"],
        scope=span["scope"]["name"],
        name=span["name"],
        trace_id=span["trace_id"],
        span_id=span["span_id"],
        parent_span_id=span["parent_id"],
        start_ns=span["start_time_unix_nano"],
        end_ns=span["end_time_unix_nano"],
        kind=span["kind"],
        failed=span["status"] == "ERROR",
    )


def facts_and_links(name: str) -> tuple[list[UsageFact], Links]:
    spans = spans_of(name)
    links: Links = {(span["trace_id"], span["span_id"]): span["parent_id"] for span in spans}
    return [fact for span in spans if (fact := fact_of(span)) is not None], links
