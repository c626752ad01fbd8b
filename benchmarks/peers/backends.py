"""Three backends on the loopback: one that answers, one that refuses, one that never says a word."""

from __future__ import annotations

import gzip
import socket
import threading
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# What the login requests of the contenders want to see; everything else only looks at the 200.
ANSWER = b'{"token": "dummy", "project_id": "dummy", "id": "dummy"}'


def _url(address: tuple[str, int]) -> str:
    return f"http://{address[0]}:{address[1]}"


@contextmanager
def refusing() -> Generator[str]:
    """Yield the address of a port that nobody listens to, and that nobody else can take meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield _url(held.getsockname())


@contextmanager
def silent() -> Generator[str]:
    """Yield the address of a listener that accepts and never answers."""
    accepted: list[socket.socket] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)

        def accept() -> None:
            while True:
                try:
                    accepted.append(listener.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield _url(listener.getsockname())
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for connection in accepted:
                connection.close()


class Sink:
    """Answers every request with 200 and keeps what it was sent, unpacked."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def has(self, needle: bytes) -> bool:
        """Tell whether `needle` came."""
        return any(needle in body for body in self.bodies)


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "deflate":
        return zlib.decompress(body)
    return body


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    sink: Sink

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return chunks

    def _answer(self) -> None:
        self.sink.bodies.append(_unpacked(self._body(), self.headers.get("Content-Encoding", "")))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    do_GET = do_POST = do_PUT = do_PATCH = _answer  # noqa: N815 (names of the standard library)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that was killed in the middle is what is tried here."""


@contextmanager
def answering() -> Generator[tuple[str, Sink]]:
    """Yield the address of a server that takes everything, and what it took."""
    sink = Sink()
    request = type("Request", (_Request,), {"sink": sink})
    with _Server(("127.0.0.1", 0), request) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", sink
        finally:
            server.shutdown()
