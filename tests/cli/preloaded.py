"""Starts Python programs out of a process that has loaded the libraries of others, and nothing of jobspan.

Each program is a process of its own, loads jobspan anew, and ends as every interpreter does. Loading
pyairtable, rich and OpenTelemetry is what takes the time of a start: four fifths of a `jobspan doctor`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

PARENT = """
import json, os, socket, sys, time
import asyncio, click, concurrent.futures, csv, logging.handlers, platformdirs, psutil, sqlite3, wrapt
import opentelemetry.sdk.trace.export, opentelemetry.trace, pyairtable, requests
import rich.console, rich.markup, rich.table, rich.text
assert not [name for name in sys.modules if name.partition(".")[0] == "jobspan"]
link = socket.socket(fileno=int(sys.argv[1])).makefile("rw")
for line in link:
    child = os.fork()
    if not child:
        break
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), file=link, flush=True)
else:
    os._exit(0)
os.close(int(sys.argv[1]))
asked = json.loads(line)
os.environ.clear()
os.environ.update(asked["environment"])
time.tzset()
os.chdir(asked["folder"])
for number in (1, 2):
    os.dup2(os.open(asked["output"][number - 1], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), number)
sys.argv = ["-c", *asked["arguments"]]
exec(compile(asked["code"], "<string>", "exec"))
"""


class Preloaded:
    """The process that programs are forked from."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._link, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PARENT, str(theirs.fileno())],
                env=environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._answers = self._link.makefile("r")

    def run(
        self, code: str, arguments: tuple[str, ...], environment: dict[str, str], folder: Path, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run `code` as ``python -c code arguments`` would; return its exit code and what it printed."""
        self._count += 1
        output = [self._folder / f"{self._count}.{name}" for name in ("out", "err")]
        asked = {
            "code": code,
            "arguments": arguments,
            "environment": environment,
            "folder": str(folder),
            "output": [str(path) for path in output],
        }
        self._link.settimeout(timeout)
        self._link.sendall(json.dumps(asked).encode() + b"\n")
        try:
            status = int(self._answers.readline())
        except TimeoutError:
            os.killpg(self._process.pid, signal.SIGKILL)
            raise
        told = [path.read_bytes().decode("utf-8") for path in output]
        return subprocess.CompletedProcess([code, *arguments], status, *told)

    def close(self) -> None:
        """End it."""
        self._answers.close()
        self._link.close()
        self._process.wait(10)
