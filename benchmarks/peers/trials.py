"""What is measured of a contender: blocks, import, exit, and what survives SIGKILL. All bounded in time."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import backends
from environments import Broken, Environment, last_line
from loopback_only import REFUSED

CHILD = Path(__file__).parent / "child.py"
START_SECONDS = 90.0
MARK = "unit-of-kill"
SETTLE_SECONDS = 0.03  # what a contender does in the background after a round is not the next one's cost
ARRIVE_SECONDS = 0.3  # what was sent before a kill may still be on its way through the loopback


class Child:
    """A contender's process; it is gone when the `with` block ends."""

    def __init__(self, environment: Environment, folder: Path, *arguments: str) -> None:
        self.name = environment.contender.name
        self.folder = folder
        self._errors = folder / "stderr.txt"
        with self._errors.open("w") as errors:
            self.process = subprocess.Popen(
                [environment.python, CHILD, self.name, *arguments],
                env=environment.variables(folder),
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def hear(self, seconds: float = START_SECONDS) -> dict[str, Any]:
        """Return the next thing it says.

        Raises:
            Broken: It ended, or said nothing for `seconds`.
        """
        assert self.process.stdout is not None
        with self.bounded(seconds):
            line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise Broken(self.reason(seconds))
        heard: dict[str, Any] = json.loads(line)
        return heard

    def ask(self, form: str) -> float:
        """Return the µs of one block, measured now."""
        assert self.process.stdin is not None
        time.sleep(SETTLE_SECONDS)
        try:
            print(form, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            raise Broken(self.reason(0)) from None
        return float(self.hear()["us"])

    @contextmanager
    def bounded(self, seconds: float) -> Generator[None]:
        """Kill it when the block takes longer."""
        timer = threading.Timer(seconds, self.process.kill)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def reason(self, seconds: float) -> str:
        if self.process.returncode == -signal.SIGKILL:
            return f"no answer in {seconds:.0f} s"
        return last_line(self._errors.read_text(errors="replace"))


class Trials:
    """Runs the trials in fresh folders below `scratch`, and keeps which hosts were asked for in them."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._folders: list[tuple[str, Path]] = []

    def folder(self, environment: Environment) -> Path:
        """Return an empty working directory and home."""
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        self._folders.append((environment.contender.name, folder))
        return folder

    def elsewhere(self, name: str) -> set[str]:
        """Return the hosts a contender tried to reach that are not the loopback."""
        files = [folder / REFUSED for owner, folder in self._folders if owner == name]
        return {line for file in files if file.exists() for line in file.read_text().split()}

    def child(self, environment: Environment, *arguments: str) -> Child:
        return Child(environment, self.folder(environment), *arguments)

    def import_ms(self, environment: Environment) -> float:
        """Return the milliseconds of the import in a fresh interpreter."""
        clock = "time.perf_counter()"
        code = f"import time; start = {clock}; {environment.contender.imports}; took = {clock} - start"
        folder = self.folder(environment)
        done = subprocess.run(
            [environment.python, "-c", f"{code}; print('\\n', took * 1000)"],
            env=environment.variables(folder),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        if done.returncode:
            raise Broken(last_line(done.stderr))
        return float(done.stdout.split()[-1])

    def exit_seconds(self, environment: Environment, backend: str, bound: float) -> float:
        """Return the seconds from the first of ten units till the process is gone; infinite at the bound."""
        with self.child(environment, "exit", backend) as child:
            child.hear()
            start = time.perf_counter()
            with child.bounded(bound):
                child.process.wait()
            took = time.perf_counter() - start
            if child.process.returncode == -signal.SIGKILL:
                return float("inf")
            if child.process.returncode:
                raise Broken(child.reason(0))
            return took

    def exits(self, environment: Environment, bound: float) -> dict[str, float]:
        """Return the exit seconds per backend: answering, refusing, silent.

        Raises:
            Broken: Also where the work does not arrive although the backend answers: then the contender is
                not set up as it should be, and its other numbers would mean nothing.
        """
        contender = environment.contender
        with ExitStack() as stack:
            address, sink = stack.enter_context(backends.answering())
            seconds = {"answering": self.exit_seconds(environment, address, bound)}
            if contender.found is None and not sink.has(contender.proof):
                raise Broken("the work did not arrive at a backend that answers")
            if contender.only_local:
                return seconds
            seconds["refusing"] = self.exit_seconds(
                environment, stack.enter_context(backends.refusing()), bound
            )
            seconds["silent"] = self.exit_seconds(environment, stack.enter_context(backends.silent()), bound)
        return seconds

    def survivors(self, environment: Environment, kills: int) -> int:
        """Return in how many of `kills` trials the unit was whole after SIGKILL right behind it."""
        return sum(self._survived(environment) for _ in range(kills))

    def _survived(self, environment: Environment) -> bool:
        contender = environment.contender
        with ExitStack() as stack:
            address, sink = stack.enter_context(backends.answering())
            backend = "-" if contender.found else address
            child = stack.enter_context(self.child(environment, "kill", backend, MARK))
            with child.bounded(START_SECONDS):
                child.process.wait()
            if child.process.returncode != -signal.SIGKILL:
                raise Broken(child.reason(START_SECONDS))
            time.sleep(ARRIVE_SECONDS)
            if contender.found is None:
                return sink.has(contender.proof)
            looking = stack.enter_context(Child(environment, child.folder, "found", "-", MARK))
            return bool(looking.hear()["found"])


def warn(name: str, what: str, reason: object) -> str:
    """Print and return the line that names what a contender could not do."""
    line = f"{name}: {what}: {reason}"
    print(line, file=sys.stderr, flush=True)
    return line
