"""The business: a cron job hands each client's tasks to a service, which works on them after its 202.

Nothing of tracking stands here but decorators and blocks.

    python business.py cron JOB_TYPE SERVICE_URL CLIENTS_JSON
    python business.py serve PORT INBOX_DIRECTORY
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from jobspan import attach, client_run, job, operation, record_cost


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send JSON, again and again while nobody is there; return the answer's."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return dict(json.load(answer))
        except OSError:
            time.sleep(0.1)


# --- the cron


def nightly(job_type: str, service: str, clients: list[dict[str, Any]]) -> None:
    """Hand over the tasks of every client."""
    with job(job_type):
        for client in clients:
            if not client["tasks"]:
                with client_run(client["id"]) as run:
                    run.skip("no posts since yesterday")
            for task in client["tasks"]:
                hand_over(task.pop("to", service), client["id"], task)


def hand_over(url: str, client: str, task: dict[str, Any]) -> None:
    """Start one task, and leave its run open for whoever finishes it."""
    with client_run(client) as run:
        accepted = post(f"{url}/tasks", task)
        run.detach(external_id=accepted["id"], deadline=task["deadline"])


# --- the service


@operation
def score(task: dict[str, Any]) -> None:
    """Work on a task."""
    print("working on", task["id"], flush=True)
    time.sleep(task["seconds"])
    record_cost("apify", usd="0.25", id=f"apify-{task['id']}")


def work(path: Path) -> None:
    """Work on a task of the inbox, and take it out when it is done."""
    task = json.loads(path.read_text())
    with attach(external_id=task["id"]) as run, run.operation(task["name"]) as step:
        step.add(**task["counts"])
        score(task)
    path.unlink()


class Service(BaseHTTPRequestHandler):
    """Takes tasks and webhooks; a task is answered at once and worked on afterwards."""

    inbox: Path

    def do_POST(self) -> None:
        """Answer 202 to a task, 200 to a webhook."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/webhook":
            with attach(external_id=body["id"]) as run, run.operation("enrichment") as step:
                step.add(**body["counts"])
            return self.answer(200, {})
        path = self.inbox / f"{body['id']}.json"
        path.with_suffix(".new").write_text(json.dumps(body))
        path.with_suffix(".new").rename(path)
        threading.Timer(0.2, work, [path]).start()
        return self.answer(202, {"id": body["id"]})

    def answer(self, status: int, body: dict[str, Any]) -> None:
        """Send JSON."""
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def serve(port: int, inbox: Path) -> None:
    """Go on with what was left in the inbox, then take what comes, until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # what runs is given time to finish
    Service.inbox = inbox
    for path in inbox.glob("*.json"):
        threading.Thread(target=work, args=[path]).start()
    server = ThreadingHTTPServer(("127.0.0.1", port), Service)
    print("serving", os.getpid(), flush=True)
    server.serve_forever()


def main(command: str, *arguments: str) -> None:
    """Run one of the two programs."""
    if command == "cron":
        job_type, service, clients = arguments
        print("ready", flush=True)
        sys.stdin.readline()
        nightly(job_type, service, json.loads(clients))
    else:
        serve(int(arguments[0]), Path(arguments[1]))


if __name__ == "__main__":
    main(*sys.argv[1:])
