"""The one place that speaks to Airtable, by pyairtable; nothing of its exceptions gets past it.

Measured on pyairtable 3.5.1: its own retries re-send a POST and it has no time-out, so both are given
here; the exceptions carry the token in their request's headers, so only method, status, Airtable's
error type and message go on. Each method makes exactly one request.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar, cast
from urllib.parse import quote

import requests
import urllib3
from pyairtable import Api
from pyairtable.formulas import AND, EQ, FIND, LOWER, OR, RECORD_ID, Field, Formula, to_formula_str
from requests.auth import AuthBase

from jobspan import _clock
from jobspan.airtable.transport import OPEN, BoundedAdapter, Gate
from jobspan.exceptions import DeliveryError
from jobspan.model.secret import MASK, Secret

_CONNECT_SECONDS = 5
_LONGEST_MESSAGE = 300
_LONGEST_RETRY_AFTER = 3600.0
"""A server that names more seconds is not believed."""
_TROUBLES = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,  # also pydantic's ValidationError
    KeyError,
    TypeError,
    AttributeError,
)

Json = dict[str, Any]
T = TypeVar("T")


class _Bearer(AuthBase):
    """Keeps requests from taking other credentials for the host out of a .netrc file."""

    def __init__(self, token: Secret) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return request


class AirtableClient:
    """Makes single requests to one base.

    Args:
        token: The personal access token.
        base_id: The base.
        endpoint_url: Where the API is, without ``/v0``.
        read_timeout: Seconds a whole answer may take.
        gate: Its requests wait there for their moment.
    """

    def __init__(
        self,
        token: Secret,
        base_id: str,
        endpoint_url: str,
        read_timeout: float,
        *,
        gate: Gate = OPEN,
    ) -> None:
        self._token = token
        self._base_id = base_id
        timeout = cast("tuple[int, int]", (_CONNECT_SECONDS, read_timeout))
        self._api = Api(token.reveal(), timeout=timeout, retry_strategy=None, endpoint_url=endpoint_url)
        self._api.session.auth = _Bearer(token)
        self._api.session.max_redirects = 0
        for scheme in ("http://", "https://"):
            self._api.session.mount(scheme, BoundedAdapter(gate))

    def __repr__(self) -> str:
        return f"<AirtableClient {self._base_id}>"

    def __reduce__(self) -> Any:
        raise TypeError("a client holds a token and is never pickled")

    def close(self) -> None:
        """Close the connections."""
        self._api.session.close()

    def tables(self) -> list[Json]:
        """Return the schema of all tables, as the metadata API gives it.

        Raises:
            DeliveryError: It failed; 403 where the token lacks schema.bases:read.
        """
        url = self._api.build_url("meta", "bases", self._base_id, "tables")
        return self._ask("GET", lambda: _list(self._api.request("GET", url)["tables"]))

    def create_table(self, name: str, fields: Sequence[Json]) -> Json:
        """Create a table and return its schema.

        Raises:
            DeliveryError: It failed; needs schema.bases:write.
        """
        url = self._api.build_url("meta", "bases", self._base_id, "tables")
        body: Json = {"name": name, "fields": list(fields)}
        return self._ask("POST", lambda: _object(self._api.request("POST", url, json=body)))

    def create_field(self, table_id: str, field: Json) -> Json:
        """Add a column to a table and return its schema.

        Raises:
            DeliveryError: It failed; needs schema.bases:write.
        """
        url = self._api.build_url("meta", "bases", self._base_id, "tables", table_id, "fields")
        return self._ask("POST", lambda: _object(self._api.request("POST", url, json=field)))

    def upsert(
        self, table: str, records: Sequence[Json], merge_on: Sequence[str], *, by_id: bool
    ) -> list[Json]:
        """Upsert at most ten records and return them as they then are, in the order the answer has.

        pyairtable's own upsert does not take an answer that leaves out which rows are new.

        Args:
            table: Name or id.
            records: ``{"id": …, "fields": …}``, without id where the merge fields decide.
            merge_on: Fields that find the row of a record without id.
            by_id: The answer names fields by id.

        Raises:
            DeliveryError: It failed; `outcome` says what is known of the write.
        """
        url = self._table_url(table)
        body: Json = {
            "records": [dict(record) for record in records],
            "typecast": False,
            "returnFieldsByFieldId": by_id,
            "performUpsert": {"fieldsToMergeOn": list(merge_on)},
        }

        def send() -> list[Json]:
            found = _list(self._api.request("PATCH", url, json=body)["records"])
            if not all(isinstance(each["id"], str) for each in found):
                raise ValueError("the answer is not about rows")
            return found

        return self._ask("PATCH", send)

    def find(
        self,
        table: str,
        *,
        record_ids: Sequence[str] = (),
        equal: Mapping[str, Sequence[str]] | None = None,
        fields: Sequence[str] = (),
        by_id: bool,
    ) -> list[Json]:
        """Return at most 100 records: those of `record_ids`, and those where a field has one of its texts.

        Raises:
            DeliveryError: It failed.
        """
        terms = [EQ(RECORD_ID(), record_id) for record_id in record_ids]
        for name, texts in (equal or {}).items():
            terms += [EQ(Field(name), str(each)) for each in texts]
        return self._select(table, OR(*terms), fields, by_id)

    def find_touched(
        self,
        table: str,
        *,
        starting: tuple[str, Sequence[str]],
        words: tuple[str, Sequence[str]],
        lacking: tuple[str, str] | None,
        fields: Sequence[str],
        by_id: bool,
    ) -> list[Json]:
        """Return at most 100 records, one field of which begins so, another says a word or lacks a text.

        Args:
            table: Name or id.
            starting: The name of a field, and the beginnings.
            words: The name of a field, and the words, in lower case.
            lacking: The name of a field, and the text.
            fields: What to return.
            by_id: The answer names fields by id.

        Raises:
            DeliveryError: It failed.
        """
        begins = OR(*(EQ(FIND(each, Field(starting[0])), 1) for each in starting[1]))
        says: list[Formula] = [EQ(LOWER(Field(words[0])), each) for each in words[1]]
        if lacking is not None:
            says.append(EQ(FIND(lacking[1], Field(lacking[0])), 0))
        return self._select(table, AND(begins, OR(*says)), fields, by_id)

    def _table_url(self, table: str, *more: str) -> str:
        return self._api.build_url(self._base_id, quote(table, safe=""), *more)

    def _select(self, table: str, formula: Formula, fields: Sequence[str], by_id: bool) -> list[Json]:
        url = self._table_url(table)
        options: Json = {
            "formula": to_formula_str(formula),
            "fields": list(fields),
            "page_size": 100,
            "use_field_ids": by_id,
        }
        fallback = ("POST", self._table_url(table, "listRecords"))

        def send() -> list[Json]:
            answer = self._api.request("GET", url, fallback=fallback, options=options)
            return [_object(record) for record in answer["records"]]

        return self._ask("GET", send)

    def page(
        self, table: str, fields: Sequence[str], offset: str | None = None
    ) -> tuple[list[Json], str | None]:
        """Return up to 100 records of a table, and where the next page begins (None: nowhere).

        Raises:
            DeliveryError: It failed.
        """
        url = self._table_url(table)
        options: Json = {"fields": list(fields), "page_size": 100}
        params = {"offset": offset} if offset else {}

        def send() -> tuple[list[Json], str | None]:
            answer = self._api.request("GET", url, options=options, params=params)
            return [_object(record) for record in answer["records"]], answer.get("offset")

        return self._ask("GET", send)

    def delete(self, table: str, record_ids: Sequence[str]) -> None:
        """Delete at most ten records.

        Raises:
            DeliveryError: It failed.
        """
        url = self._table_url(table)
        params = {"records[]": list(record_ids)}
        self._ask("DELETE", lambda: self._api.request("DELETE", url, params=params))

    def _ask(self, method: str, send: Callable[[], T]) -> T:
        """Make one request and let only our own error out.

        Raises:
            DeliveryError: Whatever went wrong.
        """
        try:
            return send()
        except _TROUBLES as error:
            failed = self._translated(method, error)
        raise failed from None  # outside of the handler: nothing may hold on to the request

    def _translated(self, method: str, error: Exception) -> DeliveryError:
        response: Any = getattr(error, "response", None)
        if isinstance(error, requests.TooManyRedirects):
            return DeliveryError(method, None, "Redirected", "a redirect was refused", outcome="not_sent")
        if isinstance(error, requests.HTTPError) and response is not None:
            return self._answered(method, response)
        kind = type(error).__name__
        if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.SSLError):
            return DeliveryError(method, None, kind, "no connection", outcome="not_sent")
        if isinstance(error, requests.exceptions.ReadTimeout) or _took_too_long(error):
            return DeliveryError(method, None, "ReadTimeout", "no answer in time", outcome="unknown")
        if isinstance(error, requests.exceptions.ChunkedEncodingError):
            return DeliveryError(method, 200, kind, "the answer broke off", outcome="unknown")
        if isinstance(error, requests.ConnectionError):
            if _never_sent(error):
                return DeliveryError(method, None, kind, "no connection", outcome="not_sent")
            return DeliveryError(method, None, kind, "the connection broke", outcome="unknown")
        if isinstance(error, ValueError | KeyError | TypeError | AttributeError):
            return DeliveryError(method, 200, kind, "the answer cannot be read", outcome="unknown")
        return DeliveryError(method, None, kind, "the connection broke", outcome="unknown")

    def _answered(self, method: str, response: requests.Response) -> DeliveryError:
        kind, message = _error_of(response)
        message = message.replace(self._token.reveal(), MASK)[:_LONGEST_MESSAGE]
        status = response.status_code
        outcome = "unknown" if status >= 500 else "not_sent" if status in (408, 425) else "refused"
        return DeliveryError(
            method, status, kind, message, outcome=outcome, retry_after=_retry_after(response)
        )


def _never_sent(error: BaseException) -> bool:
    """Whether a connection could not even be made."""
    reason: Any = error.args[0] if error.args else None
    reason = getattr(reason, "reason", reason)
    return isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)


def _took_too_long(error: BaseException) -> bool:
    """Whether the answer began, and then did not end in time."""
    reason: Any = error.args[0] if error.args else None
    return isinstance(reason, urllib3.exceptions.ReadTimeoutError)


def _error_of(response: requests.Response) -> tuple[str, str]:
    """Return type and message of an error body, whatever its shape (facts, A6)."""
    nothing = f"HTTP_{response.status_code}"
    try:
        body: Any = response.json()
    except ValueError:
        return nothing, "no JSON"
    error = _member(body, "error")
    several = _member(body, "errors")
    if error is None and isinstance(several, list) and several:
        first: Any = cast("Sequence[Any]", several)[0]
        kind = _member(first, "error") or nothing
        return str(kind)[:100], str(_member(first, "message") or kind)
    if isinstance(error, dict):
        kind = _member(error, "type") or nothing
        return str(kind)[:100], str(_member(error, "message") or kind)
    return str(error or nothing)[:100], str(error or nothing)


def _member(value: Any, name: str) -> Any:
    return cast("Json", value).get(name) if isinstance(value, dict) else None


def _retry_after(response: requests.Response) -> float | None:
    """Return the seconds of a Retry-After header, a number or a date; None for what nobody can mean."""
    given = response.headers.get("Retry-After", "")
    try:
        seconds = float(given)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(given).timestamp() - _clock.now_ns() / 1e9
        except (ValueError, TypeError, OverflowError):
            return None
    return seconds if 0 < seconds <= _LONGEST_RETRY_AFTER else None


def _object(value: Any) -> Json:
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return cast("Json", value)


def _list(value: Any) -> list[Json]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return [_object(each) for each in cast("Sequence[Any]", value)]
