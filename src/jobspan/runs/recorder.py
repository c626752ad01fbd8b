"""What a live run records: counts, notes, errors, usage and cost, each one append to the journal.

Safe after the end of the run, from any thread, signal handler and forked child: no lock is taken, and
what a method recorded is durable when it returns. Nothing raises into the work.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterator
from itertools import count
from json.encoder import encode_basestring_ascii as quote
from typing import TYPE_CHECKING, Any, ClassVar

from jobspan import _clock, _log
from jobspan._guard import guarded
from jobspan.journal import process
from jobspan.journal.pen import Pen
from jobspan.model.columns import COUNTERS
from jobspan.model.counters import clean_count, clean_money
from jobspan.model.event import write_event
from jobspan.model.numbers import Sums
from jobspan.runs.counting import mark_counted, uncounted
from jobspan.runs.naming import key_of, line_of, name_text, names_text, said, text_of
from jobspan.runs.usage import NOTHING, book_reading, plain_usage, usage_reading

if TYPE_CHECKING:
    from jobspan._composition import Runtime
    from jobspan.runs.budget import Budget
    from jobspan.spans.roster import Names

_pid, _told = process.pid, process.told
_pens = count().__next__
_LOGGING = guarded("run.log")
_ADDING = guarded("run.add")
_RECORDING = guarded("run.record_usage")


def _stop_above_budget(run: Any) -> None:
    if run.budget is not None:
        run.budget.check(run)


class Recorder:
    """The recording half of a run. No `ABC`: asking what kind of run it is must be cheap."""

    kind: ClassVar[str]
    # What is the same for most runs stands in the class: `__init__` runs for each client.
    _runtime: Runtime
    name: str
    uid: str = ""
    budget: Budget | None = None
    """What it may spend, or else the run around it."""
    _counts: Sums
    _epoch: int
    _errors: int
    _pen: Pen | None = None

    def add(self, /, **counters: int) -> None:
        """Add to counters: ``run.add(posts=43, leads=120)``.

        Any name will do; `posts`, `leads` and `items` have columns. A value that is no whole number
        of 0 or more is dropped, and a note says so.
        """
        with _ADDING:
            body, counts = "", self._counts
            again: dict[str, int] | None = None
            for name, value in counters.items():
                if type(value) is not int or value >> 53:  # in one step: not negative, below 2**53
                    number, reason = clean_count(value)
                    if number is None:
                        self._drop(name, reason)
                        continue
                    value = number
                if name in COUNTERS:
                    name = COUNTERS[name]
                    if name in counters:  # both of its names in one call
                        again = {**(again or {}), name: value}
                        continue
                counts[name] = counts.get(name, 0) + value
                body += f",{quote(name)}:{value}" if body else f"{quote(name)}:{value}"
            if body:
                epoch = f',"x":{self._epoch}' if self._epoch else ""
                self._write(f'"e":"add","c":{{{body}}}{epoch}')
            if again:
                self.add(**again)

    @guarded("run.note")
    def note(self, text: object) -> None:
        """Add a line to System Notes."""
        self._emit({"e": "note", "text": text_of(self._runtime, text)})

    @guarded("run.error", after=_stop_above_budget)
    def error(self, error: BaseException | str, *, item: object = None) -> None:
        """Record an error that did not end the run; `item` names what it happened to.

        One exception object counts once, at the innermost run that meets it.

        Raises:
            BudgetExceeded: It is recorded, and more than ``max_errors=``.
        """
        what = "" if item is None else line_of(self._runtime, item)
        if not isinstance(error, BaseException):
            self._write_error("Error", text_of(self._runtime, error), what)
            return
        self._book(error, what)

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
        self._emit({"e": "item", "key": key_of(self._runtime, key), "c": clean, **epoch})

    @guarded("run.skip")
    def skip(self, reason: object = "skipped") -> None:
        """Say that there is nothing to do here; records and returns. A skipped run counts nowhere."""
        self._emit({"e": "skip", "reason": text_of(self._runtime, reason)})

    @guarded("run.set")
    def set(self, /, **fields: object) -> None:
        """Set columns by their snake_case names: ``run.set(posts_processed=12, apify_run_id="…")``.

        A number set takes away what was added to it before.
        """
        from jobspan.runs.field import set_event

        self._epoch += 1
        event, notes = set_event(fields, lambda value: text_of(self._runtime, value))
        self._emit({"e": "set", **event, "x": self._epoch})
        for note in notes:
            self.note(note)

    def record_usage(
        self,
        response: object = NOTHING,
        /,
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
        """Book the tokens of one LLM call: ``run.record_usage(response)``, or by the numbers.

        A call that an instrumentation has seen, too, counts once, and so does a result that sums up calls
        booked before. The same `id` again replaces. A response without usage counts as unmetered, not as 0.

        Args:
            response: What an SDK or framework returned, as an object or a dict.
            input_tokens: All input, cached tokens included.
            output_tokens: All output, reasoning included.
            cached_tokens: How many of the input were read from a cache.
            reasoning_tokens: How many of the output were reasoning.
            model: The model's name.
            provider: The provider's name.
            id: The provider's id of the response.
            cost_usd: What it cost, if known.

        Raises:
            BudgetExceeded: It is booked, and more than ``max_tokens=`` or ``max_cost_usd=``.
        """
        numbers = (input_tokens, output_tokens, cached_tokens, reasoning_tokens)
        with _RECORDING:
            plain = None
            if response is NOTHING and id is None and cost_usd is None and self.budget is None:
                plain = plain_usage(self, *numbers, model, provider)
            if plain is not None:
                self._write(plain)
            else:
                reading, problems = usage_reading(response, numbers, model, provider, id, cost_usd)
                if reading is not None:
                    book_reading(self, reading)
                for problem in problems:
                    self.note(problem)
        _stop_above_budget(self)

    @guarded("run.record_cost", after=_stop_above_budget)
    def record_cost(self, source: str, usd: object, *, id: object = None) -> None:
        """Book a cost in US dollars: ``run.record_cost("apify", usd="0.1834", id=apify_run_id)``.

        The same `id` again replaces it: a preliminary cost may be corrected. A job counts each id once.

        Raises:
            BudgetExceeded: It is booked, and more than ``max_cost_usd=``.
        """
        name = self._name(source) or "unknown"
        micro, reason = clean_money(usd)
        if micro is None:
            self._drop(f"cost of {name}", reason)
            return
        key = None if id is None else key_of(self._runtime, id)
        self._emit({"e": "cost", "source": name, "key": key, "micro_usd": micro})
        if self.budget is not None:
            self.budget.take_cost(name, key, micro)

    def _name(self, value: object) -> str | None:
        return None if value is None else name_text(self._runtime, said(value))

    def _drop(self, name: str, reason: str | None) -> None:
        self.note(f"{line_of(self._runtime, name, 100)} was left out: {reason}")

    # --- errors

    def _book(self, error: BaseException, item: str, told: tuple[str, str] | None = None) -> None:
        """Book an exception, or what of a group is not booked yet; `told` is its description, if known."""
        for each in uncounted(error, self._booking_uids()):
            kind, message = told if told is not None and each is error else self._runtime.describe(each)
            mark_counted(each, self._uids())
            self._write_error(kind, message, item)
        mark_counted(error, self._uids())

    def _write_error(self, kind: str, message: str, item: str) -> None:
        place = self.name if self.kind == "operation" else ""
        self._count_error()
        self._emit({"e": "error", "type": kind, "message": message, "item": item, "place": place})
        with _LOGGING:
            fields = {**self.log_fields(), "type": kind, "message": message, "item": item}
            _log.event(logging.INFO, "jobspan.error.recorded", **fields)

    @abstractmethod
    def _around(self) -> Recorder | None:
        """Return the run around this one."""

    def _chain(self) -> Iterator[Recorder]:
        run: Recorder | None = self
        while run is not None:
            yield run
            run = run._around()

    def _uids(self) -> list[str]:
        """Return the uids of this run and of those around it."""
        return [run.uid for run in self._chain()]

    def _owners(self) -> Iterator[Recorder]:
        """Yield this run and those whose errors are its own: up to its client run or job."""
        for run in self._chain():
            yield run
            if run.kind != "operation":
                return

    def _booking_uids(self) -> list[str]:
        return [run.uid for run in self._owners()]

    def _count_error(self) -> None:
        """Count an error for the status this process knows."""
        for run in self._owners():
            run._errors += 1
        if self.budget is not None:
            self.budget.take_error()

    @abstractmethod
    def log_fields(self) -> dict[str, str]:
        """Return what log records of this run carry: run_id, client_id, job_type, operation."""

    def take_pen(self) -> None:
        """Write to a run that another process has opened."""
        self._pen = self._runtime.pen(0, "", "")  # of no process: the first event takes one of its own

    # --- as the home of LLM calls

    @property
    def is_known(self) -> bool:
        """Whether it is recorded at all."""
        return self._pen is not None

    @property
    def level(self) -> str:
        """Its kind: job, client_run or operation."""
        return self.kind

    @property
    def top_uid(self) -> str:
        """The uid of the job's or client run's part it stands in, or is."""
        return self.uid

    @property
    @abstractmethod
    def trace_id(self) -> int:
        """The trace of its span; 0: none."""

    @property
    @abstractmethod
    def job_uid(self) -> str:
        """The uid of its job."""

    @property
    @abstractmethod
    def client_key(self) -> str:
        """What is equal for the parts of one client run; empty where there is none."""

    def book(self, body: str) -> None:
        """Write one event of this run; `body` is its own part, as JSON text without braces."""
        self._write(body)

    def clean_names(self, names: Names) -> Names:
        """Return the names of scopes, models and providers without secrets."""
        return names_text(self._runtime, names)

    def clean_key(self, key: str) -> str:
        """Return an id without secrets."""
        return key_of(self._runtime, key)

    # --- writing

    def _emit(self, event: dict[str, Any]) -> None:
        self._write(write_event(event)[1:-1])

    def _write(self, body: str, at_ns: int = 0) -> None:
        """Write one event of this run; `body` is its own part, as JSON text without braces."""
        pen = self._pen
        if pen is None:
            return
        if pen.pid != _told[0]:
            pen = self._pen = self._other_pen()
        pen.write(at_ns or _clock.now_ns(), body)

    def _other_pen(self) -> Pen:
        """Return a pen for a process that did not open this run: its events have a writer id of their own."""
        pid = _pid()
        writer = f"{self.uid}.{self._runtime.uid_prefix(pid)}{_pens():x}"
        return self._runtime.pen(pid, writer, self.uid)
