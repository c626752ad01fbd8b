from __future__ import annotations

import json
import time

from hypothesis import given
from hypothesis import strategies as st

from jobspan.journal import encode, scan

_payloads = st.lists(
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=40), max_size=8
)


def _journal(payloads: list[str]) -> bytes:
    return b"".join(encode(payload) for payload in payloads)


def _bytes(payloads: list[str]) -> list[bytes]:
    return [payload.encode() for payload in payloads]


@given(_payloads, st.booleans())
def test_what_was_encoded_is_scanned(payloads: list[str], sealed: bool) -> None:
    data = _journal(payloads)
    found = scan(data, sealed=sealed)
    assert found.payloads == _bytes(payloads)
    assert found.consumed == len(data)
    assert (found.skipped, found.blocked) == (0, False)


@given(st.dictionaries(st.text(), st.text()))
def test_any_text_comes_back_as_the_same_json(value: dict[str, str]) -> None:
    for payload in (json.dumps(value), json.dumps(value, ensure_ascii=False), json.dumps(value, indent=1)):
        found = scan(encode(payload), sealed=False)
        assert [json.loads(payload) for payload in found.payloads] == [value]


@given(_payloads, st.data(), st.booleans())
def test_a_truncated_journal_gives_a_prefix(payloads: list[str], data: st.DataObject, sealed: bool) -> None:
    journal = _journal(payloads)
    cut = data.draw(st.integers(0, len(journal)))
    found = scan(journal[:cut], sealed=sealed)
    assert found.payloads == _bytes(payloads)[: len(found.payloads)]
    whole = sum(1 for n in range(len(payloads)) if len(_journal(payloads[: n + 1])) <= cut)
    assert len(found.payloads) >= whole
    assert found.skipped <= 1


@given(_payloads, st.data())
def test_a_live_scan_goes_on_where_it_stopped(payloads: list[str], data: st.DataObject) -> None:
    journal = _journal(payloads)
    cut = data.draw(st.integers(0, len(journal)))
    first = scan(journal[:cut], sealed=False)
    second = scan(journal[first.consumed :], sealed=False)
    assert first.payloads + second.payloads == _bytes(payloads)


@given(_payloads, _payloads, _payloads.filter(bool), st.data())
def test_a_torn_record_costs_no_neighbour(
    before: list[str], after: list[str], torn: list[str], data: st.DataObject
) -> None:
    record = encode(torn[0])
    rest = record[: data.draw(st.integers(0, len(record) - 1))]
    journal = _journal(before) + rest + _journal(after)
    found = scan(journal, sealed=True)
    expected = _bytes(before) + _bytes(after)
    whole = [*_bytes(before), torn[0].encode(), *_bytes(after)]  # only its last newline is missing
    assert found.payloads == (whole if rest == record[:-1] else expected)
    assert found.consumed == len(journal)
    assert scan(journal, sealed=False).payloads[: len(before)] == _bytes(before)


@given(_payloads, _payloads, _payloads.filter(bool), st.data())
def test_a_corrupt_record_costs_no_neighbour_and_gives_no_false_one(
    before: list[str], after: list[str], hurt: list[str], data: st.DataObject
) -> None:
    record = bytearray(encode(hurt[0]))
    at = data.draw(st.integers(1, len(record) - 2))
    record[at] ^= data.draw(st.integers(1, 255))
    journal = _journal(before) + bytes(record) + _journal(after)
    found = scan(journal, sealed=True)
    assert found.payloads == _bytes(before) + _bytes(after)
    assert found.skipped >= 1
    live = scan(journal, sealed=False)
    assert (live.payloads, live.consumed, live.blocked) == (_bytes(before), len(_journal(before)), True)


@given(_payloads, _payloads.filter(bool), _payloads, st.binary(min_size=1, max_size=1))
def test_a_lost_newline_costs_only_its_own_record(
    before: list[str], hurt: list[str], after: list[str], other: bytes
) -> None:
    for at in (0, -1):
        record = bytearray(encode(hurt[0]))
        record[at : len(record) + at + 1 if at else 1] = other
        found = scan(_journal(before) + bytes(record) + _journal(after), sealed=True)
        rest = _bytes(before) + _bytes(after)
        assert found.payloads in (rest, [*_bytes(before), hurt[0].encode(), *_bytes(after)])


@given(_payloads, st.integers(1, 300), st.booleans())
def test_room_not_yet_used_is_no_skip(payloads: list[str], zeros: int, sealed: bool) -> None:
    data = _journal(payloads)
    found = scan(data + b"\0" * zeros, sealed=sealed)
    assert (found.payloads, found.skipped, found.blocked) == (_bytes(payloads), 0, False)
    assert found.consumed == len(data) + (zeros if sealed else 0)


@given(_payloads, st.integers(1, 64))
def test_a_sealed_journal_read_in_pieces_gives_all(payloads: list[str], piece: int) -> None:
    journal = _journal(payloads) + b"\0" * 70
    offset, found, length = 0, [], piece
    while offset < len(journal):
        data = journal[offset : offset + length]
        result = scan(data, sealed=True, more=offset + length < len(journal))
        assert result.skipped == 0
        found.extend(result.payloads)
        offset += result.consumed
        length = piece if result.consumed else length * 2
    assert found == _bytes(payloads)


def test_scanning_is_fast() -> None:
    payload = json.dumps({"kind": "count", "writer": "a" * 16, "seq": 123456, "text": "x" * 120})
    data = encode(payload) * 20_000
    best = 0.0
    for _ in range(5):
        started = time.thread_time()
        count = len(scan(data, sealed=False).payloads)
        best = max(best, count / (time.thread_time() - started))
    assert best > 100_000  # measured 540,000 a second of CPU; the rest is room for a slow machine
