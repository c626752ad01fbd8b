"""The live handle of a run: what a block holds, and what opens and closes its record.

A handle is safe after its end, twice, from any thread and signal handler. Nothing a method does raises
into the work, but `checkpoint`, which is asked to, and what records where there is a budget.
"""

from __future__ import annotations

from abc import abstractmethod
from json.encoder import encode_basestring_ascii as quote
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import ref

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, set_span_in_context

from jobspan import _clock
from jobspan._guard import guarded
from jobspan.exceptions import DeadlineExceeded, RunCanceled
from jobspan.journal import process
from jobspan.model.status import Left, Status
from jobspan.runs import current
from jobspan.runs.current import Activation, Inside, lane, live_run, set_current, task_limit
from jobspan.runs.deadline import deadline_text
from jobspan.runs.departed import Departed
from jobspan.runs.leaving import is_error, left_by
from jobspan.runs.measuring import tell_metrics
from jobspan.runs.naming import said
from jobspan.runs.recorder import Recorder
from jobspan.runs.telling import Telling
from jobspan.spans.context import attach, watched_globals
from jobspan.spans.identifier import new_span_id
from jobspan.spans.roster import Remains, roster
from jobspan.spans.span import RunSpan
from jobspan.spans.usage import usage_processor

if TYPE_CHECKING:
    import asyncio

    from jobspan._composition import Runtime
    from jobspan.runs.option import Duration
    from jobspan.runs.scope import OperationScope

_told = process.told
_globals: Any = watched_globals()
_STARTING = guarded("run.start")
_ENDING = guarded("run.finish")
_CONTEXT = guarded("run.context")
_SPAN = guarded("run.span")
_BOOKING = guarded("run.error")
_USAGE = guarded("run.usage")
_TOKEN = guarded("run.token")


