"""Tokens: a run's address as a short signed text, for other processes and hosts.

Signed with HMAC-SHA256, by the setting `token_key`, else by a random key kept beside the ledger: then
only processes of that ledger can read it. A token says which run is meant, and lets nobody do anything
but add to it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import astuple, dataclass
from typing import Any

from jobspan._composition import Runtime
from jobspan._guard import guard
from jobspan.journal.place import Place
from jobspan.journal.token_key import ledger_key
from jobspan.model.validation import MAX_INSTANT

_VERSION = "1"
_MAC_BYTES = 16
_LEAST_FIELDS, _MOST_FIELDS = 6, 10
_MAX_LENGTH = 4_096
DETACHED = "-"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a run is, by its inside names, and what its records need to be opened anywhere.

    Attributes:
        kind: ``j``, ``c``, ``o``; ``r`` in a carrier, that holds no names.
        part: The part: the entering of the run that is meant; empty if none in particular.
        job: The job's inside name.
        run_id: The job's id.
        job_type: Its type.
        start_ns: Its start; 0 if not known.
        client: The client, of a client run and what is in one.
        client_part: The part of the client run an operation stands in.
        operation: The operation's name.
        delivery: What of several blocks for one token makes attempts of one part, where the ledger has
            never heard of the run: `DETACHED`, if the run was left open; else random, new in each token.
    """

    kind: str
    part: str
    job: str
    run_id: str
    job_type: str
    start_ns: int
    client: str = ""
    client_part: str = ""
    operation: str = ""
    delivery: str = ""


def write_token(owner: Runtime, address: Address) -> str:
    """Return the token of an address.

    Raises:
        OSError: The ledger's key can be neither read nor made.
        LedgerError: The folder of the key cannot be trusted.
    """
    fields = list(astuple(address))
    while len(fields) > _LEAST_FIELDS and not fields[-1]:
        fields.pop()
    body = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace")
    return _VERSION + base64.urlsafe_b64encode(_mac(owner, body) + body).rstrip(b"=").decode()


def read_token(owner: Runtime, token: object) -> Address | None:
    """Return the address in a token; None for a bad one, which is counted and logged."""
    found = _verified(owner, token)
    if found is None or found.kind == "r":
        guard.note(
            "token",
            "a token was not accepted: it is damaged, or signed with another key;"
            " set JOBSPAN_TOKEN_KEY to the same secret in all processes",
        )
        return None
    return found


def read_reference(owner: Runtime, carried: object) -> str | None:
    """Return the part a carrier means; None for a bad one, which is counted and logged."""
    found = _verified(owner, carried)
    if found is None or found.kind != "r":
        guard.note(
            "carrier",
            "a carrier was ignored: it is damaged, forged, or signed with another key;"
            " set JOBSPAN_TOKEN_KEY to the same secret in all processes",
        )
        return None
    return found.part


def _verified(owner: Runtime, token: object) -> Address | None:
    if not isinstance(token, str) or len(token) > _MAX_LENGTH or not token.startswith(_VERSION):
        return None
    try:
        raw = base64.b64decode(token[1:] + "=" * (-len(token[1:]) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(owner, body)):
        return None
    try:
        fields: Any = json.loads(body)
    except ValueError:
        return None
    return _address(fields)


def _address(fields: object) -> Address | None:
    if not isinstance(fields, list):
        return None
    values: list[Any] = fields  # pyright: ignore[reportUnknownVariableType] - checked below
    if (
        not _LEAST_FIELDS <= len(values) <= _MOST_FIELDS
        or type(values[5]) is not int
        or not 0 <= values[5] <= MAX_INSTANT
    ):
        return None
    if not all(isinstance(value, str) for place, value in enumerate(values) if place != 5):
        return None
    found = Address(*values)
    is_whole = found.job and (found.kind != "c" or found.client) and (found.kind != "o" or found.operation)
    return found if found.kind in ("j", "c", "o", "r") and is_whole else None


def _mac(owner: Runtime, body: bytes) -> bytes:
    key = owner.settings.token_key
    secret = key.encode("utf-8", "surrogatepass") if key else ledger_key(Place(owner.settings.ledger))
    return hmac.new(secret, b"jobspan token\0" + body, hashlib.sha256).digest()[:_MAC_BYTES]
