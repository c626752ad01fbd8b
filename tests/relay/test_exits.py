"""Exits that come upon background threads at their worst moment: amid the loading of libraries."""

from __future__ import annotations

import importlib
import random
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from jobspan._ending import Ending, ProcessEnds
from jobspan.testing.airtable import AirtableServer
from tests.relay.support import wait_until
from tests.relay.test_processes import program

AMID_LOADING = """
import sys, time, jobspan
library, delay = sys.argv[1], float(sys.argv[2])
sys.setswitchinterval(1e-5)
with jobspan.job("short") as job, job.client("A"):
    jobspan.record_usage(input_tokens=10, output_tokens=5, model="gpt-4o", provider="openai")
until = time.monotonic() + 20
while library not in sys.modules and time.monotonic() < until:
    time.sleep(0.001)
assert library in sys.modules
time.sleep(delay)
"""
LIBRARIES = {"pydantic_core": 0.03, "pyairtable.models.schema": 0.3, "genai_prices": 0.4}
"""How long after it is begun the loading of a library, or what it is loaded for, goes on."""


@pytest.mark.parametrize("exits", [5, pytest.param(120, marks=pytest.mark.slow)])
@pytest.mark.timeout(900)
def test_no_exit_takes_a_thread_off_amid_compiled_code(tmp_path: Path, exits: int) -> None:
    chance = random.Random(7)
    ends: Counter[tuple[str, int, str]] = Counter()
    with AirtableServer() as server:
        for number in range(exits):
            library = sorted(LIBRARIES)[number % 3]
            process = program(
                server, tmp_path / str(number), library, chance.uniform(0, LIBRARIES[library]),
                code=AMID_LOADING, JOBSPAN_EXIT_FLUSH="0",
            )  # fmt: skip
            _, err = process.communicate(timeout=60)
            ends[library, process.returncode, err[-300:]] += 1
    assert {(code, err) for _, code, err in ends} == {(0, "")}, ends


def test_of_a_library_the_modules_not_begun_are_not_loaded_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jobspan_trial_first.py").write_text("import time; time.sleep(0.3); done = True\n")
    (tmp_path / "jobspan_trial_second.py").write_text("")
    (tmp_path / "jobspan_trial.py").write_text("import jobspan_trial_first, jobspan_trial_second\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    ending = Ending()

    def load() -> None:
        with suppress(ProcessEnds), ending.working(), ending.loading():
            importlib.import_module("jobspan_trial")

    thread = threading.Thread(target=load)
    thread.start()
    wait_until(lambda: "jobspan_trial_first" in sys.modules)
    ending.settle()
    assert sys.modules.pop("jobspan_trial_first").done, "what is being loaded is waited for"
    thread.join(10)
    assert not {"jobspan_trial", "jobspan_trial_second"} & sys.modules.keys()


def test_a_thread_that_waits_for_the_system_is_left_there_and_does_nothing_more() -> None:
    ending = Ending()
    waits, answered, done = threading.Event(), threading.Event(), threading.Event()
    did: list[str] = []

    def work() -> None:
        try:
            with ending.working():
                did.append("began")
                with ending.waiting():
                    waits.set()
                    answered.wait(10)
                did.append("went on")
        except ProcessEnds:
            did.append("ended")
        finally:
            done.set()

    threading.Thread(target=work).start()
    assert waits.wait(10)
    begun = time.monotonic()
    ending.settle()
    assert time.monotonic() - begun < 0.09
    answered.set()
    assert done.wait(10)
    assert did == ["began", "ended"]
    with pytest.raises(ProcessEnds), ending.working():
        raise AssertionError("nothing is begun")


@pytest.mark.parametrize(("at", "longest"), [("working", 0.1), ("writing", 0.4)])
def test_an_exit_waits_for_work_and_for_a_line_of_log_only_so_long(at: str, longest: float) -> None:
    ending = Ending()
    begun, over = threading.Event(), threading.Event()

    def work() -> None:
        with ending.working(), getattr(ending, at)():
            begun.set()
            over.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(10)
    before = time.monotonic()
    ending.settle()
    assert longest <= time.monotonic() - before < longest + 0.3
    over.set()
    thread.join()
