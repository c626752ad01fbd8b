"""A gateway before the strict server that bends its answers: what no honest service says, but some do."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from jobspan.testing.airtable import AirtableServer


@dataclass
class Answer:
    """An answer on its way; `drip` is the wait between two bytes of all of it."""

    status: int
    headers: dict[str, str]
    body: bytes
    drip: float = 0.0

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Bend = Callable[[Answer], Answer]


def changed(change: Callable[[dict[str, Any]], Any]) -> Bend:
    """Return a bend that changes the records of a JSON answer."""

    def bend(answer: Answer) -> Answer:
        body = answer.json
        if "records" in body:
            change(body)
        return Answer(answer.status, answer.headers, json.dumps(body).encode())

    return bend


@dataclass
class Gateway:
    """Where it is, and what came by."""

    url: str = ""
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    bent: int = 0
    sizes: list[int] = field(default_factory=list)
    """How many records each request held; 0: none."""


def _records(raw: bytes) -> int:
    return len(json.loads(raw).get("records", ())) if raw else 0


def _handler(
    server: AirtableServer | None,
    gateway: Gateway,
    bend: Bend,
    method: str,
    times: int,
    refuses: bytes | None,
) -> Any:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def _any(self) -> None:
            gateway.seen.append((self.command, self.path, dict(self.headers)))
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            gateway.sizes.append(_records(raw))
            if refuses is not None and refuses in raw:  # it never comes to the server
                self._give(bend(Answer(200, {}, b"{}")))
                return
            answer = Answer(200, {}, b"{}") if server is None else self._forwarded(server, raw)
            if (
                server is not None
                and self.command == method
                and gateway.bent < times
                and answer.status == 200
                and refuses is None
            ):
                gateway.bent += 1
                answer = bend(answer)
            self._give(answer)

        do_GET = do_POST = do_PATCH = _any  # noqa: N815

        def _forwarded(self, server: AirtableServer, raw: bytes) -> Answer:
            connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "accept-encoding")}
            connection.request(self.command, self.path, raw or None, headers)
            got = connection.getresponse()
            body = got.read()
            connection.close()
            return Answer(got.status, {"Content-Type": got.headers["Content-Type"]}, body)

        def _give(self, answer: Answer) -> None:
            head = f"HTTP/1.1 {answer.status} Said\r\n"
            given = {"Content-Length": str(len(answer.body)), **answer.headers}
            head += "".join(f"{name}: {value}\r\n" for name, value in given.items()) + "\r\n"
            whole = head.encode() + answer.body
            if not answer.drip:
                self.wfile.write(whole)
                return
            self.close_connection = True
            for place in range(len(whole)):
                self.wfile.write(whole[place : place + 1])
                time.sleep(answer.drip)

    return Handler


@contextmanager
def gateway(
    server: AirtableServer | None,
    bend: Bend = lambda answer: answer,
    *,
    method: str = "PATCH",
    times: int = 10**6,
    refuses: bytes | None = None,
) -> Iterator[Gateway]:
    """Run a gateway that bends the first answers to requests of a method; without a server it says {}.

    With `refuses` it keeps requests that hold these bytes from the server, and bends only their answers.
    """
    made = Gateway()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server, made, bend, method, times, refuses))
    httpd.daemon_threads = True
    httpd.block_on_close = False
    httpd.handle_error = lambda *_: None  # type: ignore[method-assign]  # the client went away
    made.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    thread = threading.Thread(target=httpd.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()
