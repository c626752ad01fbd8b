"""One exporter and its thread: spans go in without waiting, and out in batches.

A thread of its own for each exporter, so that a slow backend does not starve another. The caller's side
appends to a deque and at most wakes the thread by a `SimpleQueue`: both are C calls that take no lock a
signal handler could find taken.
"""

from __future__ import annotations

import collections
import contextlib
import itertools
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from jobspan import _clock
from jobspan.journal import process
from jobspan.spans.attempt import Tell, attempt
from jobspan.spans.mark import FlushMark

if TYPE_CHECKING:
    from jobspan.spans.span import RunSpan

_told = process.told
BATCH_SIZE = 512
QUEUE_SIZE = 100_000
LINGER_SECONDS = 1.0
"""How long a span waits for company when nobody flushes."""


class _Lane:
    """What belongs to one process: the queue, its thread, its counts."""

    def __init__(self) -> None:
        self.queue: collections.deque[RunSpan | FlushMark] = collections.deque()
        self.signal: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.awake = False
        self.marks: collections.deque[FlushMark] = collections.deque()  # those in the queue
        self.hurried = False
        self.starts = itertools.count()
        self.started = False
        self.start_again_at = 0.0
        self.closes = itertools.count()
        self.closed = False
        self.stop_mark: FlushMark | None = None
        self.in_flight = 0
        self.dropped: dict[str, int] = {}
        self.counting = threading.RLock()


