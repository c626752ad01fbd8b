"""The short road of most client runs does what the long one does: the same events, spans and contexts."""

from __future__ import annotations

import contextlib
import contextvars
import gc
import os
import random
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import INVALID_SPAN

import jobspan
from jobspan import _clock, _runtime, client_run, job, operation
from jobspan._guard import guard
from jobspan.runs import clients, kinds, opening, plain, scope
from jobspan.runs.current import live_run
from jobspan.spans.roster import roster

_UID = re.compile(
    r"(?<=map )[0-9a-f]{12}|[0-9a-f]{32}|[0-9a-f]{24}(?:\.[0-9a-f]+)?|(?<=\")[0-9a-f]{16}(?=\")"
)
_TIME = re.compile(r'"(t|deadline)":\d+')
_LANE = re.compile(r'"lane":(\d+)')
_RUN_ID = re.compile(r"\d{6}-\d{6}")


class Ended(SpanProcessor):
    """Keeps what started and ended."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.told.append(f"start {span.name} {parent_context is not None}")

    def on_end(self, span: ReadableSpan) -> None:
        attributes = {name: value for name, value in (span.attributes or {}).items() if "id" not in name}
        self.told.append(f"end {span.name} {span.status.status_code} {attributes} {len(span.events)}")


class Told:
    """All that a program showed: events, spans, and what it saw itself; ids by the order they came in."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._names: dict[str, str] = {}

    def take(self, payload: str) -> None:
        text = _RUN_ID.sub("ID", _TIME.sub(r'"\1":0', payload))
        text = _LANE.sub(lambda found: f'"lane":{int(found[1]) == threading.get_ident()}', text)
        self.lines.append(_UID.sub(lambda found: self._name(found[0]), text))

    def see(self) -> None:
        """Note what is current."""
        run, span = live_run(), trace.get_current_span()
        name = getattr(span, "name", None)
        self.lines.append(
            f"sees {run and run.name} {run and run.kind} {name} {len(otel_context.get_current())}"
        )

    def _name(self, text: str) -> str:
        return self._names.setdefault(text, f"#{len(self._names)}")


Program = Callable[[Callable[[], None]], None]


def usual(see: Callable[[], None]) -> None:
    with job("nightly") as j:
        see()
        for client in ("A", "B", 7, "A", "Größe", 'a "quoted" one'):
            with client_run(client) as run:
                run.add(leads=2, posts=1)
                see()
                run.note("so")
        with j.client("C") as run, run.operation("step"):
            see()
        see()
    see()


def errors(see: Callable[[], None]) -> None:
    with job("nightly"):
        with contextlib.suppress(ValueError), client_run("A"):
            raise ValueError("bad")
        with client_run("B") as run:
            run.error("once")
        with contextlib.suppress(SystemExit), client_run("C"):
            raise SystemExit(0)
        with client_run("D") as run:
            run.skip("nothing new")
        with client_run("E") as run:
            run.set(posts_processed=3)
            run.add(posts=1)
        see()


def nested(see: Callable[[], None]) -> None:
    with job("outer"):
        with client_run("A") as run, client_run("A"), client_run("B"), operation("step"), client_run("C"):
            run.add(items=1)
            see()
        with job("inner"), client_run("A"):
            see()
        see()


def decorated(see: Callable[[], None]) -> None:
    @client_run
    def one(client_id: str, fails: bool = False) -> str:
        see()
        jobspan.current_run().add(leads=1)
        if fails:
            raise ValueError(client_id)
        return client_id

    with job("nightly"):
        assert [one("A"), one(client_id="B")] == ["A", "B"]
        with pytest.raises(ValueError, match="C"):
            one("C", fails=True)
        one(None)  # type: ignore[arg-type]


def again(see: Callable[[], None]) -> None:
    with job("nightly"):
        block = client_run("A")
        for _ in range(2):
            with block as run:
                with run:
                    see()
                run.add(leads=1)
        with run:  # after its end
            see()
            run.add(leads=1)
        see()
        run.finish()


def out_of_order(see: Callable[[], None]) -> None:
    with job("nightly"):
        first, second = client_run("A"), client_run("A")
        first.__enter__()
        second.__enter__()
        see()
        first.__exit__(None, None, None)
        see()
        second.__exit__(None, None, None)
        see()
        first.__exit__(None, None, None)


