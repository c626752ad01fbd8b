"""The live handle of a run: what a block holds, and what opens and closes its record.

A handle is safe after its end, twice, from any thread and signal handler. Nothing a method does raises
into the work, but `checkpoint`, which is asked to, and what records where there is a budget.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from itertools import count
from json.encoder import encode_basestring_ascii as quote
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import set_span_in_context

from jobspan import _clock
from jobspan._guard import guarded
from jobspan.exceptions import DeadlineExceeded, RunCanceled
from jobspan.journal import process
from jobspan.model.status import Left, Status, combine
from jobspan.runs import current
from jobspan.runs.current import Activation, Inside, lane, live_run, task_limit
from jobspan.runs.deadline import deadline_text
from jobspan.runs.departed import Departed
from jobspan.runs.leaving import is_error, left_by
from jobspan.runs.measuring import tell_metrics
from jobspan.runs.naming import said
from jobspan.runs.recorder import Recorder
from jobspan.spans.roster import Home, roster
from jobspan.spans.span import RunSpan
from jobspan.spans.usage import usage_processor

if TYPE_CHECKING:
    import asyncio

    from jobspan._composition import Runtime
    from jobspan.runs.option import Duration
    from jobspan.runs.scope import OperationScope

_getpid = process.pid
_STARTING = guarded("run.start")
_ENDING = guarded("run.finish")
_CONTEXT = guarded("run.context")
_SPAN = guarded("run.span")
_BOOKING = guarded("run.error")
_USAGE = guarded("run.usage")
_TOKEN = guarded("run.token")


class RunHandle(Recorder):
    """A job, client run or operation while it is open. Made by a scope, one for each entry."""

    __slots__ = (
        "__weakref__",
        "_activation",
        "_canceled",
        "_depth",
        "_home",
        "_inside",
        "_left",
        "_limit",
        "_span_name",
        "deadline",
        "parent",
        "span",
        "under",
    )

    span: trace.Span

    def __init__(self, runtime: Runtime, name: str, parent: RunHandle | None) -> None:
        super().__init__(runtime, name, None if parent is None else parent.budget)
        self.parent = parent
        self.span = trace.INVALID_SPAN
        self._span_name = ""
        self._activation: Activation | None = None
        self._canceled: str | None = None
        self._depth = 0
        self._home = 0
        """The process that opened it, and alone closes it."""
        self._inside: Inside | None = None
        self._left: Left | None = None
        self._limit: asyncio.Timeout | None = None
        """Cancels the task of an ``async with`` block at the deadline."""
        self.deadline: float | None = None
        """On `_clock.monotonic`, set from ``timeout=``."""
        self.under: Context | None = None
        """Where its span belongs, if not under the current one."""

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
    def stays_open(self) -> bool:
        """Whether the record stays open though the block was left."""
        return False

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
                if self._home == _getpid():
                    self._finish(error)
                else:
                    self._left = left_by(error)
                    if error is not None and is_error(error):
                        self._book(error, "")

    def __enter__(self) -> Self:
        if self._activation is not None:  # entered again while it is open: the outer block closes it
            self._depth += 1
            return self
        self.start()
        self._activation = current.activate(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._depth:
            self._depth -= 1
            return None
        self.leave_context()
        self.finish(error)
        return None

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

    def _start(self) -> None:
        runtime = self._runtime
        runtime.keeper.start()
        parent = self.parent
        now = _clock.now_ns()
        pid = _getpid()
        number = 0
        with _SPAN:
            under = self.under
            if parent is not None and live_run() is not parent and parent.span is not trace.INVALID_SPAN:
                under = set_span_in_context(parent.span)  # opened by its handle, in another context
            span = runtime.pipeline.start_span(
                self._span_name, parent=under, start_ns=now, attributes=self._attributes, owned=True
            )
            self.span, number = span, span.span_id
        if not number:
            number = int.from_bytes(os.urandom(8), "big")
        self._home = pid
        uid = self.uid = f"{runtime.uid_prefix(pid)}{number:016x}"
        self._pen = (pid, f'"w":"{uid}"', count(1).__next__)
        roster.opened(number, self)
        up = f',"parent":"{parent.uid}"' if parent is not None and parent.uid else ""
        up += deadline_text(self, now) if self.deadline is not None else ""
        runtime.append(f'{{"e":"open","w":"{uid}","q":0,"t":{now},"lane":{lane()}{up},{self._opening(now)}}}')

    @abstractmethod
    def _opening(self, now_ns: int) -> str:
        """Return the rest of the open event, as JSON text."""

    def _finish(self, error: BaseException | None) -> None:
        left = self._left = Left.OK if error is None else Left.FAILED
        if error is not None:
            with _ENDING:
                left = self._left = left_by(error, self)
        cause, message = "", None
        if error is not None and left is not Left.OK:
            kind, message = self._runtime.describe(error)
            cause = f',"type":{quote(kind)},"message":{quote(message)}'
            if is_error(error):
                with _BOOKING:
                    self._book(error, "", (kind, message))
        self._leave_roster()
        end_ns = _clock.now_ns()
        if not self.stays_open:
            self._write(f'"e":"close","how":"{left}","lane":{lane()}{cause}', end_ns)
        self._tell_parent()
        if self._runtime.metrics.is_on:
            tell_metrics(self, end_ns)
        failed = left is not Left.OK
        self.span.finish(  # type: ignore[attr-defined]
            end_ns,
            attributes=self._end_attributes,
            error=error if failed else None,
            status_ok=not failed,
            message=message,
        )

    def _leave_roster(self) -> None:
        span = self.span
        if isinstance(span, RunSpan):
            roster.closed(span.span_id)
            if span.written_attributes:
                with _USAGE:
                    usage_processor.own_span(self, span)

    @property
    def trace_id(self) -> int:
        span = self.span
        return span.trace_id if isinstance(span, RunSpan) else 0

    def departed(self) -> Home:
        """Return something small that stands for it after its end."""
        return Departed.of(self)

    def _tell_parent(self) -> None:
        """Let the run around this one know how it ended."""

    @property
    def _status(self) -> Status:
        """What this process knows of the status: enough for a span, not for a record."""
        if self._left is None or self.stays_open:
            return Status.RUNNING
        return combine(self._left, (), errors=self._errors > 0)

    def span_attributes(self) -> dict[str, Any]:
        """Return the attributes of the span while the run is open."""
        return self._attributes()

    @abstractmethod
    def _attributes(self) -> dict[str, Any]:
        """Return the attributes of the span while the run is open."""

    def _end_attributes(self) -> dict[str, Any]:
        """Return the attributes of the span that are known at the end."""
        counts = {f"jobspan.count.{name}": value for name, value in self._counts.items()}
        return {**self._attributes(), "jobspan.status": self._status.value, **counts}

    # --- what stands around it

    def log_fields(self) -> dict[str, str]:
        """Return what log records of this run carry: run_id, client_id, job_type, operation."""
        fields = {"run_id": "", "client_id": "", "job_type": "", "operation": ""}
        run: RunHandle | None = self
        while run is not None:
            for name, value in run._log_names().items():
                fields[name] = fields[name] or value
            run = None if run.kind == "job" else run.parent
        return fields

    @abstractmethod
    def _log_names(self) -> dict[str, str]:
        """Return this run's own share of `log_fields`."""

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
