"""A second port to break and inspect the server from another process, in JSON."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, urlsplit

from jobspan.testing.airtable.listener import HOST, Listener

if TYPE_CHECKING:
    from jobspan.testing.airtable.server import AirtableServer

_PERSON = (
    "add", "edit", "duplicate", "delete", "clear", "add_column", "delete_column", "rename_column",
    "retype_column", "make_computed", "add_option", "remove_option", "rename_table", "delete_table",
    "delete_base",
)  # fmt: skip
_SERVER = (
    "clear_faults", "outage", "end_outage", "add_token", "revoke", "restore", "grant", "release_limits",
    "expire_iterators", "forget_requests",
)  # fmt: skip


class Control:
    """Serves ``GET /requests``, ``/rows?table=``, ``/counts`` and ``POST /<verb>``.

    Verbs are the methods of the server of that name (``/fail``, ``/outage``, ``/revoke`` …), and
    ``/person/<verb>`` those of `Person`; the JSON object of the body holds the arguments by name.
    The answer is ``{"result": …}``, or 400 with ``{"error": …}``.
    """

    def __init__(self, server: AirtableServer, port: int) -> None:
        self._server = server
        self._exchange = _exchange_with(self.answer)
        self._listener = Listener(port, self._serve)
        self.port = self._listener.port

    def stop(self) -> None:
        """Close the port."""
        self._listener.stop()

    def _serve(self, connection: socket.socket) -> None:
        self._exchange(connection, (HOST, 0), self)  # type: ignore[arg-type]  # pyright: ignore

    def answer(self, method: str, target: str, arguments: dict[str, Any]) -> tuple[int, Any]:
        """Return status and JSON for a request to the control endpoint."""
        parts = urlsplit(target)
        name = parts.path.strip("/")
        try:
            if method == "GET":
                query = {key: values[0] for key, values in parse_qs(parts.query).items()}
                return 200, {"result": self._look(name, **query)}
            return 200, {"result": self._verb(name)(**arguments)}
        except (LookupError, TypeError, ValueError) as error:
            return 400, {"error": f"{type(error).__name__}: {error}"}

    def _look(self, name: str, table: str = "") -> Any:
        server = self._server
        if name == "requests":
            return [request.to_json() for request in server.requests]
        if name == "rows":
            return server.rows(table)
        if name == "counts":
            figures = {"busiest_second": server.busiest_second, "rate_limited": server.rate_limited}
            return {"kinds": server.counts, **figures}
        raise LookupError(f"no {name!r} to look at")

    def _verb(self, name: str) -> Callable[..., Any]:
        if name == "fail":
            return self._fail
        if name.startswith("person/") and name.removeprefix("person/") in _PERSON:
            return cast("Callable[..., Any]", getattr(self._server.person, name.removeprefix("person/")))
        if name in _SERVER:
            return cast("Callable[..., Any]", getattr(self._server, name))
        raise LookupError(f"no verb {name!r}")

    def _fail(self, **arguments: Any) -> str:
        return self._server.fail(**arguments).name


def _exchange_with(
    answer: Callable[[str, str, dict[str, Any]], tuple[int, Any]],
) -> type[BaseHTTPRequestHandler]:
    class Exchange(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1  # head and body leave together

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

        def _exchange(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            try:
                arguments = json.loads(raw or b"{}")
                status, body = answer(self.command, self.path, arguments)
            except ValueError:
                status, body = 400, {"error": "the body is not JSON"}
            payload = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = _exchange  # noqa: N815

    return Exchange