def abandoned(see: Callable[[], None]) -> None:
    def parts() -> Iterator[int]:
        with client_run("A") as run:
            yield 1
            run.add(leads=1)

    with job("nightly"):
        generator = parts()
        next(generator)
        see()
        with client_run("B"):
            see()
        generator.close()
        see()
        run = client_run("C").new_run()
        run.start()
        del run
        gc.collect()


def elsewhere(see: Callable[[], None]) -> None:
    with job("nightly"):
        block = client_run("A")
        contextvars.copy_context().run(block.__enter__)
        see()
        block.__exit__(None, None, None)
        thread = threading.Thread(target=lambda: client_run("B").__enter__())
        thread.start()
        thread.join()
        run = client_run("C").new_run()
        thread = threading.Thread(target=contextvars.copy_context().run, args=(run.__enter__,))
        thread.start()
        thread.join()
        run.__exit__(None, None, None)
        see()


def ended_early(see: Callable[[], None]) -> None:
    with job("nightly"):
        with client_run("A") as run:
            run.finish()
            run.add(leads=1)
        with client_run("B") as run:
            run.detach(external_id="x")
        with client_run("C") as run:
            run.close_canceled("told to")
            see()
        with client_run("D") as run:
            run.leave_context()
            see()
        see()


def foreign_spans(see: Callable[[], None]) -> None:
    tracer = TracerProvider().get_tracer("of the program")
    with job("nightly"):
        with tracer.start_as_current_span("request"):
            with client_run("A"):
                see()
        with client_run("B"):
            with tracer.start_as_current_span("call"):
                see()
            trace.get_current_span().set_attribute("seen", 1)
        token = otel_context.attach(trace.set_span_in_context(INVALID_SPAN))
        with client_run("C"):
            see()
        otel_context.detach(token)


def moved_clock(see: Callable[[], None]) -> None:
    with job("nightly"):
        with client_run("A"):
            _clock.moved_ns += 5_000_000_000
        with client_run("B"):
            _clock.moved_ns -= 5_000_000_000
        with client_run("C"):
            see()


def looped(see: Callable[[], None]) -> None:
    tried: list[str] = []

    def fails_once(client: str) -> str:
        see()
        tried.append(client)
        jobspan.current_run().add(leads=1)
        with client_run(client):  # goes on with the same run
            see()
        if tried.count(client) == 1:
            raise ValueError(client)
        return client

    with job("nightly") as j:
        for each in j.clients([{"id": "A"}, {"id": "B"}, {"id": None}], key="id"):
            with each as run:
                run.add(leads=1)
                see()
                if run.client_id == "B":
                    raise ValueError("ends at the block")
        outcomes = j.map(fails_once, ["C", "D"], retries=1)
        assert [outcome.value for outcome in outcomes] == ["C", "D"]
        j.map(len, ["E", "F"], concurrency=1, done_within="1h")
        see()


def outside(see: Callable[[], None]) -> None:
    with job("inside"), client_run("A"):
        see()
    with client_run("A"):
        see()
    with client_run("B", implicit_job=False) as run:
        run.add(leads=1)
    with job("nightly", max_tokens=1_000), client_run("C") as run:
        run.record_usage(input_tokens=1, output_tokens=1)
    with job("nightly") as j:
        for each in j.clients(["D", "E"]):
            with each:
                see()
        j.map(lambda client: see(), ["F", "G"])
    with client_run("H", timeout=30) as run:
        see()


PROGRAMS = [
    usual,
    errors,
    nested,
    decorated,
    again,
    out_of_order,
    abandoned,
    elsewhere,
    ended_early,
    foreign_spans,
    moved_clock,
    looped,
    outside,
]


def told_by(fresh: Any, program: Program, processors: bool) -> list[str]:
    ended = Ended()
    fresh.configure(span_processors=[ended] if processors else [])
    told, own = Told(), _runtime.runtime()
    append = own.append

    def taken(payload: str) -> None:
        told.take(payload)
        append(payload)

    own.append = taken
    contextvars.copy_context().run(program, told.see)
    assert jobspan.flush(10)
    counts = {record.status.value: len(record.client_runs) for record in fresh.jobs()}
    trouble = {name: count for name, count in guard.counts().items() if name != "ledger.busy"}
    told.lines += [*(_RUN_ID.sub("ID", line) for line in ended.told), f"guard {trouble}", f"{counts}"]
    told.lines.append(f"open {len(roster.open())}")
    roster.forget()
    scope._entered.clear()
    return told.lines