class RunHandle(Telling):
    """A job, client run or operation while it is open. Made by a scope, one for each entry."""

    parent: RunHandle | None
    deadline: float | None = None
    """On `_clock.monotonic`, set from ``timeout=``."""
    under: Context | None = None
    """Where its span belongs, if not under the current one."""
    implicit: RunHandle | None = None
    """An implicit job: opened before this run, and closed after it."""
    first_note: str | None = None
    """What is to be told of it as soon as it is open."""
    scope: object = None
    """Whose block it is: that scope leaves it."""
    lane: int = 0
    """The thread or task that opened it."""
    _number: int = 0
    """Of its span, and in its uid."""
    _moved_ns: int = 0
    """How far the clock had been moved when it was opened: its end is told by the same clock."""
    _home: int = 0
    """The process that opened it, and alone closes it."""
    _depth: int
    _activation: Activation | None = None
    _inside: Inside | None = None
    _canceled: str | None = None
    _is_detached: bool = False
    _limit: asyncio.Timeout | None = None
    """Cancels the task of an ``async with`` block at the deadline."""

    def __init__(self, runtime: Runtime, name: str, parent: RunHandle | None) -> None:
        self._runtime = runtime
        self.name = name
        self.parent = parent
        self.budget = None if parent is None else parent.budget
        self._counts = {}
        self._epoch = self._errors = self._depth = 0
        self._left = None

    @property
    def owner_runtime(self) -> Runtime:
        """The runtime it was opened with."""
        return self._runtime

    @property
    def was_never_entered(self) -> bool:
        """Whether nobody has opened it."""
        return self._pen is None

    @property
    def way_left(self) -> Left | None:
        """How its block was left; None while it is open."""
        return self._left

    @property
    def local_status(self) -> Status:
        """The status as far as this process knows."""
        return self._status

    # --- what a person does with it

    @property
    def is_recording(self) -> bool:
        """Whether the run is open and recorded."""
        return self._pen is not None and self._left is None

    @property
    @abstractmethod
    def run_id(self) -> str:
        """The id people see."""

    def operation(self, name: str, *, timeout: Duration | None = None) -> OperationScope:
        """Return a named step of this run: ``with run.operation("post_scoring") as op:``.

        Raises:
            UsageError: The name is no text, or the timeout no duration.
        """
        from jobspan.runs.scope import OperationScope

        return OperationScope(name, timeout=timeout, parent=self)

    def checkpoint(self) -> None:
        """Stop here if the run, or one around it, was canceled, is past its deadline or over its budget.

        Raises:
            RunCanceled: It was canceled.
            DeadlineExceeded: Its ``timeout=`` has passed.
            BudgetExceeded: It has spent more than its ``max_tokens=``, ``max_cost_usd=`` or ``max_errors=``.
        """
        run: RunHandle | None = self
        now: float | None = None
        while run is not None:
            if run._canceled is not None:
                raise RunCanceled(run._canceled)
            if run.deadline is not None:
                now = _clock.monotonic() if now is None else now
                if now >= run.deadline:
                    raise run.deadline_error()
            run = run.parent
        if self.budget is not None:
            self.budget.raise_if_exceeded()

    def deadline_error(self) -> DeadlineExceeded:
        """Return the error of this run's own deadline."""
        return DeadlineExceeded(f"{self.kind} {self.name!r} is past its timeout", self.uid)

    def cancel(self, reason: object = "canceled") -> None:
        """Have the next `checkpoint` of this run, or of one in it, raise `RunCanceled`."""
        self._canceled = said(reason)

    @property
    def token(self) -> str:
        """A short signed text by which other processes and hosts attach to this run; empty if it has none.

        ``with jobspan.attach(token=…)``. Where no `JOBSPAN_TOKEN_KEY` is set, only processes of the same
        ledger can read it.
        """
        from jobspan.runs.elsewhere import token_of

        with _TOKEN:
            return token_of(self)
        return ""

    # --- entering and leaving

    def start(self) -> None:
        """Open the record, if nobody has; `BudgetExceeded` where a run around it has spent too much."""
        if self._pen is None:
            if self.budget is not None:
                self.budget.raise_if_exceeded()
            with _STARTING:
                self._start()

    def activate(self) -> Activation | None:
        """Put the run into the current context, and what was current in it when it was taken out."""
        inside, self._inside = self._inside, None
        return current.activate(self, inside)

    def deactivate(self, token: Activation | None) -> None:
        """Take the run out of the current context, until it is activated again."""
        if token is not None:
            with _CONTEXT:
                self._inside = current.suspend(self, token)

    def leave_context(self) -> None:
        """Take the run out of the context if it was entered and not left."""
        activation, self._activation = self._activation, None
        if activation is not None:
            with _CONTEXT:
                current.deactivate(self, activation)

    def finish(self, error: BaseException | None = None) -> None:
        """Close the record; `error` is what the body was left with. A second call does nothing.

        A forked child that leaves the block of its parent closes nothing: that is the parent's to do.
        """
        self._inside = None
        if self._left is None and self._pen is not None:
            with _ENDING:
                if self._home == _told[0]:
                    self._finish(error)
                else:
                    self._left = left_by(error)
                    if error is not None and is_error(error):
                        self._book(error, "")
        if self.implicit is not None:
            self.implicit.finish(error)

    def __enter__(self) -> Self:
        if self._activation is not None:  # entered again while it is open: the outer block closes it
            self._depth += 1
            return self
        if self._pen is None and self.budget is not None:
            self.budget.raise_if_exceeded()
        token = None
        with _STARTING:  # opened and made current under one guard: each takes its time
            if self._pen is None:
                self._start()
            if self.span is not INVALID_SPAN:
                token = attach(current.set_span_in_context(self.span))
        self._activation = set_current(self), token
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._depth:
            self._depth -= 1
            return None
        activation = self._activation
        if activation is not None:
            self._activation = None
            with _CONTEXT:
                current.deactivate(self, activation)
        self.finish(error)
        return None if error is None else self.swallows_error(error)

    def swallows_error(self, error: BaseException) -> bool:
        """Whether `error` ends at this block."""
        return False

    async def __aenter__(self) -> Self:
        entered = self.__enter__()
        if self.deadline is not None and self._depth == 0:
            limit = self._limit = task_limit(self.deadline - _clock.monotonic())
            if limit is not None:
                await limit.__aenter__()
        return entered

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._depth == 0 and self._limit is not None:
            limit, self._limit = self._limit, None
            try:
                await limit.__aexit__(kind, error, trace)
            except TimeoutError:  # it was this deadline that canceled the task
                late = self.deadline_error()
                if not self.__exit__(type(late), late, trace):
                    raise late from None
                return True
        return self.__exit__(kind, error, trace)

    @property
    @abstractmethod
    def _span_name(self) -> str:
        """The name of its span."""

    def _start(self) -> None:
        runtime, parent = self._runtime, self.parent
        if self.implicit is not None:
            self.implicit.start()
        pid, provider, prefix = runtime.ready
        if pid != _told[0] or provider is not _globals._TRACER_PROVIDER:
            pid, provider, prefix = runtime.make_ready()
        self._home = pid
        if _clock.moved_ns:
            self._moved_ns = _clock.moved_ns
        now = _clock.now_ns()
        number = self._number = new_span_id()
        with _SPAN:
            under = self.under
            if parent is not None and live_run() is not parent and parent.span is not INVALID_SPAN:
                under = set_span_in_context(parent.span)  # opened by its handle, in another context
            source = self.attribute_source()
            self.span = runtime.pipeline.start_span(self._span_name, under, now, source, True, number)
        pen = runtime.new_pen(pid, prefix, number)
        self.uid = pen.uid
        self._pen = pen
        roster.opened[number] = ref(self)
        roster.is_empty = False
        at = self.lane = lane()
        up = "" if parent is None or not parent.uid else f',"parent":"{parent.uid}"'
        if self.deadline is not None:
            up += deadline_text(self, now)
        pen.write(now, f'"e":"open","lane":{at}{up},{self._opening(now)}')
        if self.first_note is not None:
            self.note(self.first_note)

    @abstractmethod
    def _opening(self, now_ns: int) -> str:
        """Return the rest of the open event, as JSON text."""

    def _finish(self, error: BaseException | None) -> None:
        cause, message = "", None
        if error is None:
            left = self._left = Left.OK
        else:
            left, cause, message = self._left_with(error)
        runtime, span = self._runtime, self.span
        if roster.is_asked:
            roster.closed(self._number, self._remains())
        else:  # no tracer provider tells of spans: nobody will look for it
            roster.opened.pop(self._number, None)
        if type(span) is RunSpan and span._content is not None:
            with _USAGE:
                usage_processor.own_span(self, span)
        end_ns = _clock.now_ns()
        if _clock.moved_ns:
            end_ns -= _clock.moved_ns - self._moved_ns
        if not self._is_detached or not self.stays_open:
            self._write(f'"e":"close","how":"{left}","lane":{lane()}{cause}', end_ns)
        self._tell_parent()
        if runtime.metrics.is_on:
            tell_metrics(self, end_ns)
        if not runtime.pipeline.active and type(span) is RunSpan:
            span._end_ns = end_ns  # nobody takes its last word
            return
        failed = left is not Left.OK
        span.finish(  # type: ignore[attr-defined]
            end_ns,
            attributes=self._last_attributes(),
            error=error if failed else None,
            status_ok=not failed,
            message=message,
        )

    def _left_with(self, error: BaseException) -> tuple[Left, str, str | None]:
        """Take note of how `error` left the block; return that, the cause as JSON text, and the message."""
        left = self._left = Left.FAILED
        with _ENDING:
            left = self._left = left_by(error, self)
        if left is Left.OK:
            return left, "", None
        kind, message = self._runtime.describe(error)
        if is_error(error):
            with _BOOKING:
                self._book(error, "", (kind, message))
        return left, f',"type":{quote(kind)},"message":{quote(message)}', message

    def _remains(self) -> Remains:
        """Return what is kept of it after its end."""
        told = (self.top_uid, self.job_uid, self.trace_id, self.budget)
        return (Departed, self._runtime, self.kind, self.uid, *told)

    def _tell_parent(self) -> None:
        """Let the run around this one know how it ended."""

    # --- what stands around it

    def _around(self) -> Recorder | None:
        return self.parent

    def __reduce__(self) -> Any:
        """Pickle as the run's token: the handle made from it elsewhere adds to the same record."""
        from jobspan.runs.elsewhere import reduced, revive

        return revive, (self.kind, *reduced(self))

    def is_within(self, uid: str | None) -> bool:
        """Whether this run is the one called `uid`, or stands in it."""
        run: RunHandle | None = self if uid else None
        while run is not None and run.uid != uid:
            run = run.parent
        return run is not None
