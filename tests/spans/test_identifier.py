"""Ids: own random source, never the global one, never the parent's in a forked child."""

from __future__ import annotations

import os
import random
import threading

import pytest

from jobspan.spans import identifier
from jobspan.spans.identifier import new_span_id, new_trace_id
from tests.spans.support import run_program


def test_ids_fit_their_bits_and_do_not_repeat() -> None:
    spans = {new_span_id() for _ in range(20_000)}
    traces = {new_trace_id() for _ in range(20_000)}
    assert len(spans) == len(traces) == 20_000
    assert all(0 < one < 1 << 64 for one in spans)
    assert all(0 < one < 1 << 128 for one in traces)


def test_zero_is_never_given(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([0, 9])
    monkeypatch.setattr(identifier, "_draw_bits", lambda bits: next(drawn))
    assert new_trace_id() == 9

    class Zeros(random.Random):
        def getrandbits(self, bits: int, /) -> int:
            return 0

    monkeypatch.setattr(random, "Random", Zeros)
    try:
        identifier.reseed()
        assert new_span_id() == 1
    finally:
        monkeypatch.undo()
        identifier.reseed()


def test_span_ids_go_up_by_one_from_a_start_of_the_process() -> None:
    first = new_span_id()
    assert [new_span_id() for _ in range(3)] == [first + 1, first + 2, first + 3]
    identifier.reseed()
    assert new_span_id() not in range(first, first + 1_000_000)


def test_the_global_random_is_neither_used_nor_disturbed() -> None:
    random.seed(42)
    state = random.getstate()
    first = [new_trace_id(), new_span_id()]
    assert random.getstate() == state
    random.seed(42)
    assert [new_trace_id(), new_span_id()] != first


def test_threads_get_different_ids() -> None:
    found: list[int] = []

    def draw() -> None:
        found.extend([new_span_id() for _ in range(2_000)])

    threads = [threading.Thread(target=draw) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 16_000


FORKS = {
    "os.fork": "fork = os.fork",
    "a fork made in C, which runs no hook": "import ctypes; fork = ctypes.PyDLL(None).fork",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("fork", FORKS.values(), ids=FORKS.keys())
def test_a_forked_child_draws_its_own_ids(fork: str) -> None:
    program = (
        """
        import os
        from jobspan.spans.identifier import new_span_id, new_trace_id
        FORK
        new_span_id()
        readers = []
        for _ in range(3):
            reader, writer = os.pipe()
            if fork() == 0:
                os.write(writer, f"{new_trace_id()} {new_span_id()}".encode())
                os._exit(0)
            os.close(writer)
            readers.append(reader)
        print(new_trace_id(), new_span_id(), *(os.read(reader, 200).decode() for reader in readers))
    """
    ).replace("FORK", fork)
    assert len(set(run_program(program).split())) == 8
