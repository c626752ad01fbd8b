"""The live handle of a run: what a block holds, and what writes its events.

A handle is safe after its end, twice, from any thread and signal handler: it takes no lock, and each
event is one append to the journal. What a method recorded is durable when it returns. Nothing a
method does raises into the work, but `checkpoint`, which is asked to.
"""

from __future__ import annotations

import contextlib
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import count
from json.encoder import encode_basestring_ascii as quote
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from opentelemetry import trace

from jobspan import _clock, _log
from jobspan._guard import guarded
from jobspan.exceptions import DeadlineExceeded, RunCanceled
from jobspan.model.columns import COUNTERS
from jobspan.model.counters import clean_count, clean_money
from jobspan.model.event import write_event
from jobspan.model.numbers import Sums
from jobspan.model.status import Left, Status, combine
from jobspan.model.text import clip, multi_line, one_line
from jobspan.runs.current import Activation, activate, deactivate, lane
from jobspan.runs.leaving import is_error, left_by
from jobspan.runs.usage import usage_event

if TYPE_CHECKING:
    from jobspan._runtime import Runtime

_TEXT_LIMIT = 4_000
_COUNTED = "__jobspan_counted__"
"""On an exception: the uids of the run that booked it and of those around it. One object is one error."""
_getpid = os.getpid


