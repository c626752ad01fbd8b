"""Upserts, edits and deletions in any order keep what a plain dictionary keeps."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from jobspan.testing.airtable import refusal, seed, writing
from jobspan.testing.airtable.store import Base

TABLE = "Client Run Results"
KEYS = st.sampled_from("abcd")
UPSERT = st.tuples(st.just("upsert"), st.dictionaries(KEYS, st.integers(0, 9), min_size=1))
DELETE = st.tuples(st.just("delete"), KEYS)
RENAME = st.tuples(st.just("rename"), st.tuples(KEYS, KEYS))
BAD = st.tuples(st.just("bad"), st.dictionaries(KEYS, st.integers(0, 9)))


class Model:
    """A table beside the dictionary it should equal."""

    def __init__(self) -> None:
        self.base = Base()
        self.base.tables = seed.tables()
        self.table = self.base.table(TABLE)
        self.expected: dict[str, int] = {}

    def send(self, records: list[dict[str, Any]]) -> dict[str, Any]:
        body = {"records": records, "performUpsert": {"fieldsToMergeOn": ["Run ID"]}}
        return writing.update(self.base, self.table, body, replace=False)

    def upsert(self, rows: dict[str, int]) -> None:
        answer = self.send([{"fields": {"Run ID": key, "Errors": count}} for key, count in rows.items()])
        assert [each["fields"]["Run ID"] for each in answer["records"]] == list(rows)
        assert len(answer["createdRecords"]) == len(rows.keys() - self.expected.keys())
        assert len(answer["updatedRecords"]) == len(rows.keys() & self.expected.keys())
        self.expected.update(rows)

    def bad(self, rows: dict[str, int]) -> None:
        good = [{"fields": {"Run ID": key, "Errors": count}} for key, count in rows.items()]
        try:
            self.send([*good, {"fields": {"Run ID": "z", "Errors": "many"}}])
        except refusal.Refusal:
            return
        raise AssertionError("a bad record was taken")

    def delete(self, key: str) -> None:
        if self.expected.pop(key, None) is not None:
            (row,) = self.table.matching([self.table.primary], [key])
            writing.delete(self.table, [row.id])

    def rename(self, keys: tuple[str, str]) -> None:
        old, new = keys
        if old in self.expected and new not in self.expected:
            (row,) = self.table.matching([self.table.primary], [old])
            self.send([{"id": row.id, "fields": {"Run ID": new}}])
            self.expected[new] = self.expected.pop(old)

    def held(self) -> dict[str, int]:
        run_id, errors = self.table.field("Run ID").id, self.table.field("Errors").id
        rows = [(row.cells[run_id], row.cells[errors]) for row in self.table.rows.values()]
        assert len(dict(rows)) == len(rows)
        return dict(rows)


@given(st.lists(st.one_of(UPSERT, DELETE, RENAME, BAD), max_size=30))
@settings(max_examples=150, deadline=None)
def test_a_table_keeps_what_a_dictionary_keeps(steps: list[tuple[str, Any]]) -> None:
    model = Model()
    for verb, argument in steps:
        getattr(model, verb)(argument)
        assert model.held() == model.expected
