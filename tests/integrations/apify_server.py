"""A loopback server that answers the real apify-client as Apify does, with runs that go on by themselves."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

AT = "2026-11-25T12:00:00.000Z"


def run_object(run_id: str, status: str = "RUNNING", usd: float | None = None) -> dict[str, Any]:
    """Return a run as the API gives it."""
    return {
        "id": run_id,
        "actId": "act1",
        "userId": "user1",
        "startedAt": AT,
        "finishedAt": None if status in ("READY", "RUNNING") else AT,
        "status": status,
        "statusMessage": f"it is {status}",
        "meta": {"origin": "API"},
        "stats": {"restartCount": 0, "resurrectCount": 0, "computeUnits": 0.1, "runTimeSecs": 1.0},
        "options": {"build": "latest", "timeoutSecs": 300, "memoryMbytes": 256, "diskMbytes": 512},
        "buildId": "build1",
        "exitCode": 0,
        "generalAccess": "RESTRICTED",
        "defaultKeyValueStoreId": "kv1",
        "defaultDatasetId": "ds1",
        "defaultRequestQueueId": "rq1",
        "buildNumber": "0.0.1",
        "containerUrl": "https://example.com",
        "usageTotalUsd": usd,
    }


class ApifyServer:
    """Its runs: `script` gives, for each look, (status, cost); the last one holds."""

    def __init__(self) -> None:
        self.script: list[tuple[str, float | None]] = [("RUNNING", None), ("SUCCEEDED", 0.01)]
        self.runs: dict[str, list[tuple[str, float | None]]] = {}
        self.requests: list[tuple[str, str, str]] = []
        self.numbers = iter(range(1, 10_000))
        owner = self

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                owner.requests.append(("POST", self.path, self.headers.get("authorization", "")))
                if not re.match(r"/v2/(?:actors|acts|actor-tasks)/[^/]+/runs", self.path):
                    return self._answer(404, {"error": {"type": "not-found", "message": "no"}})
                run_id = f"run{next(owner.numbers)}"
                owner.runs[run_id] = list(owner.script)
                self._answer(201, {"data": run_object(run_id, "READY")})

            def do_GET(self) -> None:
                owner.requests.append(("GET", self.path, self.headers.get("authorization", "")))
                found = re.match(r"/v2/actor-runs/(\w+)", self.path)
                states = owner.runs.get(found[1]) if found else None
                if found is None or states is None:
                    return self._answer(404, {"error": {"type": "record-not-found", "message": "no"}})
                waits = parse_qs(urlsplit(self.path).query).get("waitForFinish")
                if waits and states[0][0] in ("READY", "RUNNING"):
                    time.sleep(min(0.05, float(waits[0])))
                status, usd = states.pop(0) if len(states) > 1 else states[0]
                self._answer(200, {"data": run_object(found[1], status, usd)})

            def _answer(self, code: int, body: object) -> None:
                text = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Let the port go."""
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def serving() -> Iterator[ApifyServer]:
    """Give a running server."""
    server = ApifyServer()
    try:
        yield server
    finally:
        server.stop()