class RunHandle(ABC):
    """A job, client run or operation while it is open. Made by a scope, one for each entry."""

    kind: ClassVar[str]
    __slots__ = (
        "__weakref__",
        "_activation",
        "_canceled",
        "_counts",
        "_epoch",
        "_errors",
        "_home",
        "_left",
        "_next",
        "_offset_ns",
        "_pid",
        "_runtime",
        "_span_name",
        "_writer",
        "deadline",
        "name",
        "parent",
        "span",
        "uid",
    )

    span: trace.Span

    def __init__(self, runtime: Runtime, name: str, parent: RunHandle | None) -> None:
        self._runtime = runtime
        self.name = name
        self.parent = parent
        self.uid = ""
        self.span = trace.INVALID_SPAN
        self._span_name = ""
        self._activation: Activation | None = None
        self._canceled: str | None = None
        self._counts: Sums = {}
        self.deadline: float | None = None
        """On `_clock.monotonic`, set from ``timeout=``."""
        self._epoch = 0
        self._errors = 0
        self._left: Left | None = None
        self._next: Callable[[], int] = count(1).__next__
        self._pid = self._home = 0
        self._writer = ""

    @property
    def owner_runtime(self) -> Runtime:
        """The runtime it was opened with."""
        return self._runtime

    @property
    def was_never_entered(self) -> bool:
        """Whether nobody has opened it."""
        return self._pid == 0

    @property
    def local_status(self) -> Status:
        """The status as far as this process knows."""
        return self._status

    # --- what a person does with it

    @property
    def is_recording(self) -> bool:
        """Whether the run is open and recorded."""
        return self._pid != 0 and self._left is None

    @property
    @abstractmethod
    def run_id(self) -> str:
        """The id people see."""

    @guarded("run.add")
    def add(self, **counters: int) -> None:
        """Add to counters: ``run.add(posts=43, leads=120)``.

        Any name will do; `posts`, `leads` and `items` have columns. A value that is no whole number
        of 0 or more is dropped, and a note says so.
        """
        clean: Sums = {}
        for name, value in counters.items():
            if type(value) is not int or not 0 <= value < 9_007_199_254_740_992:
                number, reason = clean_count(value)
                if number is None:
                    self._drop(name, reason)
                    continue
                value = number
            name = COUNTERS.get(name, name)
            clean[name] = value
            self._counts[name] = self._counts.get(name, 0) + value
        if clean:
            body = ",".join([f"{quote(name)}:{value}" for name, value in clean.items()])
            epoch = f',"x":{self._epoch}' if self._epoch else ""
            self._write(f'"e":"add","c":{{{body}}}{epoch}')

    @guarded("run.note")
    def note(self, text: object) -> None:
        """Add a line to System Notes."""
        self._emit({"e": "note", "text": self._text(text)})

    @guarded("run.error")
    def error(self, error: BaseException | str, *, item: object = None) -> None:
        """Record an error that did not end the run; `item` names what it happened to.

        One exception object counts once, at the innermost run that meets it.
        """
        if isinstance(error, BaseException) and self._is_counted(error):
            return
        self._book_error(error, "" if item is None else one_line(clip(str(item), 200)))

    @guarded("run.item")
    def item(self, key: object, **counters: int) -> None:
        """Count one item once, whatever how often it is booked: ``run.item(lead.id, leads=1)``.

        The same key again replaces its numbers. Without counters it counts as ``items=1``.
        """
        clean: Sums = {}
        for name, value in (counters or {"items": 1}).items():
            number, reason = clean_count(value)
            if number is None:
                self._drop(name, reason)
            else:
                clean[COUNTERS.get(name, name)] = number
        epoch = {"x": self._epoch} if self._epoch else {}
        self._emit({"e": "item", "key": one_line(clip(str(key), 500)), "c": clean, **epoch})

    @guarded("run.skip")
    def skip(self, reason: object = "skipped") -> None:
        """Say that there is nothing to do here; records and returns. A skipped run counts nowhere."""
        self._emit({"e": "skip", "reason": self._text(reason)})

    @guarded("run.set")
    def set(self, **fields: object) -> None:
        """Set columns by their snake_case names: ``run.set(posts_processed=12, apify_run_id="…")``.

        A number set takes away what was added to it before.
        """
        from jobspan.runs.field import set_event

        self._epoch += 1
        event, notes = set_event(fields, self._text)
        self._emit({"e": "set", **event, "x": self._epoch})
        for note in notes:
            self.note(note)

    @guarded("run.record_usage")
    def record_usage(
        self,
        *,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        cached_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        model: str | None = None,
        provider: str | None = None,
        id: str | None = None,
        cost_usd: object = None,
    ) -> None:
        """Book the tokens of one LLM call; the same `id` again replaces it.

        Args:
            input_tokens: All input, cached tokens included.
            output_tokens: All output, reasoning included.
            cached_tokens: How many of the input were read from a cache.
            reasoning_tokens: How many of the output were reasoning.
            model: The model's name.
            provider: The provider's name.
            id: The provider's id of the response.
            cost_usd: What it cost, if known.
        """
        numbers = {
            "prompt": input_tokens,
            "completion": output_tokens,
            "cached": cached_tokens,
            "reasoning": reasoning_tokens,
        }
        event, problems = usage_event(numbers, cost_usd)
        self._emit({"e": "usage", **event, "model": model, "provider": provider, "key": id})
        for problem in problems:
            self.note(problem)

    @guarded("run.record_cost")
    def record_cost(self, source: str, usd: object, *, id: object = None) -> None:
        """Book a cost in US dollars: ``run.record_cost("apify", usd="0.1834", id=apify_run_id)``.

        The same `id` again replaces it: a preliminary cost may be corrected. A job counts each id once.
        """
        micro, reason = clean_money(usd)
        if micro is None:
            self._drop(f"cost of {source}", reason)
            return
        key = None if id is None else str(id)
        self._emit({"e": "cost", "source": one_line(str(source)), "key": key, "micro_usd": micro})

    def checkpoint(self) -> None:
        """Stop here if the run, or one around it, was canceled or is past its deadline.

        Raises:
            RunCanceled: It was canceled.
            DeadlineExceeded: Its ``timeout=`` has passed.
        """
        run: RunHandle | None = self
        now = _clock.monotonic()
        while run is not None:
            if run._canceled is not None:
                raise RunCanceled(run._canceled)
            if run.deadline is not None and now >= run.deadline:
                raise run.deadline_error()
            run = run.parent

    def deadline_error(self) -> DeadlineExceeded:
        """Return the error of this run's own deadline."""
        return DeadlineExceeded(f"{self.kind} {self.name!r} is past its timeout", self.uid)

    def cancel(self, reason: str = "canceled") -> None:
        """Have the next `checkpoint` of this run, or of one in it, raise `RunCanceled`."""
        self._canceled = reason

    # --- entering and leaving

    def start(self) -> None:
        """Open the record; the context is not touched."""
        with guarded("run.start"):
            self._start()

    def activate(self) -> Activation:
        """Put the run into the current context."""
        return activate(self)

    def deactivate(self, token: Activation) -> None:
        """Take the run out of the current context."""
        deactivate(self, token)

    def leave_context(self) -> None:
        """Take the run out of the context if it was entered and not left."""
        activation, self._activation = self._activation, None
        if activation is not None:
            deactivate(self, activation)

    def finish(self, error: BaseException | None = None) -> None:
        """Close the record; `error` is what the body was left with. A second call does nothing.

        A forked child that leaves the block of its parent closes nothing: that is the parent's to do.
        """
        if self._left is None and self._pid:
            with guarded("run.finish"):
                if self._home == _getpid():
                    self._finish(error)
                elif error is not None and is_error(error) and not self._is_counted(error):
                    self._book_error(error, "")

    def __enter__(self) -> Self:
        self.start()
        if self._activation is None:
            self._activation = activate(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self.leave_context()
        self.finish(error)
        return None

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self.__exit__(kind, error, trace)

    def _start(self) -> None:
        runtime = self._runtime
        runtime.keeper.start()
        parent = self.parent
        now = _clock.now_ns()
        span = runtime.pipeline.start_span(
            self._span_name, start_ns=now, attributes=self._attributes, owned=True
        )
        self.span = span
        self._pid = self._home = _getpid()
        self.uid = self._writer = f"{runtime.uid_prefix(self._pid)}{span.span_id:016x}"
        up = f',"parent":"{parent.uid}"' if parent is not None and parent.uid else ""
        runtime.append(
            f'{{"e":"open","w":"{self.uid}","q":0,"t":{now},"lane":{lane()}{up},{self._opening(now)}}}'
        )

    @abstractmethod
    def _opening(self, now_ns: int) -> str:
        """Return the rest of the open event, as JSON text."""

    def _finish(self, error: BaseException | None) -> None:
        left = left_by(error, self)
        self._left = left
        counts = is_error(error) and left is not Left.TIMED_OUT
        cause = ""
        if error is not None and left is not Left.OK:
            kind, message = self._runtime.describe(error)
            cause = f',"type":{quote(kind)},"message":{quote(message)}'
            if counts and not self._is_counted(error):
                self._book_error(error, "")
        end_ns = _clock.now_ns()
        self._write(f'"e":"close","how":"{left}","lane":{lane()}{cause}', end_ns)
        self._tell_parent()
        failed = left not in (Left.OK, Left.WITH_ERRORS)
        self.span.finish(  # type: ignore[attr-defined]
            end_ns, attributes=self._end_attributes, error=error if failed else None, status_ok=not failed
        )

    def _tell_parent(self) -> None:  # noqa: B027 - only client runs have somebody to tell
        """Let the run around this one know how it ended."""

    @property
    def _status(self) -> Status:
        """What this process knows of the status: enough for a span, not for a record."""
        if self._left is None:
            return Status.RUNNING
        return combine(self._left, (), errors=self._errors > 0)

    @abstractmethod
    def _attributes(self) -> dict[str, Any]:
        """Return the attributes of the span while the run is open."""

    def _end_attributes(self) -> dict[str, Any]:
        """Return the attributes of the span that are known at the end."""
        counts = {f"jobspan.count.{name}": value for name, value in self._counts.items()}
        return {**self._attributes(), "jobspan.status": self._status.value, **counts}

    # --- writing

    def _emit(self, event: dict[str, Any]) -> None:
        self._write(write_event(event)[1:-1])

    def _write(self, body: str, at_ns: int = 0) -> None:
        """Write one event of this run; `body` is its own part, as JSON text without braces."""
        if self._pid == _getpid():
            self._runtime.append(
                f'{{"w":"{self._writer}","q":{self._next()},"t":{at_ns or _clock.now_ns()},{body}}}'
            )
        elif self._pid:
            self._write_from_child(body, at_ns)

    def _write_from_child(self, body: str, at_ns: int) -> None:
        """Write from a forked child: its events have a writer id of their own."""
        self._pid = _getpid()
        self._writer = f"{self.uid}.{self._pid}"
        self._next = count().__next__
        self._runtime.append(
            f'{{"w":"{self._writer}","p":"{self.uid}","q":{self._next()},'
            f'"t":{at_ns or _clock.now_ns()},{body}}}'
        )

    def _text(self, text: object) -> str:
        return self._runtime.redact(multi_line(clip(str(text), _TEXT_LIMIT)))

    def _drop(self, name: str, reason: str | None) -> None:
        self.note(f"{one_line(clip(str(name), 100))} was left out: {reason}")

    # --- errors

    def _book_error(self, error: BaseException | str, item: str) -> None:
        if isinstance(error, BaseException):
            kind, message = self._runtime.describe(error)
            self._mark_counted(error)
        else:
            kind, message = "Error", self._text(error)
        place = self.name if self.kind == "operation" else ""
        self._errors += 1
        self._emit({"e": "error", "type": kind, "message": message, "item": item, "place": place})
        _log.event(
            logging.INFO, "jobspan.error.recorded", **self.log_fields(), type=kind, message=message, item=item
        )
        up = self.parent
        while up is not None:
            up._errors += 1
            up = up.parent

    def log_fields(self) -> dict[str, str]:
        """Return what log records of this run carry: run_id, client_id, job_type, operation."""
        fields = {"run_id": "", "client_id": "", "job_type": "", "operation": ""}
        run: RunHandle | None = self
        while run is not None:
            for name, value in run._log_names().items():
                fields[name] = fields[name] or value
            run = run.parent
        return fields

    @abstractmethod
    def _log_names(self) -> dict[str, str]:
        """Return this run's own share of `log_fields`."""

    def _is_counted(self, error: BaseException) -> bool:
        """Whether this run, or one in it, has booked this very exception."""
        return self.uid in getattr(error, _COUNTED, ())

    def _mark_counted(self, error: BaseException) -> None:
        """Remember on the exception itself who booked it: the mark goes with it to other processes, too."""
        uids: list[str] = []
        run: RunHandle | None = self
        while run is not None:
            uids.append(run.uid)
            run = run.parent
        with contextlib.suppress(AttributeError, TypeError):  # an exception that takes no attributes
            setattr(error, _COUNTED, tuple(uids))

    def is_within(self, uid: str | None) -> bool:
        """Whether this run is the one called `uid`, or stands in it."""
        run: RunHandle | None = self
        while run is not None:
            if run.uid == uid:
                return True
            run = run.parent
        return False
