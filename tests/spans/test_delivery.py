"""Exporting in the background: complete after a flush, bounded in time and memory, never in the way."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from opentelemetry import context as context_api
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExportResult

from jobspan._guard import guard
from jobspan.spans.feed import BATCH_SIZE, LINGER_SECONDS
from jobspan.spans.pipeline import SpanPipeline
from tests.spans.support import Scripted, Stopwatch, Troubles, run_program


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Hold an exporter until set; set at the end, so that no thread hangs on."""
    event = threading.Event()
    yield event
    event.set()


def end_spans(pipeline: SpanPipeline, count: int, name: str = "x") -> None:
    for _ in range(count):
        pipeline.start_span(name).finish()


def test_without_exporters_nothing_is_kept_and_no_thread_runs() -> None:
    before = threading.active_count()
    pipeline = SpanPipeline()
    end_spans(pipeline, 1_000)
    assert not pipeline.active
    assert (pipeline.pending(), pipeline.dropped) == (0, {})
    assert pipeline.force_flush(0)
    assert pipeline.shutdown(0)
    assert threading.active_count() == before


def test_a_burst_to_a_slow_exporter_loses_none() -> None:
    exporter = Scripted(lambda: time.sleep(0.01))
    pipeline = SpanPipeline(exporters=[exporter])
    end_spans(pipeline, 10_000)
    assert pipeline.force_flush(30)
    assert len({span.context.span_id for span in exporter.spans}) == 10_000
    assert max(exporter.batches) <= BATCH_SIZE
    assert (pipeline.pending(), pipeline.dropped) == (0, {})


