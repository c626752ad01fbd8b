"""The sender: what to do next at a destination, one request at a time."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence

from jobspan import _clock, _log
from jobspan.exceptions import DeliveryError
from jobspan.ledger.outbox import Outbox
from jobspan.model.delivery import FREE, OURS, UNSEEN, Cells, Delivery, Seen
from jobspan.relay.answer import Answers
from jobspan.relay.claiming import Claiming, settled
from jobspan.relay.destination import Destination
from jobspan.relay.lease import HeldLease
from jobspan.relay.pace import Pace, Timing, linger_seconds
from jobspan.relay.plan import Item, item
from jobspan.relay.polling import CancelPoll
from jobspan.relay.reaping import Reaping
from jobspan.relay.row_reader import RowReader
from jobspan.relay.verdict import Action, Verdict

_PAGE = 50
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
        pace: Spaces the requests.
        adopts: Close at once what other ledgers left Running.
        shared: Other ledgers can read the tokens of runs here, so they may have written rows first.
    """

    def __init__(
        self,
        destination: Destination,
        outbox: Outbox,
        timing: Timing,
        budget: int | None,
        poll: CancelPoll,
        lease: HeldLease,
        pace: Pace,
        *,
        adopts: bool = False,
        shared: bool = False,
    ) -> None:
        self._destination = destination
        self._outbox = outbox
        self._timing = timing
        self._budget = budget
        self._poll = poll
        self._lease = lease
        self._pace = pace
        self._claiming = Claiming(destination, outbox)
        self._reaping = Reaping(destination, outbox, at_once=adopts)
        self.answers = Answers(destination, outbox, timing, lease, self._refused)
        self._rows = RowReader(destination, outbox, timing, poll, self.answers, shared=shared)
        self._halves: deque[tuple[str, list[str]]] = deque()
        """Parts of refused batches, to be sent by themselves: (kind, runs)."""
        self._doubled: tuple[str, Sequence[Item]] | None = None
        """Rows of which several have the run id."""
        self._linger = timing.linger
        self._linger_at = 0.0
        self._has_read = False
        self.asked = False
        """A person waits: look at the schema again before anything else."""

    def step(self, sleep: Callable[[float], bool]) -> float:
        """Do the next thing, with at most one request; return seconds until there may be more to do.

        Args:
            sleep: Sleeps so many seconds; True if it was interrupted: then nothing more is sent.

        Raises:
            LedgerError: The ledger cannot be used now.
        """
        blocked_ns, _ = self._outbox.blocked()
        wait = max(self.answers.resume_in, (blocked_ns - _clock.now_ns()) / 1e9)
        if wait > 0:
            return wait
        request = self._next()
        if request is None:
            return self._timing.poll
        if self._pace.wait(sleep) and self._lease.take():
            request()
        return 0.0

    # --- what is next

    def _next(self) -> Request | None:
        if (self.asked or self._has_read) and self._destination.needs_refresh(asked=self.asked):
            return self._refresh
        self.asked = False
        return self._matching() or self._jobs() or self._clients() or self._polling() or self._closing()

    def _jobs(self) -> Request | None:
        if not self._destination.accepts("j"):
            # Where no job can be shown, client runs need not wait for theirs.
            self._claiming.believe(self._outbox.due("j", linger_ns=0, news=True, limit=_PAGE))
            return None
        unverified = self._outbox.unverified(any_id=not self._destination.has_run_ids("j"))
        due = self._due("j", news=True)
        if not unverified and not due:
            return None
        if self._destination.needs_refresh():
            return self._refresh
        if unverified and not self._destination.has_run_ids("j"):
            self._claiming.believe(unverified)
        elif unverified:
            return lambda: self.answers.attempt(lambda: self._claiming.verify(unverified), unverified, "j")
        due = self._claiming.leave(due)
        unseen = [each for each in due if self._claiming.is_due(each) and self._rows.seen(each.run) is None]
        if unseen:
            return lambda: self.answers.attempt(
                lambda: self._claiming.look(unseen, self._looked_up), unseen, "j"
            )
        return self._rows.due("j", due) or self._writing("j", due)

    def _looked_up(self, delivery: Delivery, seen: Seen) -> None:
        self._rows.remember(delivery.run, seen)
        self._poll.saw(delivery, seen)

    def _clients(self) -> Request | None:
        most = self._destination.most_rows
        has_calls = self._current_linger() <= self._timing.linger
        due = self._due("c", news=has_calls and self._outbox.count_news(most) >= most)
        if not due:
            return None
        if self._destination.needs_refresh():
            return self._refresh
        return self._writing("c", due)

    def _polling(self) -> Request | None:
        if self._destination.needs_refresh():
            return None
        if running := self._poll.due_jobs(self._outbox):
            return lambda: self._rows.look_at(running)
        if jobs := self._poll.due_client_runs(self._outbox):
            return self._rows.looking(jobs)
        return None

    def _due(self, kind: str, *, news: bool) -> list[Delivery]:
        if not self._destination.accepts(kind):
            return []
        if (half := self._half(kind)) is not None:
            return half
        linger_ns = round(self._current_linger() * 1e9)
        widest_ns = round(self._timing.linger_widest * 1e9)
        due = self._outbox.due(kind, linger_ns=linger_ns, widest_ns=widest_ns, news=news, limit=_PAGE)
        if due and len(due) < self._destination.most_rows:
            more = self._outbox.due(kind, linger_ns=0, news=news, limit=_PAGE, fill=True)
            known = {each.run for each in due}
            due += [each for each in more if each.run not in known]
        return due

    def _half(self, kind: str) -> list[Delivery] | None:
        """Return the rows of the next part of a refused batch, if one of this kind is next."""
        now_ns = _clock.now_ns()
        while self._halves and self._halves[0][0] == kind:
            found = self._outbox.deliveries(self._halves[0][1]).values()
            rows = [d for d in found if d.wanted > d.sent and d.state == "due" and d.hold_ns <= now_ns]
            if rows:
                return rows
            self._halves.popleft()
        return None

    def _current_linger(self) -> float:
        if _clock.monotonic() >= self._linger_at:
            self._linger_at = _clock.monotonic() + 30.0
            self._linger = linger_seconds(self._timing, self._outbox.calls(), self._budget)
        return self._linger

    def _closing(self) -> Request | None:
        if not self._has_read or (request := self._reaping.next()) is None:
            return None
        return lambda: self.answers.attempt(request)

    def _refresh(self) -> None:
        self.answers.attempt(self._destination.refresh)
        self.asked = False
        self._has_read = True

    # --- writing

    def _writing(self, kind: str, due: Sequence[Delivery]) -> Request | None:
        """Return the request that writes the first rows that are not up to date; notes the others."""
        most = self._destination.most_rows
        items: list[Item] = []
        while due and len(items) < most:
            some, due = due[: most - len(items)], due[most - len(items) :]
            if kind == "c" and (reading := self._rows.due(kind, [*some, *due])) is not None:
                return reading
            items += self._items(some)
        return (lambda: self._write(kind, items)) if items else None

    def _items(self, rows: Sequence[Delivery]) -> list[Item]:
        same: list[Delivery] = []
        items: list[Item] = []
        known = self._outbox.records(rows, self._destination.ending)
        runs = {delivery.run for delivery, _ in known}
        if lost := [each for each in rows if each.run not in runs]:
            self._outbox.hold(lost, "the ledger cannot say what to show", park=True)
        for delivery, record in settled(known):
            made = item(self._destination, delivery, record, self._rows.seen(delivery.run))
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

        def write() -> None:
            try:
                found = self._destination.write(kind, [each.write for each in items])
            except DeliveryError as error:
                if error.outcome == "unknown":  # it may take long: a person may be there meanwhile
                    self._rows.forget([each.delivery for each in items])
                raise
            self._written(kind, items, found)

        self.answers.attempt(write, [each.delivery for each in items], kind, items)

    def _written(self, kind: str, items: Sequence[Item], found: Sequence[Seen]) -> None:
        rows: list[tuple[Delivery, str, Cells, str]] = []
        others: list[Delivery] = []
        for each, seen in zip(items, found, strict=True):
            delivery = each.delivery
            delivery.owed = self._destination.owes(kind, each.write.run_id)
            delivery.wanted -= each.again or delivery.owed
            if delivery.is_job and delivery.stage == UNSEEN:
                delivery.stage = FREE if self._destination.has_run_ids(kind) else OURS
            rows.append((delivery, each.shown, each.cells, seen.remote_id))
            self._poll.saw(delivery, seen)
            self._rows.forget([delivery])
            if self._destination.is_others(seen):
                others.append(delivery)
        self._outbox.delivered(rows)
        for delivery in others:
            self._outbox.share(delivery)
        self._drop_half(kind)
        _log.event(logging.DEBUG, "jobspan.batch.delivered", kind=kind, rows=len(rows))

    def _drop_half(self, kind: str) -> None:
        if self._halves and self._halves[0][0] == kind:
            self._halves.popleft()

    # --- refusals

    def _refused(self, error: DeliveryError, verdict: Verdict, kind: str, items: Sequence[Item]) -> None:
        """Nothing of the batch was written: learn from it, else find the row that is to blame."""
        self.answers.forgive()
        if verdict.action is Action.MATCH and self._doubled is None:
            self._doubled = (kind, items)
            return
        self._doubled = None
        if verdict.action is Action.LEARN or len(items) == 1:
            if error.type == "ROW_DOES_NOT_EXIST" and self._forget_row(error, items):
                return
            if self._destination.learn(kind, error, [each.write for each in items]):
                return
        self._split(error, kind, items)

    def _split(self, error: DeliveryError, kind: str, items: Sequence[Item]) -> None:
        self._drop_half(kind)
        if len(items) == 1:
            run_id = items[0].write.run_id
            _log.event(logging.WARNING, "jobspan.row.parked", run_id=run_id, reason=str(error))
            self._outbox.hold([items[0].delivery], str(error), park=True)
            return
        runs = [each.delivery.run for each in items]
        half = len(runs) // 2
        self._halves.extendleft([(kind, runs[half:]), (kind, runs[:half])])

    def _matching(self) -> Request | None:
        """Return the request that looks which of several rows with one run id is to be written."""
        if self._doubled is None:
            return None
        kind, items = self._doubled

        def match() -> None:
            self._doubled = None
            if not self._claiming.match(kind, items):
                self._split(DeliveryError("PATCH", 422, "", "several rows have the run id"), kind, items)

        return lambda: self.answers.attempt(match, [each.delivery for each in items], kind)

    def _forget_row(self, error: DeliveryError, items: Sequence[Item]) -> bool:
        """A person deleted a row: send it whole, by key."""
        known = [each.delivery for each in items if each.delivery.remote_id]
        named = [each for each in known if str(each.remote_id) in error.message]
        gone = named or (known if len(items) == 1 else [])
        for delivery in gone:
            delivery.remote_id, delivery.cells = None, None
        if gone:
            self._outbox.hold(gone, str(error))
        return bool(gone)
