"""Parts told whole take a short way into the ledger; it gives the rows that the fold itself gives."""

from __future__ import annotations

import json
import random
import sqlite3
import tracemalloc
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobspan import client_run, job
from jobspan.journal import Place, reader
from jobspan.journal.given import GivenIds
from jobspan.ledger import codec, queries
from jobspan.ledger.batch import Batch
from jobspan.ledger.folding import fold_batch
from jobspan.ledger.price import price_of
from jobspan.model import settling
from jobspan.model.event import read_event, read_objects
from jobspan.model.telling import ToldPart, tell
from tests.conftest import Fresh
from tests.model.histories import START, Event, History, Writer, legal_history, record_of
from tests.model.histories import Script as Histories
from tests.model.stores import SqliteStore, fold_in_order, fold_pass, records_of, sqlite_ledger, sweep

NO_IDS = GivenIds(Place(Path("/nowhere/ledger.db")), lambda start_ns: None)

seeds = st.integers(0, 2**32)
quick = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


class PlainScript(Histories):
    """Random histories, most parts of which are plain: opened, added to, closed; some clients come often."""

    def client_part(self, job: str, parent: str, process: str, tracked: bool, client: str) -> None:
        rng = self.random
        for _ in range(rng.randint(1, 4)):
            name = client if rng.random() < 0.6 else self.uid("once ")
            self.plain(job, parent, process, name)
        if rng.random() < 0.4:
            super().client_part(job, parent, process, tracked, client)

    def plain(self, job: str, parent: str, process: str, client: str, **extra: Any) -> None:
        rng = self.random
        writer = Writer(self, self.uid("W"), process)
        place = {"kind": "c", "job": job, "name": client, "client": client, "parent": parent, "lane": 1}
        if rng.random() < 0.3 and not extra:
            extra = {"part": rng.choice(["map 0", "map 1", "map 2"]), "attempt": rng.choice([1, 1, 1, 2])}
        writer.write("open", **place, **extra)
        for _ in range(rng.randint(0, 3)):
            if rng.random() < 0.1:
                self.plain(job, writer.uid, process, self.uid("nested "))
            writer.write("add", c={rng.choice(["leads", "posts", "é\u2028"]): rng.randint(0, 5)})
            if rng.random() < 0.3:
                self.usage_by_hand(writer)
            if rng.random() < 0.3:
                writer.write("note", text=rng.choice(["so it is", 'said "é" \\', "two\nlines", ""]))
        if rng.random() < 0.1:
            self.operation(job, writer.uid, writer.uid, process, client, 1)
        writer.write("close", how="ok", lane=1)
        if rng.random() < 0.15:
            self.work(writer)
        if "retry" not in extra and rng.random() < 0.2:
            self.plain(job, parent, rng.choice(self.processes), client, retry=writer.uid, attempt=2)

    def usage_by_hand(self, writer: Writer) -> None:
        """Write a call as `record_usage` does; sums of others and equal ones are among them."""
        rng = self.random
        used = rng.choice(
            [{"in": 10, "out": 5}, {"in": 20, "out": 10}, {"in": 10, "out": 5, "cr": 3, "re": 1}]
        )
        names = rng.choice([{}, {"m": "gpt-4o"}, {"m": "gpt-4o", "pr": "openai"}])
        span = {"t": "ab" * 16, "s": "", "b": 0, "e": 0, "p": "cd" * 8}
        more = rng.choice([{}, {}, {}, {"key": rng.choice(["resp_1", "resp_2"])}, {"by": "job"}])
        writer.write("usage", u={**span, **used, "sc": "jobspan", **names, "h": True}, **more)


def told_in_batches(history: History, order: int) -> list[list[tuple[Event, str]]]:
    """Cut the events into batches: as written, shuffled, or with repetitions."""
    rng = random.Random(order)
    events = list(history.events)
    if rng.random() < 0.4:
        events += rng.choices(events, k=rng.randint(0, len(events)))
    if rng.random() < 0.3:
        rng.shuffle(events)
    elif rng.random() < 0.5:
        at = rng.randint(0, len(events))
        events = events[at:] + events[:at]
    most = rng.choice([3, 10, 30, 1000])
    batches: list[list[tuple[Event, str]]] = []
    while events:
        size = rng.randint(1, most)
        batches.append(events[:size])
        events = events[size:]
    return batches


