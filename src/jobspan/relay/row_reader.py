"""Looking at rows before they are written: what a person, or another ledger, did to them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from jobspan import _clock
from jobspan.exceptions import DeliveryError
from jobspan.ledger.outbox import Outbox
from jobspan.model.delivery import Delivery, Lookup, Seen
from jobspan.model.rendering import NotesEnding
from jobspan.model.status import Status
from jobspan.relay.answer import Answers
from jobspan.relay.destination import Destination
from jobspan.relay.pace import Timing
from jobspan.relay.plan import STATUS
from jobspan.relay.polling import CancelPoll

_FRESH_SECONDS = 2.0
"""A row read longer ago is read again before it is written: a person may have been there."""
_REMEMBERED = 1_000
_MOST_FOUND = 100
"""So many rows are found at once; where there may be more, rows are asked for one by one."""
_NOT_UNDERSTOOD = 422
"""The status of an answer to a question that can't be asked: rows are then written without being seen."""
Request = Callable[[], None]


class RowReader:
    """Reads rows that must be seen before they are written, and remembers them for a moment.

    Args:
        destination: Where they are.
        outbox: Where is kept what is known of them.
        timing: All waits.
        poll: Told of each row seen.
        answers: Makes the requests.
        shared: Other ledgers can read the tokens of runs here.
    """

    def __init__(
        self,
        destination: Destination,
        outbox: Outbox,
        timing: Timing,
        poll: CancelPoll,
        answers: Answers,
        *,
        shared: bool = False,
    ) -> None:
        self._destination = destination
        self._outbox = outbox
        self._timing = timing
        self._poll = poll
        self._answers = answers
        self._shared = shared
        self._crowded: set[str] = set()
        """Jobs of which other ledgers have too many rows to be found at once."""
        self._fresh: dict[str, tuple[float, Seen]] = {}
        """Rows as they were read a moment ago."""

    def due(self, kind: str, due: Sequence[Delivery]) -> Request | None:
        """Return the request that reads rows which must be seen before they are written, if any.

        A person's text in System Notes is kept, and a person's Canceled is seen before an end is shown.
        """
        unseen = [each for each in due if self.seen(each.run) is None and not _is_next_try(each)]
        old_ns = _clock.now_ns() - round(self._timing.notes * 1e9)
        keyless = [each for each in unseen if each.remote_id is None and not each.is_job]
        handed_out = self._handed_out(keyless)
        not_own = self._not_own(keyless, handed_out)
        needed = [each for each in unseen if self._must_be_read(each, old_ns, not_own)]
        if needed:
            return lambda: self._read(kind, needed)
        ending = {each.job for each in unseen if not each.is_job and _is_end(each)}
        if any(self._poll.looked_ago(job) > _FRESH_SECONDS for job in ending | handed_out):
            jobs = self._outbox.jobs_of_running() | self._outbox.elsewhere.run_ids(handed_out)
            named = {job: jobs[job] for job in ending | handed_out if job in jobs}
            return self.looking(named, [each for each in keyless if each.job in handed_out])
        return None

    def _handed_out(self, keyless: Sequence[Delivery]) -> set[str]:
        """Return the jobs of rows written for the first time that another ledger may have written before."""
        if self._shared:
            return {each.job for each in keyless}
        return self._outbox.elsewhere.handed_out(each.run for each in keyless) if keyless else set[str]()

    def _not_own(self, keyless: Sequence[Delivery], handed_out: Collection[str]) -> set[str]:
        """Return the jobs whose rows are asked for one by one before they are written for the first time."""
        not_own = self._outbox.elsewhere.not_own({each.job for each in keyless}) if keyless else set[str]()
        blind = set(handed_out) if not self._destination.looks("c") else set[str]()
        return not_own | blind | (self._crowded & set(handed_out))

    def _must_be_read(self, delivery: Delivery, old_ns: int, not_own: Collection[str]) -> bool:
        is_unsure = delivery.attempts > 0 and STATUS not in (delivery.cells or {})
        if delivery.remote_id is None:  # a lost answer: a person may have been at the row since
            may_be_there = is_unsure or delivery.job in not_own
            return may_be_there and not delivery.is_job and self._destination.has_run_ids(delivery.kind)
        is_old = delivery.sent_ns < old_ns and delivery.sends_notes
        return is_old or is_unsure or delivery.is_shared or (delivery.is_job and _is_end(delivery))

    def _read(self, kind: str, rows: Sequence[Delivery]) -> None:
        keyless = [each for each in rows if each.remote_id is None]
        run_ids = {d.run: record.run_id for d, record in self._outbox.records(keyless, _no_ending)}
        wanted = [Lookup(run_ids.get(each.run, ""), each.remote_id) for each in rows]

        def read() -> None:
            try:
                found = self._destination.read(kind, wanted)
            except DeliveryError as error:
                if error.status == _NOT_UNDERSTOOD:
                    for each in rows:
                        self.remember(each.run, Seen(each.remote_id or "", ""))
                raise
            for each, lookup in zip(rows, wanted, strict=True):
                seen = _found(lookup, found)
                self.remember(each.run, seen or Seen(each.remote_id or "", ""))
                if seen is None:
                    continue
                if each.remote_id is None:
                    self._outbox.set_stage(each, each.stage, seen.remote_id)
                self._take(each, seen)

        self._answers.attempt(read, rows, kind)

    def _take(self, delivery: Delivery, seen: Seen) -> None:
        self._poll.saw(delivery, seen)
        if self._destination.is_others(seen):
            self._outbox.share(delivery)
            if delivery.status == Status.RUNNING and self._destination.is_closed(delivery.kind, seen):
                self._outbox.reopen(delivery)

    def _find(self, keyless: Sequence[Delivery], rows: Sequence[Seen]) -> None:
        """Take note of rows another ledger, or a person, made for runs that are to be shown here."""
        for delivery, record in self._outbox.records(keyless, _no_ending):
            seen = _found(Lookup(record.run_id), rows)
            if seen is not None:
                self._outbox.set_stage(delivery, delivery.stage, seen.remote_id)
                self.remember(delivery.run, seen)
                self._take(delivery, seen)

    def look_at(self, running: Sequence[Delivery]) -> None:
        self._poll.asked("j", (each.run for each in running))
        self._read("j", running)

    def remember(self, run: str, seen: Seen) -> None:
        if len(self._fresh) >= _REMEMBERED:
            self._fresh.clear()
        self._fresh[run] = (_clock.monotonic(), seen)

    def forget(self, rows: Sequence[Delivery]) -> None:
        """Have rows read again: they have been, or may have been, written."""
        for each in rows:
            self._fresh.pop(each.run, None)

    def seen(self, run: str) -> Seen | None:
        at, seen = self._fresh.get(run, (0.0, None))
        return seen if _clock.monotonic() - at < _FRESH_SECONDS else None

    def looking(self, jobs: Mapping[str, str], keyless: Sequence[Delivery] = ()) -> Request | None:
        """Return the request that looks which rows of client runs of jobs somebody else has changed.

        Args:
            jobs: Inside name to run id.
            keyless: Client runs that have no row yet, as far as is known here.
        """
        if not jobs or not self._destination.looks("c"):
            return None

        def look() -> None:
            try:
                rows = self._destination.touched("c", list(jobs.values()))
            except DeliveryError as error:
                if error.status == _NOT_UNDERSTOOD:
                    self._poll.asked("c", jobs)
                raise
            self._poll.asked("c", jobs)
            known = self._outbox.shown_as(jobs, [seen.remote_id for seen in rows])
            for seen in rows:
                if (delivery := known.get(seen.remote_id)) is not None:
                    self.remember(delivery.run, seen)
                    self._take(delivery, seen)
            if len(rows) >= _MOST_FOUND:
                self._crowded.update(jobs)
            elif keyless and len(known) < len(rows):
                self._find(keyless, rows)

        return lambda: self._answers.attempt(look, kind="c")


def _is_next_try(delivery: Delivery) -> bool:
    """Whether to write at once, though it failed: were each write preceded by a read, and every second
    request broken, no write would ever be done."""
    return delivery.attempts > 0 and delivery.attempts % 2 == 0


def _is_end(delivery: Delivery) -> bool:
    """Whether a row shown as Running is to show how the run ended."""
    return delivery.shown == Status.RUNNING != delivery.status


def _found(wanted: Lookup, rows: Sequence[Seen]) -> Seen | None:
    """Return the row that was wanted, the oldest of several."""
    if wanted.remote_id is not None:
        return next((seen for seen in rows if seen.remote_id == wanted.remote_id), None)
    same = [seen for seen in rows if wanted.run_id and seen.run_id == wanted.run_id]
    return min(same, key=lambda seen: (seen.created, seen.remote_id), default=None)


def _no_ending(delivery: Delivery, deadline_ns: int | None) -> NotesEnding:
    return NotesEnding((), "")