class ExporterFeed:
    """Feeds one exporter in the background; never blocks or raises for who hands it a span."""

    def __init__(
        self,
        exporter: SpanExporter,
        tell: Tell,
        *,
        queue_size: int = QUEUE_SIZE,
        batch_size: int = BATCH_SIZE,
        linger_seconds: float = LINGER_SECONDS,
    ) -> None:
        self._exporter = exporter
        self._name = type(exporter).__name__
        self._tell = tell
        self._queue_size = queue_size
        self._batch_size = batch_size
        self._linger_seconds = linger_seconds
        self._lanes = {process.pid(): _Lane()}

    def _lane(self) -> _Lane:
        """Return this process's lane; a forked child starts with an empty one: the parent exports its own."""
        lane = self._lanes.get(_told[0])
        return self._new_lane() if lane is None else lane

    def _new_lane(self) -> _Lane:
        pid = process.pid()
        lane = self._lanes.get(pid)
        if lane is None:
            lane = self._lanes.setdefault(pid, _Lane())  # atomic: two threads get the same
            for other in list(self._lanes):
                if other != pid:
                    self._lanes.pop(other, None)
        return lane

    # -- the caller's side

    def put(self, span: RunSpan) -> None:
        """Queue an ended span, or count it as dropped where there is no room."""
        lane = self._lane()
        waiting = len(lane.queue)
        if waiting >= self._queue_size:
            self._drop(lane, "queue full", 1)
        elif lane.stop_mark is not None:
            self._drop(lane, "after shutdown", 1)
        else:
            lane.queue.append(span)
            if not lane.awake or (waiting >= self._batch_size - 1 and not lane.hurried):
                self._wake(lane)

    def pending(self) -> int:
        """Return how many spans are queued or in the exporter's hands."""
        lane = self._lane()
        return max(0, len(lane.queue) - len(lane.marks)) + lane.in_flight

    @property
    def dropped(self) -> dict[str, int]:
        """How many spans of this process were not exported, by reason."""
        return dict(self._lane().dropped)

    def flush(self, deadline: float) -> FlushMark:
        """Ask for everything ended so far; wait on the mark that is returned."""
        lane = self._lane()
        mark = FlushMark(deadline)
        if lane.stop_mark is not None:
            return lane.stop_mark
        if not lane.queue and not lane.started:
            mark.resolve(not lane.dropped)
        else:
            self._append_mark(lane, mark)
        return mark

    def stop(self, deadline: float) -> FlushMark:
        """Ask for everything, then for the exporter's shutdown; spans that end from now on are dropped."""
        lane = self._lane()
        if lane.stop_mark is None:
            lane.stop_mark = FlushMark(deadline, stops=True)
            self._append_mark(lane, lane.stop_mark)
        return lane.stop_mark

    def interrupt(self) -> None:
        """Shut the exporter down beside its running export, which makes OTLP's retries give up."""
        self._new_thread("close", self._close)

    def _new_thread(self, task: str, target: Callable[[_Lane], None]) -> bool:
        thread = threading.Thread(
            target=target, args=(self._lane(),), name=f"jobspan-{task}-{self._name}", daemon=True
        )
        starting = attempt("spans.thread", self._tell)
        with starting:
            thread.start()
        return not starting.failed

    def _append_mark(self, lane: _Lane, mark: FlushMark) -> None:
        lane.marks.append(mark)
        lane.queue.append(mark)
        self._wake(lane)
        if not lane.started and lane.start_again_at:
            mark.resolve(False)

    def _wake(self, lane: _Lane) -> None:
        if lane.awake:
            lane.hurried = True
        lane.awake = True
        if not lane.started and _clock.monotonic() >= lane.start_again_at and next(lane.starts) == 0:
            self._start(lane)
        if lane.started:
            lane.signal.put(None)

    def _start(self, lane: _Lane) -> None:
        lane.started = True
        if not self._new_thread("export", self._work):  # no more threads, or the interpreter is ending
            lane.start_again_at = _clock.monotonic() + 1.0
            lane.started = lane.awake = False
            lane.starts = itertools.count()

    def _drop(self, lane: _Lane, reason: str, count: int) -> None:
        """Count spans that will not be exported; told at 1, 2, 4, 8 …: a flood of spans, not of logs."""
        with lane.counting:
            before = lane.dropped.get(reason, 0)
            after = lane.dropped[reason] = before + count
        if before.bit_length() != after.bit_length():
            with attempt("spans.tell", None):
                self._tell("spans.export", f"{after} spans not exported by {self._name}: {reason}")

    # -- the thread's side

    def _work(self, lane: _Lane) -> None:
        context_api.attach(_quiet_context())
        stopped = False
        while not stopped:
            lingered = self._await_work(lane)
            stopped = self._drain(lane, lingered)
        while lane.queue:  # put by a thread that had looked before the stop
            batch, mark = self._take(lane, self._batch_size)
            if batch:
                self._drop(lane, "after shutdown", len(batch))
            if mark is not None:
                mark.resolve(False)
        lane.in_flight = 0

    def _await_work(self, lane: _Lane) -> bool:
        """Sleep until there is a span, then until a batch is full or wanted, or (True) long enough."""
        lane.awake = False
        if not lane.queue:  # looked at after `awake` was cleared: who appends later sees it and wakes us
            lane.signal.get()
        lane.awake = True
        lane.hurried = False
        until = _clock.monotonic() + self._linger_seconds
        while len(lane.queue) < self._batch_size and not lane.marks:
            rest = until - _clock.monotonic()
            if rest <= 0:
                return True
            with contextlib.suppress(queue.Empty):
                lane.signal.get(timeout=rest)
        return False

    def _drain(self, lane: _Lane, lingered: bool) -> bool:
        """Export what waits: all of it when that is wanted, else full batches; True after the stop mark."""
        everything = lingered or bool(lane.marks)
        left = len(lane.queue)
        while left > 0 and (everything or left >= self._batch_size):
            batch, mark = self._take(lane, min(left, self._batch_size))
            left -= len(batch) + (mark is not None)
            if batch:
                self._export(lane, batch)
            lane.in_flight = 0
            if mark is not None:
                self._resolve(lane, mark)
                if mark.stops:
                    return True
        return False

    def _take(self, lane: _Lane, most: int) -> tuple[list[RunSpan], FlushMark | None]:
        batch: list[RunSpan] = []
        while len(batch) < most and lane.queue:
            lane.in_flight = len(batch) + 1  # before it leaves the queue: `pending` never looks away
            item = lane.queue.popleft()
            if isinstance(item, FlushMark):
                lane.in_flight = len(batch)
                lane.marks.popleft()
                return batch, item
            batch.append(item)
        return batch, None

    def _export(self, lane: _Lane, batch: list[RunSpan]) -> None:
        if lane.closed:  # a shutdown ran out of time: its exporter is told nothing more
            self._drop(lane, "shutdown ran out of time", len(batch))
            return
        spans: list[ReadableSpan] = []
        for span in batch:
            with attempt("spans.readable", self._tell, everything=True):
                spans.append(span.to_readable())
        if len(spans) < len(batch):
            self._drop(lane, "not readable", len(batch) - len(spans))
        result: object = None
        exporting = attempt(f"spans.export.{self._name}", self._tell, everything=True)
        with exporting:
            result = self._exporter.export(spans)
        if exporting.failed:
            self._drop(lane, "exporter raised", len(spans))
        elif result is not SpanExportResult.SUCCESS:
            self._drop(lane, "exporter failed", len(spans))

    def _resolve(self, lane: _Lane, mark: FlushMark) -> None:
        exported = self._flush_exporter(lane, mark) and not lane.dropped
        if mark.stops:
            self._close(lane)
        mark.resolve(exported)

    def _flush_exporter(self, lane: _Lane, mark: FlushMark) -> bool:
        flush = getattr(self._exporter, "force_flush", None)
        rest_millis = int(max(0.0, mark.deadline - _clock.monotonic()) * 1000)
        if flush is None or rest_millis == 0 or lane.closed:
            return flush is None
        result: object = None
        flushing = attempt(f"spans.flush.{self._name}", self._tell, everything=True)
        with flushing:
            result = flush(rest_millis)
        return not flushing.failed and result is not False  # the interface's own default returns None

    def _close(self, lane: _Lane) -> None:
        if next(lane.closes) == 0:
            lane.closed = True
            with attempt(f"spans.shutdown.{self._name}", self._tell, everything=True):
                self._exporter.shutdown()


def _quiet_context() -> Context:
    """Return a context in which HTTP instrumentations trace nothing, and with no span of the caller's."""
    context = context_api.set_value("suppress_instrumentation", True, Context())
    for name in ("_SUPPRESS_INSTRUMENTATION_KEY", "_SUPPRESS_HTTP_INSTRUMENTATION_KEY"):
        key = getattr(context_api, name, None)
        if key is not None:
            context = context_api.set_value(key, True, context)
    return context
