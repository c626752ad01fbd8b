r"""How one event lies in a journal: ``\n`` + CRC-32 as 8 hex digits + space + payload + ``\n``.

The newline in front keeps a torn tail from gluing itself to its neighbour (measured: without it the
first record after a full disk was lost); the checksum tells a torn record from a whole one. A record
is therefore one line, and blank lines between records mean nothing.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

_CHECK_WIDTH = 9  # eight hex digits and the space


class Scan(NamedTuple):
    """What `scan` found in a stretch of a journal."""

    payloads: list[bytes]
    consumed: int
    """Bytes that need not be looked at again; the next scan starts behind them."""
    skipped: int
    """Invalid records stepped over."""
    blocked: bool
    """True when an invalid record stands in the way and may only be stepped over once sealed."""


def encode(payload: str) -> bytes:
    """Return the record of `payload`, which is one line of JSON.

    Never fails: a line break (legal JSON has it only between tokens) becomes a space, and text that
    is not ASCII is stored as UTF-8, which `json.loads` reads back.
    """
    if "\n" in payload:
        payload = payload.replace("\n", " ")
    body = payload.encode("utf-8", "surrogatepass")
    return b"\n%08x %b\n" % (crc32(body), body)


def scan(data: bytes, *, sealed: bool, more: bool = False) -> Scan:
    """Return the payloads of the valid records at the start of `data`.

    While the owner may still write (`sealed` false) the scan stops before the first record that is
    invalid or not complete yet. Once sealed it steps over invalid ones and counts them. Zero bytes
    behind the last record are room not yet used, never a skip.

    Args:
        data: Bytes of a journal, starting where an earlier scan stopped (or at its beginning).
        sealed: Nobody will ever write to this journal again.
        more: The journal goes on behind `data`, so an unfinished last record is no torn one.
    """
    lines = data.split(b"\n")
    tail = lines.pop()
    records = [line for line in lines if line]
    payloads = [line[_CHECK_WIDTH:] for line in records]
    position, skipped = len(data) - len(tail), 0
    consumed = len(data[:position].rstrip(b"\n")) + 1 if records else 0
    checks = b"".join([line[:_CHECK_WIDTH] for line in records])
    if checks != b"%08x " * len(payloads) % tuple(map(crc32, payloads)):  # at once: half of the time
        payloads, consumed, skipped = _valid(lines, sealed)
        if skipped and not sealed:
            return Scan(payloads, consumed, 0, True)
    if not sealed:
        return Scan(payloads, consumed, 0, False)
    if more:
        return Scan(payloads, position if tail.strip(b"\0") else len(data), skipped, False)
    skipped += _take_tail(tail, payloads)
    return Scan(payloads, len(data), skipped, False)


def _valid(lines: list[bytes], sealed: bool) -> tuple[list[bytes], int, int]:
    """Return the payloads of valid lines, up to where they end, and how many are invalid.

    Unless `sealed` it ends at the first invalid one.
    """
    payloads: list[bytes] = []
    consumed = position = skipped = 0
    for line in lines:
        position += len(line) + 1
        if not line:
            continue
        payload = line[_CHECK_WIDTH:]
        if line[:_CHECK_WIDTH] == b"%08x " % crc32(payload):
            payloads.append(payload)
        else:
            skipped += 1
            if not sealed:
                break
        consumed = position
    return payloads, consumed, skipped


def _take_tail(tail: bytes, payloads: list[bytes]) -> int:
    """Add the last record of a sealed journal, which may lack its newline; return 1 if it is torn."""
    line = tail.rstrip(b"\0")
    if not line:
        return 0
    payload = line[_CHECK_WIDTH:]
    if line[:_CHECK_WIDTH] != b"%08x " % crc32(payload):
        return 1
    payloads.append(payload)
    return 0
