"""A plain HTTP client for the strict server, so that its answers are seen as they are."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest

from jobspan.testing.airtable import AirtableServer

JOBS = "Job Tracking"
CLIENT_RUNS = "Client Run Results"


@dataclass
class Reply:
    """One answer."""

    status: int
    raw: bytes
    headers: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def json(self) -> Any:
        """Return the body read as JSON."""
        return json.loads(self.raw)

    @property
    def error(self) -> str:
        """Return the type of the error, wherever it stands in the body."""
        body = self.json
        error = body["errors"][0]["error"] if "errors" in body else body["error"]
        return str(error if isinstance(error, str) else error["type"])

    @property
    def message(self) -> str:
        """Return the message of the error."""
        return str(self.json["error"]["message"])


class Client:
    """Sends single requests to a server over one connection."""

    def __init__(self, server: AirtableServer, timeout: float = 5.0) -> None:
        self.server = server
        self.token: str | None = server.token
        self._connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=timeout)

    def send(
        self, method: str, path: str, body: Any = None, *, kind: str = "application/json", **query: Any
    ) -> Reply:
        """Send a request to ``/v0/<path>``; `body` is JSON unless it is bytes."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if raw is not None:
            headers["Content-Type"] = kind
        target = f"/v0/{quote(path)}" + (f"?{urlencode(query, doseq=True)}" if query else "")
        try:
            self._connection.request(method, target, raw, headers)
            answer = self._connection.getresponse()
            return Reply(
                answer.status, answer.read(), {key.lower(): value for key, value in answer.getheaders()}
            )
        except BaseException:
            self._connection.close()
            raise

    def on(self, method: str, table: str, body: Any = None, **query: Any) -> Reply:
        """Send a request about records of a table of the server's base."""
        return self.send(method, f"{self.server.base_id}/{table}", body, **query)

    def create(self, table: str, **fields: Any) -> Reply:
        """Create one record."""
        return self.on("POST", table, {"fields": fields})

    def upsert(
        self, table: str, *every: dict[str, Any], on: tuple[str, ...] = ("Run ID",), **more: Any
    ) -> Reply:
        """Upsert records given by their fields."""
        records = [{"fields": fields} for fields in every]
        body = {"performUpsert": {"fieldsToMergeOn": list(on)}, "records": records, **more}
        return self.on("PATCH", table, body)

    def list(self, table: str, **query: Any) -> list[dict[str, Any]]:
        """Return the records of one page."""
        answer = self.on("GET", table, **query)
        assert answer.status == 200, answer.raw
        return list(answer.json["records"])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


Open = Callable[..., tuple[AirtableServer, Client]]


@pytest.fixture
def opened() -> Iterator[Open]:
    """Start servers with given options; without a rate limit unless one is given."""
    started: list[tuple[AirtableServer, Client]] = []

    def start(**options: Any) -> tuple[AirtableServer, Client]:
        server = AirtableServer(**{"rate_limit": None, "user_rate_limit": None, **options}).start()
        client = Client(server)
        started.append((server, client))
        return server, client

    yield start
    for server, client in started:
        client.close()
        server.stop()


@pytest.fixture
def server(opened: Open) -> AirtableServer:
    """Give a server without a rate limit."""
    return opened()[0]


@pytest.fixture
def client(server: AirtableServer) -> Iterator[Client]:
    """Give a client of `server`."""
    made = Client(server)
    yield made
    made.close()
