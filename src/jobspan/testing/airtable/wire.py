"""HTTP/1.1 over one connection, and the faults on the way."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from http.client import responses
from http.server import BaseHTTPRequestHandler
from typing import Any

from jobspan.testing.airtable import fault as faults
from jobspan.testing.airtable import refusal
from jobspan.testing.airtable.fault import Fault
from jobspan.testing.airtable.listener import HOST, Listener, abort_on_close
from jobspan.testing.airtable.service import Call, Service, read

JSON = "application/json; charset=utf-8"
_MOST_DRAINED = 64 * 1024 * 1024

Answer = tuple[int, bytes, dict[str, str]]


class BrokenConnectionError(OSError):
    """The connection is broken, by a fault or by the client."""


def json_answer(status: int, body: Any, headers: dict[str, str] | None = None) -> Answer:
    """Return an answer with a JSON body."""
    return status, json.dumps(body).encode(), {"Content-Type": JSON, **(headers or {})}


class Front:
    """Serves the API on a listener."""

    def __init__(self, service: Service, port: int, max_body_bytes: int) -> None:
        self.service = service
        self.max_body_bytes = max_body_bytes
        self.listener = Listener(port, self._serve)

    def _serve(self, connection: socket.socket) -> None:
        _Exchange(connection, self)


class _Exchange(BaseHTTPRequestHandler):
    """The requests of one connection, one after the other."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, connection: socket.socket, front: Front) -> None:
        self._front = front
        self._service = front.service
        super().__init__(connection, (HOST, 0), front)  # type: ignore[arg-type]  # pyright: ignore

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the requests are kept in the observation."""

    def _exchange(self) -> None:
        raw, too_large = self._body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        authorization = headers.pop("authorization", None)
        call = read(self.command, self.path, headers, raw, self._service.clock())
        self._service.observation.add(call.seen)
        try:
            token = self._service.admit(call, authorization, len(self.path))
            if too_large:
                raise refusal.too_large()
            acting = self._service.faults.acting_on(
                self.command, call.seen.path, self._service.tables_meant(call)
            )
            answer = self._with_faults(call, acting, lambda: self._service.perform(call, token))
        except refusal.Refusal as refused:
            answer = self._refused(call, refused)
        self._send(call, *answer)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = _exchange  # noqa: N815

    def _body(self) -> tuple[bytes, bool]:
        """Return the body, and whether it is above the limit (then it is read away and empty)."""
        if self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            return b"", True
        text = self.headers.get("Content-Length", "0")
        length = int(text) if text.isdecimal() else 0
        if length <= self._front.max_body_bytes:
            raw = self.rfile.read(length)
            if len(raw) < length:  # the client died while it sent
                raise BrokenConnectionError
            return raw, False
        self.close_connection = length > _MOST_DRAINED
        left = min(length, _MOST_DRAINED)
        while left > 0 and (chunk := self.rfile.read(min(left, 65536))):
            left -= len(chunk)
        return b"", True

    def _refused(self, call: Call, refused: refusal.Refusal) -> Answer:
        error = refused.body.get("error") or refused.body["errors"][0]["error"]
        call.seen.error = error if isinstance(error, str) else error["type"]
        return json_answer(refused.status, refused.body, refused.headers)

    def _with_faults(self, call: Call, acting: list[Fault], perform: Callable[[], Any]) -> Answer:
        """Work on the request as the faults allow; return the answer, or break the connection."""
        main = next((fault for fault in acting if fault.action != "latency"), None)
        call.seen.fault = " + ".join(fault.name for fault in acting) or None
        self._wait(sum(each.seconds for each in acting if each.name == "latency before"))
        if main is not None and main.when == "before":
            return self._instead(main)
        try:
            answer = json_answer(200, perform())
        except refusal.Refusal as refused:
            answer = self._refused(call, refused)
        self._wait(sum(each.seconds for each in acting if each.name == "latency after"))
        if main is None:
            return answer
        if main.action == "truncate" or main.when == "middle":
            self._send_half(answer, reset=main.when == "middle")
        return self._instead(main)

    def _instead(self, fault: Fault) -> Answer:
        """Return the answer a fault gives instead, or break the connection without one."""
        if fault.action == "status":
            body, kind = faults.answer(fault)
            headers = {"Content-Type": kind}
            if fault.retry_after is not None:
                headers["Retry-After"] = str(fault.retry_after)
            return fault.status, body, headers
        if fault.action == "garble":
            return 200, b"<!DOCTYPE html><html>{not json", {"Content-Type": JSON}
        if fault.action == "hang":
            self._wait(fault.seconds)
        self._break()
        raise BrokenConnectionError

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self._front.listener.stopping.wait(seconds)

    def _break(self) -> None:
        self.close_connection = True
        abort_on_close(self.connection)

    def _send_half(self, answer: Answer, *, reset: bool) -> None:
        """Send the head and half the body; then reset, or end the connection orderly."""
        whole = self._bytes(*answer)
        self.wfile.write(whole[: len(whole) - max(1, len(answer[1]) // 2)])
        self.close_connection = True
        if reset:
            self._break()
        raise BrokenConnectionError

    def _send(self, call: Call, status: int, body: bytes, headers: dict[str, str]) -> None:
        if self._front.listener.is_down:
            self._break()
            raise BrokenConnectionError
        call.seen.status = status  # before the bytes: who has the answer finds it noted
        self.wfile.write(self._bytes(status, body, headers))

    def _bytes(self, status: int, body: bytes, headers: dict[str, str]) -> bytes:
        reason = responses.get(status, "Unknown")
        lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if self.close_connection:
            lines.append("Connection: close")
        head = "\r\n".join(lines) + "\r\n\r\n"
        return head.encode("latin-1") + (b"" if self.command == "HEAD" else body)
