"""JSON for scripts, written piece by piece: a long list never stands in memory."""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Iterable
from typing import Any


def json_line(value: Any, *, indent: int | None = None) -> str:
    """Return a value as JSON; other than ASCII is escaped where stdout is not UTF-8."""
    utf8 = codecs.lookup(sys.stdout.encoding or "utf-8").name == "utf-8"
    return json.dumps(value, ensure_ascii=not utf8, indent=indent)


def write_object(value: dict[str, Any]) -> None:
    """Write one JSON object, indented."""
    sys.stdout.write(json_line(value, indent=2) + "\n")


def write_array(values: Iterable[dict[str, Any]]) -> None:
    """Write a JSON array, one element a line, each as soon as it is known."""
    lead = "[\n"
    for value in values:
        sys.stdout.write(lead + json_line(value))
        lead = ",\n"
    sys.stdout.write("[]\n" if lead == "[\n" else "\n]\n")
