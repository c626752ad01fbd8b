"""One virtualenv per contender, made by pip alone, kept in a cache directory for the next time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from contenders import ROOT, Contender

KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR")
PIP = ("PIP_", "SSL_", "REQUESTS_CA", "HTTP", "http", "NO_PROXY", "no_proxy", "HOME")


class Broken(Exception):
    """A contender does not install or does not run; says why. The others go on."""


@dataclass(frozen=True)
class Environment:
    """An interpreter that has one contender."""

    contender: Contender
    python: Path
    version: str

    def variables(self, home: Path) -> dict[str, str]:
        """Return an environment with nothing of this machine's settings, and all telemetry off."""
        kept = {name: value for name, value in os.environ.items() if name in KEPT}
        own = {"HOME": str(home), "DO_NOT_TRACK": "1", "JOBSPAN_LEDGER": str(home / "ledger.db")}
        if self.python == Path(sys.executable):
            own["PYTHONPATH"] = str(ROOT / "src")
        return {**kept, **own, **self.contender.environment}


def this_one(contender: Contender) -> Environment:
    """Take the interpreter we run in: for contenders whose packages are there."""
    version = (
        "here" if contender.packages[0].startswith(str(ROOT)) else metadata.version(contender.packages[0])
    )
    return Environment(contender, Path(sys.executable), version)


def own_one(contender: Contender, cache: Path, timeout: float) -> Environment:
    """Return the contender's virtualenv, made now unless it is in the cache.

    Raises:
        Broken: pip failed, or took longer than `timeout` seconds.
    """
    folder = cache / contender.name.replace(" ", "-")
    python = folder / "bin" / "python"
    done = folder / "installed.txt"
    wanted = "\n".join([sys.version, *contender.packages])
    if not (done.exists() and done.read_text() == wanted):
        print(f"installing {contender.name}", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        _install(python, timeout, "-U", "pip")  # the bundled one resolves traceloop-sdk for minutes
        editable = ["-e"] if contender.packages[0].startswith(str(ROOT)) else []  # the tree's own state
        _install(python, timeout, *editable, *contender.packages)
        done.write_text(wanted)
    return Environment(contender, python, _version(python, contender))


def _install(python: Path, timeout: float, *what: str) -> None:
    command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *what]
    variables = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith(PIP)}
    try:
        done = subprocess.run(
            command, env=variables, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise Broken(f"pip did not finish in {timeout:.0f} s") from None
    if done.returncode:
        raise Broken(f"pip: {last_line(done.stderr)}")


def _version(python: Path, contender: Contender) -> str:
    package = "jobspan" if contender.packages[0].startswith(str(ROOT)) else contender.packages[0]
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def last_line(text: str) -> str:
    """Return what an error output ends with: most programs say the reason there."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it said nothing"
