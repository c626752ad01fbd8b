"""The sender: what to do next at a destination, one request at a time, and what to make of each answer."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence

from jobspan import _clock, _log
from jobspan.exceptions import DeliveryError
from jobspan.ledger.outbox import Outbox
from jobspan.model.delivery import FREE, OURS, UNSEEN, Delivery, Lookup, Seen
from jobspan.model.status import Status
from jobspan.relay.destination import Destination
from jobspan.relay.lease import HeldLease
from jobspan.relay.pace import Pace, Timing, backoff, jittered, linger_seconds
from jobspan.relay.plan import NOTES, Item, item
from jobspan.relay.polling import CancelPoll
from jobspan.relay.verdict import Action, Verdict, judge

_PAGE = 50
_FRESH_SECONDS = 10.0
Request = Callable[[], None]


class Sender:
    """Brings the dirty rows of an outbox to its destination.

    Args:
        destination: Where to.
        outbox: Where from.
        timing: All waits.
        budget: Calls that may be made in a month; None: no limit.
        poll: When to look for canceled jobs.
        lease: Says whether this process is still the one sender.
    """

    def __init__(
        self,
        destination: Destination,
        outbox: Outbox,
        timing: Timing,
        budget: int | None,
        poll: CancelPoll,
        lease: HeldLease,
    ) -> None:
        self._destination = destination
        self._outbox = outbox
        self._timing = timing
        self._budget = budget
        self._poll = poll
        self._lease = lease
        self._pace = Pace(timing)
        self._batches: deque[tuple[str, list[str]]] = deque()
        """Halves of refused batches, to be sent by themselves: (kind, runs)."""
        self._fresh: dict[str, tuple[float, Seen]] = {}
        """Rows as they were read a moment ago."""
        self._failures = 0
        self._resume_at = 0.0
        self._linger = timing.linger
        self._linger_at = 0.0
        self._unclear: dict[str, int] = {}
        self.stopped: str | None = None
        """Why nothing can be sent at all: token, base, rights."""
        self.asked = False
        """A person waits: look at the schema again before anything else."""
        self._has_read = False

    @property
    def resume_in(self) -> float:
        """Seconds until the next attempt may be made; 0: now."""
        return max(0.0, self._resume_at - _clock.monotonic())

    def step(self, sleep: Callable[[float], bool]) -> float:
        """Do the next thing, with at most one request; return seconds until there may be more to do.

        Args:
            sleep: Sleeps so many seconds; True if it was interrupted: then nothing more is sent.

        Raises:
            LedgerError: The ledger cannot be used now.
        """
        blocked_ns, _ = self._outbox.blocked()
        wait = max(self.resume_in, (blocked_ns - _clock.now_ns()) / 1e9)
        if wait > 0:
            return wait
        request = self._next()
        if request is None:
            return self._timing.poll
        if not self._pace.wait(sleep) or not self._lease.take():
            return 0.0
        request()
        return 0.0

    # --- what is next

    def _next(self) -> Request | None:
        if (self.asked or self._has_read) and self._destination.needs_refresh(asked=self.asked):
            return self._refresh
        self.asked = False
        return self._jobs() or self._clients() or self._cancels()

    def _ready(self) -> Request | None:
        """Return the request that must come before any row, if there is one."""
        return self._refresh if self._destination.needs_refresh() else None

    def _jobs(self) -> Request | None:
        if not self._destination.accepts("j"):
            self._pass_over_jobs()
            return None
        unverified = self._outbox.unverified()
        due = self._due("j", news=True)
        if not unverified and not due:
            return None
        if (first := self._ready()) is not None:
            return first
        if unverified:
            return lambda: self._verify(unverified)
        unseen = [each for each in due if self._is_to_be_looked_at(each)]
        if unseen:
            return lambda: self._look(unseen)
        return self._reading("j", due, self._is_ending) or self._writing("j", due)

    def _pass_over_jobs(self) -> None:
        """Where no job can be shown, client runs need not wait for their jobs."""
        for each in self._outbox.due("j", linger_ns=0, news=True, limit=_PAGE):
            if each.stage != OURS:
                self._outbox.set_stage(each, OURS)

    def _clients(self) -> Request | None:
        news = self._outbox.count_news(self._destination.most_rows) >= self._destination.most_rows
        due = self._due("c", news=news)
        if not due:
            return None
        if (first := self._ready()) is not None:
            return first
        return self._writing("c", due)

    def _cancels(self) -> Request | None:
        running = self._poll.due(self._outbox)
        if not running:
            return None
        return self._ready() or (lambda: self._look_for_cancels(running))

    def _due(self, kind: str, *, news: bool) -> list[Delivery]:
        if not self._destination.accepts(kind):
            return []
        if self._batches and self._batches[0][0] == kind:
            _, runs = self._batches[0]
            found = [d for d in self._outbox.deliveries(runs).values() if d.wanted > d.sent]
            if found:
                return found
            self._batches.popleft()
        linger_ns = round(self._current_linger() * 1e9)
        due = self._outbox.due(kind, linger_ns=linger_ns, news=news, limit=_PAGE)
        if due and len(due) < self._destination.most_rows:
            more = self._outbox.due(kind, linger_ns=0, news=news, limit=_PAGE, fill=True)
            known = {each.run for each in due}
            due += [each for each in more if each.run not in known]
        return due

    def _current_linger(self) -> float:
        if _clock.monotonic() >= self._linger_at:
            self._linger_at = _clock.monotonic() + 30.0
            self._linger = linger_seconds(self._timing, self._outbox.calls(), self._budget)
        return self._linger

    # --- requests

    def _refresh(self) -> None:
        self._attempt(self._destination.refresh)
        self.asked = False
        self._has_read = True

    def _reading(
        self, kind: str, due: Sequence[Delivery], also: Callable[[Delivery], bool]
    ) -> Request | None:
        """Return the request that reads rows which must be seen before they are written, if any."""
        old_ns = _clock.now_ns() - round(self._timing.notes * 1e9)
        needed = [
            each
            for each in due
            if each.remote_id is not None
            and self._seen(each.run) is None
            and (also(each) or (each.sent_ns < old_ns and self._sends_notes(each)))
        ]
        return (lambda: self._read(kind, needed)) if needed else None

    @staticmethod
    def _is_ending(delivery: Delivery) -> bool:
        return delivery.shown == Status.RUNNING != delivery.status

    @staticmethod
    def _sends_notes(delivery: Delivery) -> bool:
        return not (delivery.shown == Status.RUNNING == delivery.status and NOTES in (delivery.cells or {}))

    def _read(self, kind: str, rows: Sequence[Delivery]) -> None:
        wanted = [Lookup("", each.remote_id) for each in rows]

        def read() -> None:
            found = {seen.remote_id: seen for seen in self._destination.read(kind, wanted)}
            now = _clock.monotonic()
            for each in rows:
                seen = found.get(each.remote_id or "")
                self._fresh[each.run] = (now, seen or Seen(each.remote_id or "", ""))
                if seen is not None and kind == "j":
                    self._poll.saw(each, seen)

        self._attempt(read, rows)

    def _seen(self, run: str) -> Seen | None:
        at, seen = self._fresh.get(run, (0.0, None))
        return seen if _clock.monotonic() - at < _FRESH_SECONDS else None

    def _is_to_be_looked_at(self, delivery: Delivery) -> bool:
        if delivery.remote_id is not None or not self._destination.has_run_ids("j"):
            return False
        lost = delivery.stage == FREE and delivery.attempts > 0
        return (delivery.stage == UNSEEN or lost) and self._seen(delivery.run) is None

    def _look(self, rows: Sequence[Delivery]) -> None:
        """See whether the run ids of jobs are free before the first upsert."""
        known = self._outbox.records(rows, self._destination.ending)
        wanted = [Lookup(record.run_id) for _, record in known]

        def look() -> None:
            found = self._destination.read("j", wanted)
            for delivery, record in known:
                there = [seen for seen in found if seen.run_id == record.run_id]
                whose, seen = self._destination.whose(record, delivery, there)
                if whose == "ours" and seen is not None:
                    self._outbox.set_stage(delivery, OURS, seen.remote_id)
                elif whose == "free":
                    self._outbox.set_stage(delivery, FREE)
                    self._fresh[delivery.run] = (_clock.monotonic(), Seen("", ""))
                else:
                    self._move(delivery, record.run_id)

        self._attempt(look, rows)

    def _verify(self, rows: Sequence[Delivery]) -> None:
        """See that a run id stands in one row only; of two that took it at once, one moves on."""
        if not self._destination.has_run_ids("j"):
            for each in rows:
                self._outbox.set_stage(each, OURS)
            return
        known = self._outbox.records(rows, self._destination.ending)
        wanted = [Lookup(record.run_id) for _, record in known]

        def verify() -> None:
            found = self._destination.read("j", wanted)
            for delivery, record in known:
                there = [seen for seen in found if seen.run_id == record.run_id]
                if self._destination.comes_first(delivery, there):
                    self._outbox.set_stage(delivery, OURS)
                else:
                    self._move(delivery, record.run_id)

        self._attempt(verify, rows)

    def _move(self, delivery: Delivery, run_id: str) -> None:
        new = self._outbox.rekey(delivery.job)
        _log.event(logging.INFO, "jobspan.job.moved", run_id=run_id, to=new or "(no free second)")

    def _look_for_cancels(self, rows: Sequence[Delivery]) -> None:
        self._poll.asked(self._outbox)
        self._read("j", rows)

    def _writing(self, kind: str, due: Sequence[Delivery]) -> Request | None:
        """Return the request that writes the first rows that are not up to date; notes the others."""
        most = min(self._destination.most_rows, len(self._batches[0][1]) if self._batches else _PAGE)
        items: list[Item] = []
        while due and len(items) < most:
            some, due = due[: most - len(items)], due[most - len(items) :]
            if kind == "c" and (reading := self._reading(kind, some, lambda _: False)) is not None:
                return reading
            items += self._items(some)
        if not items:
            return None
        return lambda: self._write(kind, items)

    def _items(self, rows: Sequence[Delivery]) -> list[Item]:
        same: list[Delivery] = []
        items: list[Item] = []
        for delivery, record in self._outbox.records(rows, self._destination.ending):
            made = item(self._destination, delivery, record, self._seen(delivery.run))
            if made is None:
                same.append(delivery)
            else:
                items.append(made)
        if same:
            self._outbox.unchanged(same)
        return items

    def _write(self, kind: str, items: Sequence[Item]) -> None:
        claims = {
            each.write.run: each.write.claim
            for each in items
            if each.write.claim is not None and each.delivery.claim is None
        }
        if claims:
            self._outbox.claim(claims)
        writes = [each.write for each in items]

        def write() -> None:
            found = self._destination.write(kind, writes)
            self._written(kind, items, found)

        self._attempt(write, [each.delivery for each in items], kind, items)

    def _written(self, kind: str, items: Sequence[Item], found: Sequence[Seen]) -> None:
        rows: list[tuple[Delivery, str, dict[str, object], str]] = []
        for each, seen in zip(items, found, strict=True):
            delivery = each.delivery
            delivery.wanted -= each.again
            if delivery.is_job and delivery.stage == UNSEEN:
                delivery.stage = FREE if self._destination.has_run_ids(kind) else OURS
            rows.append((delivery, each.shown, each.cells, seen.remote_id))
            if delivery.is_job and each.shown == Status.RUNNING:
                self._poll.saw(delivery, seen)
            self._fresh.pop(delivery.run, None)
        self._outbox.delivered(rows)
        if self._batches and self._batches[0][0] == kind:
            self._batches.popleft()
        _log.event(logging.DEBUG, "jobspan.batch.delivered", kind=kind, rows=len(rows))

    # --- what an answer means

    def _attempt(
        self,
        request: Callable[[], None],
        rows: Sequence[Delivery] = (),
        kind: str = "",
        items: Sequence[Item] = (),
    ) -> None:
        """Make one request; whatever comes of it is dealt with here."""
        fence = self._lease.fence
        self._outbox.count_calls(1)
        try:
            request()
        except DeliveryError as error:
            self._failed(error, rows, kind, items)
        else:
            if not rows:
                return  # only what has to do with rows shows that all is well again
            self._failures = 0
            self._resume_at = 0.0
            if self.stopped is not None:
                _log.event(logging.INFO, "jobspan.delivery.resumed", destination=self._destination.name)
                self.stopped = None
        if items and not self._lease.is_still(fence):
            self._outbox.hold(rows, "another sender took over", unsure=_fields(items), again=True)

    def _failed(
        self, error: DeliveryError, rows: Sequence[Delivery], kind: str, items: Sequence[Item]
    ) -> None:
        verdict = judge(error, self._timing)
        _log.event(logging.DEBUG, "jobspan.request.failed", reason=verdict.reason, action=verdict.action.name)
        if verdict.action is Action.STOP:
            self._stop(verdict)
        elif verdict.action is Action.BLOCK:
            _log.event(logging.WARNING, "jobspan.destination.blocked", reason=verdict.reason)
            self._outbox.block(jittered(verdict.seconds), verdict.reason)
        elif verdict.action is Action.WAIT:
            self._back_off(verdict)
        elif verdict.action is Action.HOLD:
            self._back_off(verdict)
            if items:
                self._outbox.hold(rows, str(error), seconds=verdict.seconds, unsure=_fields(items))
        elif items:
            self._refused(error, verdict, kind, items)
        else:
            self._back_off(verdict)
            if verdict.action is Action.LEARN:
                self._destination.learn(kind, error, ())

    def _stop(self, verdict: Verdict) -> None:
        if self.stopped != verdict.reason:
            _log.event(
                logging.ERROR,
                "jobspan.delivery.stopped",
                destination=self._destination.name,
                reason=verdict.reason,
            )
            self._destination.doubt()
        self.stopped = verdict.reason
        self._resume_at = _clock.monotonic() + backoff(
            self._failures, self._timing.stopped, self._timing.stopped_most
        )
        self._failures += 1

    def _back_off(self, verdict: Verdict) -> None:
        if self._failures == 0:
            _log.event(logging.WARNING, "jobspan.delivery.delayed", reason=verdict.reason)
        wait = backoff(self._failures, 0.5, self._timing.retry_most)
        told = verdict.seconds if verdict.action is Action.WAIT else 0.0
        self._resume_at = _clock.monotonic() + max(wait, told)
        self._failures += 1

    def _refused(self, error: DeliveryError, verdict: Verdict, kind: str, items: Sequence[Item]) -> None:
        """Nothing of the batch was written: learn from it, else find the row that is to blame."""
        self._failures = 0
        writes = [each.write for each in items]
        if verdict.action is Action.MATCH and self._match(kind, items):
            return
        if verdict.action is Action.LEARN:
            if error.type == "ROW_DOES_NOT_EXIST" and self._forget_row(error, items):
                return
            if self._destination.learn(kind, error, writes):
                return
        if self._batches and self._batches[0][0] == kind:
            self._batches.popleft()
        if len(items) == 1:
            run_id = items[0].write.run_id
            _log.event(logging.WARNING, "jobspan.row.parked", run_id=run_id, reason=str(error))
            self._outbox.hold([items[0].delivery], str(error), park=True)
            return
        runs = [each.delivery.run for each in items]
        half = len(runs) // 2
        self._batches.extendleft([(kind, runs[half:]), (kind, runs[:half])])

    def _forget_row(self, error: DeliveryError, items: Sequence[Item]) -> bool:
        """A person deleted a row: send it whole, by key."""
        gone = [e.delivery for e in items if e.delivery.remote_id and e.delivery.remote_id in error.message]
        for delivery in gone:
            delivery.remote_id, delivery.cells = None, None
        if gone:
            self._outbox.hold(gone, str(error))
        return bool(gone)

    def _match(self, kind: str, items: Sequence[Item]) -> bool:
        """Several rows have one run id: go on with ours, else with the oldest."""
        keyless = [each for each in items if each.write.remote_id is None]
        if not keyless or any(self._unclear.get(each.write.run, 0) > 2 for each in keyless):
            return False
        for each in keyless:
            self._unclear[each.write.run] = self._unclear.get(each.write.run, 0) + 1

        def look() -> None:
            found = self._destination.read(kind, [Lookup(each.write.run_id) for each in keyless])
            for each in keyless:
                there = [seen for seen in found if seen.run_id == each.write.run_id]
                if len(there) > 1:
                    oldest = min(there, key=lambda seen: (seen.created, seen.remote_id))
                    self._outbox.set_stage(each.delivery, each.delivery.stage, oldest.remote_id)
                    _log.event(
                        logging.WARNING, "jobspan.row.doubled", run_id=each.write.run_id, rows=len(there)
                    )

        self._pace.wait(_no_sleep)
        self._attempt(look, [each.delivery for each in keyless])
        return True


def _no_sleep(seconds: float) -> bool:
    import threading

    threading.Event().wait(seconds)
    return False


def _fields(items: Sequence[Item]) -> dict[str, set[str]]:
    return {each.delivery.run: set(each.write.cells) for each in items}