def test_spans_of_many_threads_all_arrive() -> None:
    exporter = Scripted()
    pipeline = SpanPipeline(exporters=[exporter])
    threads = [threading.Thread(target=end_spans, args=(pipeline, 1_000)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pipeline.force_flush(30)
    assert len(exporter.spans) == 8_000


def test_spans_go_out_by_themselves_in_batches_off_the_callers_thread() -> None:
    exporter = Scripted()
    pipeline = SpanPipeline(exporters=[exporter])
    end_spans(pipeline, 20)
    limit = time.monotonic() + LINGER_SECONDS + 5
    while len(exporter.spans) < 20 and time.monotonic() < limit:
        time.sleep(0.02)
    assert len(exporter.spans) == 20
    assert len(exporter.batches) < 20
    assert exporter.threads == {"jobspan-export-Scripted"}


def test_a_slow_exporter_does_not_starve_another(gate: threading.Event) -> None:
    slow, quick = Scripted(gate.wait), Scripted()
    pipeline = SpanPipeline(exporters=[slow, quick])
    end_spans(pipeline, 10)
    with Stopwatch() as watch:
        assert not pipeline.force_flush(0.3)
    assert watch.seconds < 2
    assert (len(quick.spans), len(slow.spans)) == (10, 0)
    assert not pipeline.force_flush(0)
    assert pipeline.pending() == 10
    gate.set()
    assert pipeline.force_flush(10)
    assert (len(quick.spans), len(slow.spans)) == (10, 10)


def test_a_full_queue_drops_counts_and_tells_without_waiting(gate: threading.Event) -> None:
    troubles = Troubles()
    exporter = Scripted(gate.wait)
    pipeline = SpanPipeline(exporters=[exporter], on_trouble=troubles, queue_size=1_000)
    with Stopwatch() as watch:
        end_spans(pipeline, 5_000)
    assert watch.seconds < 5
    lost = pipeline.dropped["queue full"]
    assert 5_000 - 1_000 - BATCH_SIZE <= lost <= 4_000
    assert 0 < len(troubles.told) <= lost.bit_length()
    assert "spans not exported by Scripted: queue full" in troubles.texts[0]
    gate.set()
    assert not pipeline.force_flush(10)  # not everything that ended was exported, and never will be
    assert len(exporter.spans) == 5_000 - lost


def test_a_raising_exporter_is_counted_and_told_and_the_next_batch_goes_out() -> None:
    troubles = Troubles()
    faults: Iterator[BaseException | None] = iter([ValueError("bad"), SystemExit(3), None])

    def fail_at_first() -> None:
        fault = next(faults)
        if fault is not None:
            raise fault

    exporter = Scripted(fail_at_first)
    pipeline = SpanPipeline(exporters=[exporter], on_trouble=troubles)
    answers = []
    for name in ("a", "b", "c"):
        end_spans(pipeline, 2, name)
        answers.append(pipeline.force_flush(10))
    assert answers == [False, False, False]  # a and b were never exported
    assert exporter.names == ["c", "c"]
    assert pipeline.dropped == {"exporter raised": 4}
    assert {type(error) for where, error in troubles.told if where == "spans.export.Scripted"} == {
        ValueError,
        SystemExit,
    }


@pytest.mark.parametrize("result", [SpanExportResult.FAILURE])
def test_a_failing_exporter_is_counted(result: SpanExportResult) -> None:
    troubles = Troubles()
    pipeline = SpanPipeline(exporters=[Scripted(lambda: result)], on_trouble=troubles)
    end_spans(pipeline, 3)
    assert not pipeline.force_flush(10)
    assert pipeline.dropped == {"exporter failed": 3}
    assert pipeline.pending() == 0
    assert troubles.texts == ["3 spans not exported by Scripted: exporter failed"]


def test_a_flush_asks_the_exporter_to_flush_what_it_holds_itself() -> None:
    class Holding(Scripted):
        said: bool | None = False

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            assert 0 < timeout_millis <= 10_000
            return bool(self.said)

    exporter = Holding()
    pipeline = SpanPipeline(exporters=[exporter])
    end_spans(pipeline, 1)
    assert not pipeline.force_flush(10)
    exporter.said = True
    assert pipeline.force_flush(10)


def test_flushes_of_many_threads_are_answered_at_once_and_truly() -> None:
    exporter = Scripted()
    pipeline = SpanPipeline(exporters=[exporter])
    answers: list[bool] = []

    def work(who: int) -> None:
        for n in range(100):
            end_spans(pipeline, 1, f"{who} {n}")
            answers.append(pipeline.force_flush(10) and f"{who} {n}" in exporter.names)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    with Stopwatch() as watch:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [True] * 400
    assert watch.seconds < 100 * LINGER_SECONDS / 4  # nobody waited for the linger


def test_shutdown_exports_what_waits_and_closes_once() -> None:
    exporter = Scripted()
    pipeline = SpanPipeline(exporters=[exporter])
    end_spans(pipeline, 700)
    assert pipeline.shutdown(10)
    assert (len(exporter.spans), exporter.shutdowns) == (700, 1)
    with Stopwatch() as watch:
        assert pipeline.shutdown(10)
    assert watch.seconds < 3
    end_spans(pipeline, 3)
    assert pipeline.dropped == {"after shutdown": 3}
    assert exporter.shutdowns == 1


def test_shutdown_closes_an_exporter_that_never_had_a_span() -> None:
    exporter = Scripted()
    assert SpanPipeline(exporters=[exporter]).shutdown(10)
    assert exporter.shutdowns == 1


def test_a_shutdown_that_ran_out_of_time_counts_what_it_left(gate: threading.Event) -> None:
    exporter = Scripted(gate.wait)
    pipeline = SpanPipeline(exporters=[exporter], on_trouble=Troubles())
    end_spans(pipeline, 2_000)
    assert not pipeline.shutdown(0.3)
    gate.set()
    limit = time.monotonic() + 10
    while pipeline.pending() and time.monotonic() < limit:
        time.sleep(0.01)
    assert len(exporter.batches) == exporter.shutdowns == 1  # the one in hand; a closed exporter gets no more
    assert pipeline.dropped == {"shutdown ran out of time": 2_000 - len(exporter.spans)}


class HangsAtShutdown(Scripted):
    def __init__(self, gate: threading.Event) -> None:
        super().__init__()
        self._gate = gate

    def shutdown(self) -> None:
        self._gate.wait()


class RaisesAtShutdown(Scripted):
    def shutdown(self) -> None:
        raise KeyboardInterrupt("in a thread")


def test_shutdown_takes_its_time_at_most_however_exporters_behave(gate: threading.Event) -> None:
    exporters = [
        Scripted(gate.wait),
        Scripted(gate.wait),
        HangsAtShutdown(gate),
        RaisesAtShutdown(),
        Scripted(),
    ]
    troubles = Troubles()
    pipeline = SpanPipeline(exporters=exporters, on_trouble=troubles)
    end_spans(pipeline, 5)
    with Stopwatch() as watch:
        assert not pipeline.shutdown(0.5)
    assert 0.4 < watch.seconds < 2
    assert len(exporters[-1].spans) == 5
    assert exporters[0].shutdowns == 1  # told to give up beside its export
    assert "spans.shutdown.RaisesAtShutdown" in troubles.places


@pytest.mark.parametrize("behaviour", ["time.sleep(60)", "threading.Event().wait()"])
def test_a_hanging_exporter_does_not_delay_the_interpreters_exit(behaviour: str) -> None:
    program = f"""
        import atexit, threading, time
        from opentelemetry.sdk.trace.export import SpanExporter
        from jobspan.spans.pipeline import SpanPipeline
        class Hanging(SpanExporter):
            def export(self, spans):
                {behaviour}
            shutdown = force_flush = export
        pipeline = SpanPipeline(exporters=[Hanging(), Hanging()])
        for _ in range(1000):
            pipeline.start_span("x").finish()
        time.sleep(0.2)
        def leave():
            begin = time.monotonic()
            pipeline.shutdown(0.3)
            print(time.monotonic() - begin)
        atexit.register(leave)
    """
    with Stopwatch() as watch:
        printed = run_program(program)
    assert float(printed) < 2
    assert watch.seconds < 15  # the interpreter's start and imports included; the exporters hang for 60


def test_spans_that_end_while_the_interpreter_exits_do_no_harm() -> None:
    program = """
        import atexit, time
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from jobspan.spans.pipeline import SpanPipeline
        exporter = InMemorySpanExporter()
        pipeline = SpanPipeline(exporters=[exporter])
        def late():
            pipeline.start_span("x").finish()
            begin = time.monotonic()
            flushed = pipeline.force_flush(5)
            assert flushed == (len(exporter.get_finished_spans()) == 1)
            pipeline.shutdown(1)
            print(time.monotonic() - begin)
        atexit.register(late)
    """
    assert float(run_program(program)) < 4


def test_no_more_threads_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    troubles = Troubles()
    exporter = Scripted()
    pipeline = SpanPipeline(exporters=[exporter], on_trouble=troubles)

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        end_spans(pipeline, 500)
        with Stopwatch() as watch:
            assert not pipeline.force_flush(5)
        assert watch.seconds < 3
        assert troubles.places == {"spans.thread"}
        assert len(troubles.told) <= 5  # not one for each of the 500
    time.sleep(1.05)
    end_spans(pipeline, 1)
    assert pipeline.force_flush(10)
    assert len(exporter.spans) == 501


def test_exporting_is_not_traced_and_knows_no_span_of_the_caller() -> None:
    seen: list[object] = []

    def look() -> None:
        from opentelemetry import trace

        seen.append(context_api.get_value("suppress_instrumentation"))
        seen.append(context_api.get_value(context_api._SUPPRESS_INSTRUMENTATION_KEY))
        seen.append(trace.get_current_span().get_span_context().is_valid)

    pipeline = SpanPipeline(exporters=[Scripted(look)])
    end_spans(pipeline, 1)
    assert pipeline.force_flush(10)
    assert seen == [True, True, False]


def test_a_signal_handler_may_end_and_flush_spans_at_any_instant() -> None:
    exporter = Scripted()
    pipeline = SpanPipeline(exporters=[exporter])
    ended = by_hand = 0

    def handler(signum: int, frame: object) -> None:
        nonlocal ended
        end_spans(pipeline, 1, "from the handler")
        pipeline.force_flush(0.001)
        ended += 1

    previous = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.005, 0.01)
        while ended < 20:
            end_spans(pipeline, 100)
            by_hand += 100
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert pipeline.force_flush(20)
    assert len(exporter.spans) == by_hand + ended


def test_a_failing_on_trouble_reaches_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "strict", False)

    def broken(where: str, error: BaseException | str) -> None:
        raise RuntimeError("cannot tell")

    def fail() -> None:
        raise ValueError

    pipeline = SpanPipeline(exporters=[Scripted(fail)], on_trouble=broken)
    end_spans(pipeline, 3)
    assert not pipeline.force_flush(10)
    assert pipeline.dropped == {"exporter raised": 3}


def test_troubles_go_to_the_guard_by_default() -> None:
    before = guard.counts().get("spans.export", 0)
    pipeline = SpanPipeline(exporters=[Scripted(lambda: SpanExportResult.FAILURE)])
    end_spans(pipeline, 1)
    assert not pipeline.force_flush(10)
    assert guard.counts()["spans.export"] == before + 1


def test_the_console_exporter_prints_our_spans(capfd: pytest.CaptureFixture[str]) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as out, os.fdopen(reader) as printed:
        pipeline = SpanPipeline(exporters=[ConsoleSpanExporter(out=out)])
        pipeline.start_span("job nightly", attributes={"bytes": b"\xff"}).finish()
        assert pipeline.force_flush(10)
        out.close()
        assert '"name": "job nightly"' in printed.read()