@pytest.fixture
def roads(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Count who takes the short road; take it away by setting "closed"."""
    taken = {"entered": 0, "left": 0, "closed": 0}

    def watched(real: Callable[[Any], bool], what: str) -> Callable[[Any], bool]:
        def call(run: Any) -> bool:
            done = real(run)
            taken[what] += done
            return done

        return call

    def made(*told: Any) -> Any:
        return None if taken["closed"] else opening.plain_client_run(*told)

    for module in (kinds, scope):
        monkeypatch.setattr(module, "enter_plain", watched(plain.enter_plain, "entered"))
        monkeypatch.setattr(module, "leave_plain", watched(plain.leave_plain, "left"))
    for module in (scope, clients):
        monkeypatch.setattr(module, "plain_client_run", made)
    return taken


@pytest.mark.parametrize("processors", [False, True], ids=["bare", "with a processor"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_both_roads_tell_the_same(
    fresh: Any, tmp_path: Any, roads: dict[str, int], program: Program, processors: bool
) -> None:
    fresh.configure(strict=False)
    short = told_by(fresh, program, processors)
    assert roads["entered"], "no run took the short road"
    before = roads["entered"]
    roads["closed"] = 1
    fresh.ledger = tmp_path / "long" / "ledger.db"
    guard.reset()
    long = told_by(fresh, program, processors)
    assert roads["entered"] == before
    assert short == long


def random_program(seed: int) -> Program:
    def program(see: Callable[[], None]) -> None:
        draw = random.Random(seed)
        tracer = TracerProvider().get_tracer("x")
        open_blocks: list[Any] = []
        with job("random"):
            with client_run("first"):
                see()
            for _ in range(40):
                step = draw.randrange(10)
                if step < 3 and len(open_blocks) < 4:
                    open_blocks.append(client_run(draw.choice("ABC")))
                    open_blocks[-1].__enter__()
                elif step == 3 and len(open_blocks) < 4:
                    open_blocks.append(tracer.start_as_current_span("s"))
                    open_blocks[-1].__enter__()
                elif step == 4 and len(open_blocks) < 4:
                    open_blocks.append(operation("step"))
                    open_blocks[-1].__enter__()
                elif step < 7 and open_blocks:
                    open_blocks.pop().__exit__(None, None, None)
                elif step == 7 and open_blocks:
                    error = ValueError("bad")
                    open_blocks.pop().__exit__(ValueError, error, None)
                else:
                    jobspan.current_run().add(leads=draw.randrange(3))
                see()
            while open_blocks:
                open_blocks.pop(draw.randrange(len(open_blocks))).__exit__(None, None, None)

    return program


@pytest.mark.parametrize("seed", range(12))
def test_random_programs_tell_the_same(fresh: Any, tmp_path: Any, roads: dict[str, int], seed: int) -> None:
    short = told_by(fresh, random_program(seed), seed % 2 == 0)
    roads["closed"] = 1
    fresh.ledger = tmp_path / "long" / "ledger.db"
    assert short == told_by(fresh, random_program(seed), seed % 2 == 0)
    assert roads["entered"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_takes_the_long_road_once_and_then_the_short_one(fresh: Any, roads: dict[str, int]) -> None:
    with job("nightly"), client_run("A") as run:
        run.add(leads=1)
        child = os.fork()
        if child == 0:
            roads["entered"] = roads["left"] = 0
            run.add(leads=2)
            client_run("B").__enter__().__exit__(None, None, None)
            os._exit(7 if roads["left"] == 0 else 9)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert (roads["entered"], roads["left"]) == (1, 1)
    assert dict(fresh.client("A").counts) == {"leads": 3}


def test_what_fails_on_the_short_road_is_guarded(fresh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh.configure(strict=False)

    def broken(*_: Any) -> None:
        raise RuntimeError("broken")

    with job("nightly"):
        with monkeypatch.context() as patch:
            patch.setattr(plain, "attach", broken)
            with client_run("A") as run:
                run.add(leads=1)
                assert jobspan.current_run() is run
        with monkeypatch.context() as patch:
            with client_run("B") as run:
                run.add(leads=1)
                patch.setattr(plain, "restore", broken)
        assert jobspan.current_run().kind == "job"
    assert {client.client_id: client.status.value for client in fresh.job().client_runs} == {
        "A": "Completed",
        "B": "Completed",
    }
    assert guard.counts() == {"run.start: RuntimeError": 1, "run.finish: RuntimeError": 2}