def as_batch(events: list[tuple[Event, str]]) -> Batch:
    """Sort events as the folder does: journal by journal, each in its order."""
    batch = Batch(100)
    for process in dict.fromkeys(process for _, process in events):
        found = [record_of(event) for event, home in events if home == process]
        assert batch.add(found, process) == 0
    return batch


def rows_of(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return all parts, runs and processes, decoded: how the text of a row is written is its own affair."""
    parts = connection.execute(queries.PARTS.replace("WHERE uid IN ({many})", "")).fetchall()
    parts += connection.execute(queries.PARTS_IN_RUNS.replace("IN ({many})", "IS NOT NULL")).fetchall()
    assert len(parts) == len({uid for uid, *_ in parts})
    runs = connection.execute(queries.RUNS.replace("WHERE uid IN ({many})", "")).fetchall()
    processes = connection.execute("SELECT uid, about, last_ns, gone_ns FROM processes").fetchall()
    found: dict[str, Any] = {f"part {row[0]}": codec.read_part(row) for row in parts}
    found |= {f"run {row[0]}": codec.read_run(row) for row in runs}
    columns = "kind, part, top, run, job, at_ns, writer, seq, data, source, key"
    entries = map(codec.read_entry, connection.execute(f"SELECT {columns} FROM entries WHERE job != ''"))
    found["entries"] = sorted(entries, key=lambda entry: (entry.stamp, entry.kind, entry.key or ""))
    columns = "run, job, part, id, at_ns, speaker, model, provider, sums"
    calls = map(codec.read_call, connection.execute(f"SELECT {columns} FROM calls"))
    found["calls"] = sorted(calls, key=lambda call: (call.at_ns, call.speaker))
    return found | {f"process {row[0]}": codec.read_process(row) for row in processes}


def both_ways(history: History, order: int) -> tuple[sqlite3.Connection, sqlite3.Connection, int]:
    """Fold a history by the general fold alone, and with the short way; count the parts that took it."""
    general, short = sqlite_ledger(), sqlite_ledger()
    told = 0
    dead = list(history.gone.items())
    rng = random.Random(order)
    batches = told_in_batches(history, order)
    for number, events in enumerate(batches):
        gone = dead if number == len(batches) - 1 or rng.random() < 0.1 else []
        batch = as_batch(events)
        told += len(batch.told)
        fold_batch(short, batch, NO_IDS)
        fold_pass(SqliteStore(short), [], gone)
        fold_pass(SqliteStore(general), events, gone, price_of)
    for connection in (general, short):
        sweep(SqliteStore(connection), history.swept_at)
    return general, short, told


def unsettled_records(history: History) -> list[dict[str, Any]]:
    """Return the records of a history folded in one pass in which every part is weighed, none settled."""
    connection = sqlite_ledger()
    with mock.patch.object(settling, "whole_of", return_value=None):
        fold_in_order(SqliteStore(connection), history, price_of)
    return records_of(connection)


@quick
@given(seeds, seeds)
def test_the_short_way_gives_the_rows_of_the_fold(seed: int, order: int) -> None:
    history = PlainScript(seed, 3).run()
    general, short, _ = both_ways(history, order)
    assert rows_of(short) == rows_of(general)
    assert records_of(short) == records_of(general) == unsettled_records(history)


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
@given(seeds, seeds, st.integers(1, 6))
def test_the_short_way_gives_the_rows_of_the_fold_many_times(seed: int, order: int, size: int) -> None:
    for history in (PlainScript(seed, size).run(), legal_history(seed, size)):
        general, short, _ = both_ways(history, order)
        assert rows_of(short) == rows_of(general)
        assert records_of(short) == unsettled_records(history)


def test_most_parts_of_the_plain_histories_take_the_short_way() -> None:
    told = sum(both_ways(PlainScript(seed, 3).run(), seed)[2] for seed in range(60))
    assert told > 30


JOB_OPEN: Event = {"e": "open", "w": "J", "q": 0, "t": START, "kind": "j", "job": "J", "name": "j", "id": "1"}


def whole_part(uid: str, leads: int, **extra: Any) -> list[Event]:
    place = {"kind": "c", "job": "J", "name": "x", "client": "x", "parent": "J", "lane": 1, **extra}
    return [
        {"e": "open", "w": uid, "q": 0, "t": START, **place},
        {"e": "add", "w": uid, "q": 1, "t": START + 1, "c": {"leads": leads}},
        {"e": "close", "w": uid, "q": 2, "t": START + 2, "how": "ok", "lane": 1},
    ]


@pytest.mark.parametrize("order", [[0, 1, 2], [0, 2, 1], [2, 1, 0], [1, 2, 0]])
@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("name", ["", "map 0"])
def test_another_attempt_takes_the_place_of_a_settled_part(
    order: list[int], at_once: bool, name: str
) -> None:
    first, second = ({"part": name, "attempt": n} if name else {} for n in (1, 2))
    later = second or {"retry": "C1", "attempt": 2}
    stories = [[JOB_OPEN], whole_part("C1", 2, **first), whole_part("C2", 5, **later)]
    events = [(event, "p") for place in order for event in stories[place]]
    connection = sqlite_ledger()
    for some in [events] if at_once else [[event] for event in events]:
        fold_batch(connection, as_batch(some), NO_IDS)
    (job,) = records_of(connection)
    (run,) = job["client_runs"]
    assert (run["leads_processed"], job["items_processed"]) == (5, 5)


OPEN: Event = {
    "e": "open",
    "w": "C",
    "q": 0,
    "t": START,
    "kind": "c",
    "job": "J",
    "name": "x",
    "client": "x",
    "parent": "J",
    "lane": 1,
}
NAMED: Event = {**OPEN, "part": "map 0", "attempt": 1}
ADD: Event = {"e": "add", "w": "C", "q": 1, "t": START + 1, "c": {"leads": 1}}
CLOSE: Event = {"e": "close", "w": "C", "q": 2, "t": START + 2, "how": "ok", "lane": 1}


def told(*events: Event) -> list[ToldPart]:
    """Return the parts told whole by events as a handle writes them; the others are left over as they are."""
    records = [record_of(event) for event in events]
    parts, others = tell(records, "p")
    assert sorted([*others, *(record for part in parts for record in part.payloads())]) == sorted(records)
    return parts


def test_a_plain_part_is_told_whole() -> None:
    (part,) = told(OPEN, ADD, CLOSE)
    assert part.whole() == ({"leads": 1}, START, START + 2)
    assert (part.name, part.events) == ("", 3)


def test_a_part_with_no_addition_or_several_is_told_whole() -> None:
    (part,) = told(OPEN, {**CLOSE, "q": 1})
    assert part.whole() == ({}, START, START + 2)
    more = {**ADD, "q": 2, "c": {"leads": 2, "posts": 2**49}}
    (part,) = told(OPEN, {**ADD, "t": START + 9}, more, {**ADD, "q": 3}, {**CLOSE, "q": 4})
    assert part.whole() == ({"leads": 4, "posts": 2**49}, START, START + 2)
    assert (int(part.last_ns), part.events) == (START + 9, 5)


NOTE: Event = {"e": "note", "w": "C", "q": 2, "t": START + 7, "text": 'it said "é"\n'}


def test_a_part_with_notes_is_told_whole() -> None:
    (part,) = told(OPEN, ADD, NOTE, {**ADD, "q": 3}, {**NOTE, "q": 4, "t": START + 3}, {**CLOSE, "q": 5})
    assert (part.whole().counts, part.events, int(part.last_ns)) == ({"leads": 2}, 6, START + 7)
    assert [(note.seq, int(note.at_ns) - START) for note in part.notes] == [("2", 7), ("4", 3)]
    assert {json.loads(f'"{note.text}"') for note in part.notes} == {NOTE["text"]}
    (part,) = told(OPEN, {**NOTE, "q": 1}, {**CLOSE, "q": 2})
    assert (part.counts, len(part.notes)) == ("", 1)
    assert told(OPEN, {**NOTE, "q": 1}, {**ADD, "q": 3}, {**CLOSE, "q": 2}) == []
    for between in (
        [{**NOTE, "q": 1}, {**ADD, "q": 3}],
        [{**NOTE, "q": 1, "text": ""}],
        [{**NOTE, "q": 1, "p": "D"}],
    ):
        assert told(OPEN, *between, {**CLOSE, "q": len(between) + 1}) == []


def test_a_number_beyond_all_numbers_is_left_to_the_fold() -> None:
    """To read it as a whole number raises, and would hold up the journal it stands in for good."""
    for other in (ADD, NOTE):
        records = [record_of(OPEN), record_of(other), record_of({**CLOSE, "q": 2})]
        records[1] = records[1].replace(b'"q":%d' % other["q"], b'"q":' + b"9" * 5000)
        parts, others = tell([*records, record_of(NOTE)], "p")
        assert (parts, sorted(others)) == ([], sorted([*records, record_of(NOTE)]))


@pytest.mark.parametrize("how", ["ok", "failed"])
def test_texts_full_of_quotes_take_little_memory(how: str) -> None:
    """A search that remembers each escape it could go back to takes a hundred times as much as the text."""
    notes = [{**NOTE, "q": seq, "text": '{"a": "b\\n"}' * 300} for seq in range(1, 61)]
    records = [record_of(event) for event in (OPEN, *notes, {**CLOSE, "q": 61, "how": how})]
    tracemalloc.start()
    parts, _ = tell(records, "p", at_once=100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(parts) == (how == "ok")
    assert peak < 12 * sum(map(len, records))


FACT: Event = {"t": "ab" * 16, "s": "", "b": 0, "e": 0, "p": "cd" * 8, "in": 9, "out": 4, "sc": "jobspan"}
USED: Event = {"e": "usage", "w": "C", "q": 1, "t": START + 1, "u": {**FACT, "m": "gpt-4o", "h": True}}


def test_a_part_with_calls_booked_by_their_numbers_is_told_whole() -> None:
    (part,) = told(OPEN, USED, {**ADD, "q": 2}, {**USED, "q": 3, "t": START + 9}, {**CLOSE, "q": 4})
    assert (part.whole().counts, part.events, int(part.last_ns)) == ({"leads": 1}, 5, START + 9)
    assert [(call.seq, json.loads(call.text)) for call in part.usages] == [("1", USED["u"]), ("3", USED["u"])]
    for other in (
        {**USED, "key": "resp_1"},
        {**USED, "by": "job"},
        {**USED, "u": {**FACT, "h": False}},
        {**USED, "u": {**FACT, "id": "resp_1", "h": True}},
        {**USED, "u": {**FACT, "c": "0.1", "h": True}},
        {**USED, "u": {**FACT, "s": "ab" * 8, "h": True}},
        {**USED, "u": {**FACT, "in": -9, "h": True}},
    ):
        assert told(OPEN, other, {**CLOSE, "q": 2}) == []


def test_what_handles_write_of_calls_and_notes_is_told_whole(fresh: Fresh) -> None:
    with job("nightly"):
        for client in ("A", "B"):
            with client_run(client) as one:
                one.record_usage(input_tokens=900, output_tokens=80, model="gpt-4o-mini")
                one.note("so it is\nindeed")
                one.add(leads=1)
                one.record_usage(input_tokens=9, output_tokens=8, cached_tokens=3, reasoning_tokens=2)
                one.record_usage(input_tokens=9, model="my own", provider='"them"')
    (path,) = reader.journals(Place(fresh.ledger))
    parts, _ = tell(reader.read(path, 0, 2**20).payloads, "p")
    assert [(part.client, len(part.usages), len(part.notes)) for part in parts] == [("A", 3, 1), ("B", 3, 1)]
    run = fresh.client("B")
    assert (run.llm_calls, run.prompt_tokens, run.completion_tokens) == (3, 918, 88)
    assert fresh.job().prompt_tokens == 2 * 918


def test_a_witness_that_comes_later_speaks_of_the_call_told_before() -> None:
    """What is told whole is resolved at once, and again with whatever is told of it later."""
    connection = sqlite_ledger()
    open_, _, close = whole_part("C1", 2)
    first = [JOB_OPEN, open_, {**USED, "w": "C1"}, {**close, "q": 2}]
    batch = as_batch([(event, "p") for event in first])
    assert [len(part.usages) for part in batch.told] == [1]
    fold_batch(connection, batch, NO_IDS)
    span = {**FACT, "s": "ef" * 8, "b": START, "e": START + 2, "sc": "openai", "m": "gpt-4o"}
    late = {"e": "span", "w": "S", "p": "C1", "q": 0, "t": START + 3, "u": span}
    more = {**USED, "w": "C1", "q": 3, "u": {**FACT, "in": 70, "h": True}}
    for event, wanted in ((late, 9), (more, 79)):
        fold_batch(connection, as_batch([(event, "p")]), NO_IDS)
        (record,) = records_of(connection)
        assert record["prompt_tokens"] == record["client_runs"][0]["prompt_tokens"] == wanted


def test_notes_of_parts_told_whole_are_in_the_record() -> None:
    connection = sqlite_ledger()
    open_, add, close = whole_part("C1", 2)
    first = [open_, add, {**NOTE, "w": "C1"}, {**close, "q": 3}]
    others = [[{**event, "w": f"C{n}"} for event in first] for n in (2, 3)]
    for story in ([JOB_OPEN, *first], [*others[0], *others[1]]):
        batch = as_batch([(event, "p") for event in story])
        assert len(batch.told) == len(story) // 4
        fold_batch(connection, batch, NO_IDS)
    (job,) = records_of(connection)
    (run,) = job["client_runs"]
    assert (run["leads_processed"], run["system_notes"].count('it said "é"')) == (6, 3)


def test_the_first_attempt_of_a_named_part_is_told_whole() -> None:
    (part,) = told(NAMED, ADD, CLOSE)
    assert part.name == "map 0"
    for opening in ({**NAMED, "attempt": 2}, {**NAMED, "part": ""}, {**NAMED, "free": 1}):
        assert told(opening, ADD, CLOSE) == []


@pytest.mark.parametrize("client", ["x", "Müller", '"a\\b"', "株式会社", "🙂 & co", "a/b", "{x}\\n"])
def test_clients_are_called_as_they_are(client: str) -> None:
    (part,) = told({**OPEN, "client": client, "name": client}, ADD, CLOSE)
    assert part.client == client == json.loads(f'"{part.label}"')


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_parts_of_several_threads_are_told_whole(threads: int) -> None:
    names = [f"C{n}" for n in range(1, 100)]
    stories = [[{**event, "w": name} for event in (OPEN, ADD, CLOSE)] for name in names]
    turns: list[Event] = []
    for first in range(0, len(stories), threads):
        turns += [
            event for at_once in zip(*stories[first : first + threads], strict=True) for event in at_once
        ]
    assert sorted(part.uid for part in told(JOB_OPEN, *turns)) == sorted(names)


@pytest.mark.parametrize("adds", [70, 500])
def test_a_part_of_many_additions_is_told_whole(adds: int) -> None:
    more = [{**ADD, "q": seq, "t": START + seq, "c": {"leads": seq % 3}} for seq in range(1, adds + 1)]
    (part,) = told(OPEN, *more, {**CLOSE, "q": adds + 1})
    assert part.whole().counts == {"leads": sum(seq % 3 for seq in range(1, adds + 1))}
    assert (int(part.last_ns), part.events) == (START + adds, adds + 2)
    del more[adds // 2]
    assert told(OPEN, *more, {**CLOSE, "q": adds + 1}) == []


def test_a_part_with_a_late_event_is_told_without_it() -> None:
    late: Event = {**ADD, "q": 3}
    parts, others = tell([record_of(event) for event in (OPEN, ADD, CLOSE, late)], "p")
    assert ([part.uid for part in parts], others) == (["C"], [record_of(late)])


def test_what_handles_write_is_told_whole(fresh: Fresh) -> None:
    """How handles write these events and how they are known by their text is one agreement."""
    clients = ["Wilson", "Müller", '"quoted" \\ 🙂']
    with job("nightly") as run:
        for client in clients:
            with client_run(client) as one:
                one.add(leads=1, posts=2)
                one.add(leads=4)
        run.map(lambda client: None, [f"mapped {client}" for client in clients])
    (path,) = reader.journals(Place(fresh.ledger))
    parts, _ = tell(reader.read(path, 0, 2**20).payloads, "p")
    assert sorted(part.client for part in parts) == sorted([*clients, *(f"mapped {one}" for one in clients)])


def test_a_client_run_entered_once_is_one_row_until_there_is_more_to_say() -> None:
    connection = sqlite_ledger()

    def count(table: str) -> int:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    def fold(*events: Event) -> None:
        fold_batch(connection, as_batch([(event, "p") for event in events]), NO_IDS)

    fold(JOB_OPEN, *whole_part("C1", 2), *whole_part("C2", 3, client="y", name="y"))
    assert (count("runs"), count("parts")) == (3, 1)  # the job's own part
    fold({**ADD, "w": "C1", "q": 3}, *whole_part("C3", 7, client="y", name="y"))
    assert (count("runs"), count("parts")) == (3, 4)
    assert SqliteStore(connection).load_settled("J/x")[0].counters.base == {"leads": 3}
    (job,) = records_of(connection)
    assert [run["leads_processed"] for run in job["client_runs"]] == [3, 10]


def test_what_a_late_event_makes_of_a_run_told_in_the_same_batch_is_what_is_to_be_shown() -> None:
    connection = sqlite_ledger()
    late: Event = {"e": "error", "w": "Z", "p": "C1", "q": 0, "t": START + 1, "type": "ValueError"}
    events = [{**JOB_OPEN, "to": ["airtable:appX"]}, *whole_part("C1", 2), late]
    batch = as_batch([(event, "p") for event in events])
    assert len(batch.told) == 1
    fold_batch(connection, batch, NO_IDS)
    shown = connection.execute("SELECT status FROM deliveries WHERE run = 'J/x'").fetchone()
    assert shown == connection.execute("SELECT status FROM runs WHERE uid = 'J/x'").fetchone()
    assert shown == ("Completed_with_errors",)


def test_the_clients_of_a_map_take_the_short_way() -> None:
    connection = sqlite_ledger()
    stories = [
        whole_part(f"C{n}", n, name=f"x{n}", client=f"x{n}", part=f"map 3f {n}", attempt=1)
        for n in range(1, 6)
    ]
    batch = as_batch([(event, "p") for story in [[JOB_OPEN], *stories] for event in story])
    assert len(batch.told) == 5
    fold_batch(connection, batch, NO_IDS)
    assert connection.execute("SELECT count(*) FROM runs WHERE part IS NOT NULL").fetchone() == (5,)


@pytest.mark.parametrize(
    "story",
    [
        [OPEN, ADD],
        [ADD, CLOSE],
        [OPEN],
        [OPEN, CLOSE],
        [OPEN, ADD, ADD, CLOSE],
        [OPEN, ADD, {**ADD, "q": 3}, {**CLOSE, "q": 3}],
        [{**OPEN, "q": False}, ADD, CLOSE],
        [{**OPEN, "kind": "j"}, ADD, CLOSE],
        [{**OPEN, "free": 1}, ADD, CLOSE],
        [{**OPEN, "client": ""}, ADD, CLOSE],
        [{**OPEN, "t": -1}, ADD, CLOSE],
        [{**OPEN, "lane": "1"}, ADD, CLOSE],
        [OPEN, {**ADD, "q": 1.0}, CLOSE],
        [OPEN, {**ADD, "x": 3}, CLOSE],
        [OPEN, {**ADD, "p": "D"}, CLOSE],
        [OPEN, {**ADD, "c": {"leads": -1}}, CLOSE],
        [OPEN, {**ADD, "c": {"leads": True}}, CLOSE],
        [OPEN, {**ADD, "c": {"errors": 1}}, CLOSE],
        [OPEN, ADD, {**CLOSE, "how": "failed"}],
        [OPEN, ADD, {**CLOSE, "t": 2**63}],
    ],
)
def test_what_has_to_be_weighed_is_left_to_the_fold(story: list[Event]) -> None:
    assert told(*story) == []


@pytest.mark.parametrize(
    ("written", "otherwise"),
    [
        (b'"q":1,', b'"q":01,'),
        (b'"q":1,', b'"q": 1,'),
        (b'{"leads":1}', b'{"leads":01}'),
        (b'{"leads":1}', b'{"leads":1,}'),
        (b'{"leads":1}', b'{"leads":-1}'),
        (b'{"leads":1}', b'{"\\u0065rrors":1}'),
        (b'"client":"x"', b'"client":"\\ud800"'),
        (b'"client":"x"', b'"client":"x","client":"y"'),
        (b'"client":"x"', b'"client":"\\u0007"'),
        (b'"client":"x"', '"client":"é"'.encode()),
        (b'"how":"ok"', b'"how":"ok","how":"failed"'),
        (b'"lane":1}', b'"lane":1}}'),
    ],
)
def test_events_not_written_as_by_a_handle_are_left_to_the_fold(written: bytes, otherwise: bytes) -> None:
    records = [record_of(event) for event in (OPEN, ADD, CLOSE)]
    changed = [record.replace(written, otherwise) for record in records]
    assert changed != records
    assert tell(changed, "p") == ([], changed)


PAYLOADS = [
    b'{"e":"note","w":"a","q":0,"t":1,"text":"x"}',
    b'{"broken',
    b"[1]",
    b'{"text":"\\ud800"}',
    b'{"a":1},{"b":2}',
    b"",
]


@pytest.mark.parametrize("copies", [1, 40])
def test_records_read_together_are_what_each_is_alone(copies: int) -> None:
    payloads = PAYLOADS * copies
    alone = [read_objects([payload])[0] for payload in payloads]
    assert read_objects(payloads) == alone
    assert [one is None for one in alone[:6]] == [False, True, True, False, True, True]
    assert read_event(PAYLOADS[0]) == alone[0]
