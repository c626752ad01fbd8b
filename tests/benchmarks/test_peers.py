"""The comparison with peers runs in its short form, and its parts measure what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.program import ROOT, environment, run_python

PEERS = ROOT / "benchmarks" / "peers"
HEADER = [
    "contender",
    "block µs",
    "×",
    "decorator µs",
    "×",
    "import ms",
    "×",
    "exit s: answering",
    "refusing",
    "silent",
    "after SIGKILL",
    "elsewhere",
]
QUICK = ("--here", "--rounds", "2", "--imports", "1", "--kills", "1", "--bound", "1")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def test_the_table_has_a_row_for_the_bare_sdk_and_one_for_jobspan(tmp_path: Path) -> None:
    done = run_python([str(PEERS / "run.py"), *QUICK, "--cache", str(tmp_path)], tmp_path, timeout=110)
    assert done.returncode == 0, done.stderr
    assert "Not measured" not in done.stdout
    header, _, bare, ours = [cells(line) for line in done.stdout.splitlines() if line.startswith("|")]
    assert header == HEADER
    assert bare[0].startswith("otel ")
    assert ours[0].startswith("jobspan ")
    assert [bare[2], bare[4], bare[6]] == ["1.00"] * 3
    assert all(float(cell) > 0 for cell in [*bare[1:7], *ours[1:7]])
    assert [bare[10], ours[10]] == ["0 of 1", "1 of 1"]
    assert [bare[11], ours[11]] == ["nothing", "nothing"]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("work-")]


def test_an_unknown_name_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    done = run_python([str(PEERS / "run.py"), "nobody"], tmp_path)
    assert done.returncode == 2
    assert "nobody" in done.stderr
    assert "jobspan" in done.stderr


def peers_program(code: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run `code` where the modules of the comparison can be imported."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**environment(home), "PYTHONPATH": str(PEERS)},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    "attempt",
    [
        "socket.create_connection(('192.0.2.7', 80), timeout=1)",
        "socket.socket().connect_ex(('192.0.2.7', 80))",
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.7', 9))",
        "socket.getaddrinfo('192.0.2.7', 80)",
        "urllib.request.urlopen('http://192.0.2.7/')",
    ],
)
def test_a_connection_beyond_the_loopback_is_refused_and_written_down(attempt: str, tmp_path: Path) -> None:
    code = f"""
import pathlib, socket, urllib.request, loopback_only
loopback_only.install(pathlib.Path.cwd())
try:
    {attempt}
except OSError:
    print("refused")
"""
    assert peers_program(code, tmp_path).stdout == "refused\n"
    assert set((tmp_path / "refused-hosts.txt").read_text().split()) == {"192.0.2.7"}


def test_the_loopback_stays_open(tmp_path: Path) -> None:
    code = """
import pathlib, urllib.request, backends, loopback_only
loopback_only.install(pathlib.Path.cwd())
with backends.answering() as (address, sink):
    urllib.request.urlopen(address.replace("127.0.0.1", "localhost"), data=b"leads and more").read()
    print(sink.has(b"leads"), sink.has(b"less"))
"""
    assert peers_program(code, tmp_path).stdout == "True False\n"
    assert not (tmp_path / "refused-hosts.txt").exists()


def test_a_refusing_backend_refuses_and_a_silent_one_says_nothing(tmp_path: Path) -> None:
    code = """
import urllib.request, backends
for backend in (backends.refusing, backends.silent):
    with backend() as address:
        try:
            urllib.request.urlopen(address, timeout=0.5)
        except OSError as error:
            print(type(getattr(error, "reason", error)).__name__)
"""
    assert peers_program(code, tmp_path).stdout.split() == ["ConnectionRefusedError", "TimeoutError"]


def test_a_contender_that_breaks_is_named_with_its_reason(tmp_path: Path) -> None:
    code = """
import contenders, run

@contenders.contender("otel", ("opentelemetry-sdk",), "import no_such_module")
def broken(backend):
    raise RuntimeError("it does not start")

run.main(["--here", "--rounds", "1", "--imports", "1", "--kills", "1", "--bound", "1", "--cache", "."])
"""
    done = peers_program(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "otel: import: ModuleNotFoundError: No module named 'no_such_module'" in done.stdout
    ours = next(cells(line) for line in done.stdout.splitlines() if line.startswith("| jobspan"))
    assert ours[10] == "1 of 1"
