"""A short way to tell a history in a test: handles that write events, and what the ledger says then."""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import Any

from jobspan.ledger.reading import LedgerReader
from jobspan.model.record import ClientRunRecord, JobRecord
from tests.model.stores import SqliteStore, fold_pass, sqlite_ledger, sweep

SECOND = 1_000_000_000
START = 1_780_000_000 * SECOND


class Teller:
    """One job `J`; `t` are seconds after its start."""

    def __init__(self, zone: tzinfo = UTC, **opening: Any) -> None:
        self.connection = sqlite_ledger()
        self.store = SqliteStore(self.connection)
        self.zone = zone
        self.events: list[tuple[dict[str, Any], str]] = []
        self.seqs: dict[str, int] = {}
        self.tell({"e": "process", "process": "p", "host": "web-1", "pid": 7})
        self.at("J", 0, "open", kind="j", job="J", name="nightly", id="260528-202640", **opening)

    def tell(self, event: dict[str, Any], process: str = "p") -> None:
        self.events.append((event, process))

    def at(self, writer: str, t: float, e: str, *, process: str = "p", **rest: Any) -> None:
        seq = self.seqs.get(writer, 0)
        self.seqs[writer] = seq + 1
        self.tell({"e": e, "w": writer, "q": seq, "t": START + round(t * SECOND), **rest}, process)

    def client(self, uid: str, t: float, name: str = "Wilson", **more: Any) -> None:
        self.at(uid, t, "open", kind="c", job="J", name=name, client=name, **{"parent": "J", **more})

    def operation(
        self, uid: str, t: float, name: str, top: str, client: str | None = "Wilson", **more: Any
    ) -> None:
        of = {} if client is None else {"client": client}
        self.at(uid, t, "open", kind="o", job="J", name=name, top=top, parent=top, **of, **more)

    def close(
        self, uid: str, t: float, how: str = "ok", type: str = "", message: str = "", **more: Any
    ) -> None:
        self.at(uid, t, "close", how=how, type=type, message=message, **more)

    def fold(self, *gone: tuple[str, float]) -> Teller:
        events, self.events = self.events, []
        fold_pass(self.store, events, [(process, START + round(t * SECOND)) for process, t in gone])
        return self

    def sweep(self, t: float) -> Teller:
        sweep(self.store, START + round(t * SECOND))
        return self

    def job(self) -> JobRecord:
        self.fold()
        record = LedgerReader(self.connection, self.zone).job("260528-202640")
        assert record is not None
        return record

    def run(self, client: str = "Wilson") -> ClientRunRecord:
        self.fold()
        record = LedgerReader(self.connection, self.zone).client_run("260528-202640", client)
        assert record is not None
        return record
