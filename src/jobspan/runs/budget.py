"""Budgets: what a run, with all that is below it, may spend before it is stopped.

What is booked is handed to the budgets of its run and of those around it, from any thread, and takes no
lock. What they come to is worked out by who asks: the thread that works in the run, after it recorded
something and at its checkpoints. The plain sum over all witnesses is enough while it is below the limit;
above it the calls are resolved, and again only once that sum has grown by the room that was left.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any
from weakref import ref

from jobspan import _clock
from jobspan._guard import guarded
from jobspan.exceptions import BudgetExceeded
from jobspan.model.usage.fact import LLM, UsageFact
from jobspan.model.usage.number import PICO
from jobspan.model.usage.summary import money
from jobspan.runs.current import live_run
from jobspan.runs.limits import Limits
from jobspan.runs.spent import Spent

if TYPE_CHECKING:
    from jobspan.model.record import JobRecord
    from jobspan.runs.handle import RunHandle
    from jobspan.spans.roster import Home

_CHECKING = guarded("run.budget")
_MOST_WAITING = 256
_numbers = count().__next__


class _Gauge:
    """One limit: asks for the exact figure only where the plain sum says that it may be exceeded."""

    __slots__ = ("_ask_above", "_ask_below", "_excess", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._ask_above = limit
        self._ask_below = 0
        self._excess: int | None = None

    def excess(self, most: int, exact: Callable[[], int]) -> int | None:
        """Return what was spent, if that is above the limit."""
        if self._ask_below <= most <= self._ask_above:
            return self._excess
        found = exact()
        over = found > self.limit
        self._excess = found if over else None
        self._ask_above = most + (found // 10 if over else self.limit - found)
        self._ask_below = most if over else 0
        return self._excess


class Budget:
    """The limits of one run, and what was spent of them: in this process and, of a job, elsewhere."""

    def __init__(self, limits: Limits, run: RunHandle, above: Budget | None) -> None:
        self.above = above
        """Of the run around, if any has one."""
        self._errors = limits.errors
        self._elsewhere = self._seen_elsewhere = (0, 0, 0)
        """Tokens, money and errors of the job that the ledger knows and this process has not spent."""
        self._tokens = None if limits.tokens is None else _Gauge(limits.tokens)
        self._money = None if limits.pico_usd is None else _Gauge(limits.pico_usd)
        self._spent = Spent(by_part=run.kind == "job")
        self._run = ref(run)
        self._waiting: deque[tuple[Any, ...]] = deque()
        self._is_stale = False
        self._text = ""
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def is_of(self, run: RunHandle) -> bool:
        """Whether these are a run's own limits, not those of a run around it."""
        return self._run() is run

    def learn(self, record: JobRecord, *, at_once: bool = False) -> None:
        """Take note of what a job has come to in the ledger: other processes and earlier attempts count, too.

        Called in the background. What was written and is not booked here yet looks like another's for a
        moment: it counts when it is seen twice, or `at_once`.
        """
        if not self._lock.acquire(blocking=False):
            return
        try:
            own = self._own()
        finally:
            self._lock.release()
        pico = int((record.cost_usd or 0) * PICO)
        known = (record.total_tokens or 0, pico, record.errors or 0)
        found = _each(lambda there, here: max(0, there - here), known, own)
        before, self._seen_elsewhere = found if at_once else self._seen_elsewhere, found
        elsewhere = _each(min, before, found)
        if elsewhere != self._elsewhere:
            self._elsewhere, self._is_stale = elsewhere, True

    def _own(self) -> tuple[int, int, int]:
        while self._waiting:
            method, *said = self._waiting.popleft()
            method(self._spent, *said)
            self._is_stale = True
        self._spent.price()
        return self._spent.tokens(), self._spent.pico(), self._spent.errors

    def goes_on_in(self, run: RunHandle) -> None:
        """Cover another attempt of its run as well."""
        self._run = ref(run)
        run.budget = self

    # --- what is booked

    def take(self, home: Home, fact: UsageFact, by: str = "") -> None:
        """Take a fact that was booked on a run; `by` says how the run was guessed."""
        key, is_loose = (fact.trace_id, fact.span_id), False
        if fact.manual:
            number, now = f"!{_numbers():020}", _clock.now_ns()
            key = ("id", fact.response_id) if fact.response_id else ("", number)
            fact = replace(fact, span_id=number, start_ns=now, end_ns=now)
        else:
            is_loose = home.top_uid == home.job_uid and (by == "job" or fact.role != LLM)
        self._put(Spent.add, home.top_uid, key, fact, is_loose)

    def void(self, home: Home, trace_id: str, span_id: str) -> None:
        """Take away a fact that turned out to belong elsewhere."""
        self._put(Spent.void, home.top_uid, (trace_id, span_id))

    def take_cost(self, source: str, key: str | None, micro_usd: int) -> None:
        """Take a cost; the same key again replaces."""
        name = (source, f"id {key}") if key is not None else ("", str(_numbers()))
        self._put(Spent.add_cost, name, micro_usd)

    def take_error(self) -> None:
        """Take an error."""
        self._put(Spent.add_error)

    def _put(self, *told: Any) -> None:
        budget: Budget | None = self
        while budget is not None:
            budget._waiting.append(told)
            if len(budget._waiting) > _MOST_WAITING:
                budget._catch_up(judges=False)
            budget = budget.above

    # --- what it comes to

    def check(self, run: RunHandle) -> None:
        """Stop here if too much was spent, where the caller works in `run`, and it is open.

        Not while another `BudgetExceeded` is being handled: it may be recorded.

        Raises:
            BudgetExceeded: Its budget, or that of a run around it, is exceeded.
        """
        live = live_run()
        works_here = live is not None and live.is_within(run.uid) and run.is_recording
        if works_here and not isinstance(sys.exception(), BudgetExceeded):
            self.raise_if_exceeded()

    def raise_if_exceeded(self) -> None:
        """Stop here if too much was spent.

        Raises:
            BudgetExceeded: Of the outermost open run whose budget is exceeded.
        """
        error: BudgetExceeded | None = None
        budget: Budget | None = self
        while budget is not None:
            error = budget._error() or error
            budget = budget.above
        if error is not None:
            raise error

    def _error(self) -> BudgetExceeded | None:
        run = self._run()
        if run is None or not run.is_recording:
            return None
        with _CHECKING:
            self._catch_up(judges=True)
        if not self._text:
            return None
        whose = "budget of the job" if run.kind == "job" else "budget"
        return BudgetExceeded(f"{whose}: {self._text}", run.uid)

    def _catch_up(self, *, judges: bool) -> None:
        """Work off what was booked; what another thread is at already is left to it."""
        if self._pid != os.getpid():  # a thread of the parent may have been at it
            self._pid, self._lock = os.getpid(), threading.Lock()
        spent = self._spent
        while self._waiting or (judges and (self._is_stale or self._can_price)):
            if not self._lock.acquire(blocking=False):
                return
            try:
                while self._waiting:
                    method, *said = self._waiting.popleft()
                    method(spent, *said)
                    self._is_stale = True
                if judges:
                    self._is_stale = False
                    self._text = self._judge(spent)
            finally:
                self._lock.release()

    @property
    def _can_price(self) -> bool:
        return self._money is not None and self._spent.can_price

    def _judge(self, spent: Spent) -> str:
        """Return which limit is exceeded, in words; empty: none."""
        more_tokens, more_pico, more_errors = self._elsewhere
        errors = spent.errors + more_errors
        if self._errors is not None and errors > self._errors:
            return f"{errors:,} of {self._errors:,} errors"
        if self._tokens is not None:
            most, exact = spent.most_tokens + more_tokens, lambda: spent.tokens() + more_tokens
            tokens = self._tokens.excess(most, exact)
            if tokens is not None:
                return f"{tokens:,} of {self._tokens.limit:,} tokens"
        if self._money is not None:
            spent.price()
            pico = self._money.excess(spent.most_pico + more_pico, lambda: spent.pico() + more_pico)
            if pico is not None:
                return f"{_dollars(pico)} of {_dollars(self._money.limit)}"
        return ""


_Three = tuple[int, int, int]


def _each(combine: Callable[[int, int], int], one: _Three, other: _Three) -> _Three:
    return combine(one[0], other[0]), combine(one[1], other[1]), combine(one[2], other[2])


def _dollars(pico: int) -> str:
    return money(Decimal(pico) / PICO)


def set_budget(run: RunHandle, limits: Limits | None) -> None:
    """Give a fresh run a budget of its own, within those of the runs around it."""
    if limits is not None:
        run.budget = Budget(limits, run, run.budget)
