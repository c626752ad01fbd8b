"""Rows of the table of deliveries, and the texts in them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime

from jobspan.ledger import codec
from jobspan.model.delivery import Cells, Delivery


def read_deliveries(rows: Iterable[codec.Row]) -> list[Delivery]:
    """Read rows of the table of deliveries."""
    return [read_delivery(row) for row in rows]


def read_delivery(row: codec.Row) -> Delivery:
    """Read one row of the table of deliveries."""
    delivery = Delivery(*row)
    delivery.urgent = bool(delivery.urgent)
    if row[-1] is not None:
        delivery.cells = None
        with suppress(ValueError):
            delivery.cells = json.loads(row[-1])
    return delivery


def names_text(jobs: Iterable[str] | None) -> str | None:
    """Write inside names of jobs as one parameter; None: all."""
    return None if jobs is None else json.dumps(list(jobs))


def cells_text(cells: Cells) -> str:
    """Write cells as they are kept."""
    return json.dumps(cells, separators=(",", ":"))


def month_of(now_ns: int) -> str:
    """Return the month (UTC) of an instant, as calls are counted by."""
    return datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).strftime("%Y-%m")
