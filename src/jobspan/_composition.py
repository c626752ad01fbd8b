"""The composition root: builds the parts of a running jobspan, owns them, and lets them go."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from jobspan import _clock
from jobspan._delivery import Deliveries
from jobspan._describe import describe
from jobspan._guard import guard, guarded
from jobspan._health import Health
from jobspan._keeper import Keeper
from jobspan._live import LiveRuns
from jobspan._metrics import Metrics
from jobspan._settings import Settings
from jobspan._unwritten import Backlog, header
from jobspan.exceptions import UsageError
from jobspan.journal import process
from jobspan.journal.claim import RunIdClaims, next_provisional
from jobspan.journal.identity import current as current_process
from jobspan.journal.place import Place
from jobspan.journal.writer import JournalWriter
from jobspan.ledger.ledger import Ledger
from jobspan.ledger.trouble import BusyLedgerError
from jobspan.model.event import write_event
from jobspan.model.run_id import format_run_id, provisional_run_id
from jobspan.spans.context import watched_globals
from jobspan.spans.pipeline import SpanPipeline
from jobspan.spans.usage import usage_processor

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.export import SpanExporter

    from jobspan.ledger.reading import LedgerReader


_LAST_SECONDS = 0.25
"""Of the time for an exit so much is kept to say what is left and to close the ledger."""


class Runtime:
    """The parts of a running jobspan, put together from settings."""

    def __init__(
        self,
        settings: Settings,
        *,
        exporters: Sequence[SpanExporter] = (),
        span_processors: Sequence[SpanProcessor] = (),
        resource_attributes: Mapping[str, Any] | None = None,
        redactor: Callable[[str], str] | None = None,
        segment_bytes: int | None = None,
        tracer_provider: object = None,
    ) -> None:
        self.settings = settings
        self.enabled = settings.mode != "disabled"
        place = Place(settings.ledger)
        sizes = {} if segment_bytes is None else {"segment_bytes": segment_bytes}
        self.journal = JournalWriter(place, header, maps=settings.journal == "mapped", **sizes)
        self.append = self.journal.append
        self.pen, self.new_pen = self.journal.pen, self.journal.new_pen
        self.live = LiveRuns(self)
        self.limited: dict[str, weakref.ref[Any]] = {}
        """The open jobs of this process that have a budget."""
        self.claims = RunIdClaims(place)
        self.ledger = Ledger(settings.ledger, self._claim, settings.timezone, Backlog(self.journal))
        self.deliveries = Deliveries(settings, self.ledger)
        self.without_secrets = _built_in_redactor(self.deliveries.secrets())
        """Takes secrets out of names and ids, whatever redactor was given for texts."""
        self._redactor = redactor or self.without_secrets
        self.pipeline = SpanPipeline(
            exporters=exporters,
            span_processors=span_processors,
            resource_attributes=resource_attributes,
            redact=self.redact,
        )
        self.ready: tuple[int, object, str] = (-1, None, "")
        """What `make_ready` returned last."""
        if tracer_provider is not None and not usage_processor.attach(tracer_provider):
            raise UsageError(
                f"tracer_provider={tracer_provider!r}: give a TracerProvider of the OpenTelemetry SDK"
            )
        self._prefix = (0, "")
        self.metrics = Metrics()
        self.keeper = Keeper(
            self.ledger,
            self.journal,
            also=self._each_round,
            after=self._tell_tokens,
            cancel=self.live.request,
            has_runs=lambda: bool(self.live),
        )

    def redact(self, text: str) -> str:
        """Return `text` without secrets; where the redactor fails, nothing of it."""
        with guarded("redactor"):
            return self._redactor(text)
        return "<redactor failed>"

    def describe(self, error: BaseException) -> tuple[str, str]:
        """Return (type, message) of an exception, fit for a record: redacted, never empty."""
        with guarded("describe"):
            description = describe(error, self.redact)
            return description.type, description.message
        return type(error).__name__, type(error).__name__

    def describe_own(self, error: BaseException) -> str:
        """Return the text of an error of our own; it may raise, the guard knows."""
        return str(describe(error, self._redactor))

    def uid_prefix(self, pid: int) -> str:
        """Return the first half of the uids of parts opened in process `pid`."""
        known = self._prefix
        if known[0] != pid:
            known = self._prefix = (pid, current_process().uid[:8])
        return known[1]

    def new_run_id(self, start_ns: int) -> str:
        """Return a run id nobody else has; a provisional one where none can be claimed."""
        claimed = self._claim(start_ns)
        if claimed is not None:
            return claimed
        return provisional_run_id(start_ns, self.settings.timezone, f"{next_provisional():06x}")

    def _claim(self, start_ns: int) -> str | None:
        zone = self.settings.timezone
        return self.claims.claim(
            start_ns // 1_000_000_000, lambda second: format_run_id(second * 1_000_000_000, zone)
        )

    def make_ready(self) -> tuple[int, object, str]:
        """Have what runs of this process need: the background thread, and who tells of LLM calls.

        Asked for again when the global tracer provider has changed: it may be set at any time.

        Returns:
            The process, its global tracer provider, and the first half of the uids of parts opened in it.
        """
        self.keeper.start()
        pid, provider = process.pid(), watched_globals()._TRACER_PROVIDER
        if provider is not None and provider is not self.ready[1]:
            usage_processor.attach(provider)
        self.ready = (pid, provider, self.uid_prefix(pid))
        return self.ready

    def emit(self, event: Mapping[str, Any]) -> None:
        """Write one event about a run that is held by no block; it is durable on return."""
        self.append(write_event(event))
        self.deliveries.wrote_outside()
        self.keeper.start()

    def job_boundary(self) -> None:
        """Called when a job opens or closes: with durability "power" it waits for the disk."""
        if self.settings.durability == "power":
            self.journal.sync()

    @contextmanager
    def reading(self, seconds: float = 2.0) -> Generator[LedgerReader]:
        """Give a reader of the ledger that sees every event written so far.

        Raises:
            LedgerError: The ledger can be neither written nor read.
        """
        with self.ledger.reading(seconds=seconds) as reader:
            yield reader

    def _each_round(self) -> None:
        self.deliveries.each_round()
        if self.limited:
            self._tell_spent()

    def _tell_spent(self) -> None:
        """Let the budgets of open jobs know what other processes and earlier attempts have spent."""
        with guarded("run.budget"), suppress(BusyLedgerError), self.reading(0.5) as reader:
            for found in list(self.limited.values()):
                job = found()
                record = None if job is None else reader.record(job.job_uid, notes=False)
                if job is not None and record is not None:
                    job.budget.learn(record)

    def _tell_tokens(self) -> None:
        count = self.metrics.waiting
        if count:
            with guarded("metrics.tokens"), self.reading() as reader:
                self.metrics.tell_tokens(reader, count)

    def flush(self, timeout: float) -> bool:
        """Fold and export everything of this process; True iff all of it is done within `timeout` seconds."""
        until = _clock.monotonic() + timeout
        self.journal.touch()
        folded = self.keeper.fold_now(timeout)
        delivered = self.deliveries.flush(until)
        self._tell_tokens()
        exported = self.pipeline.force_flush(max(0.0, until - _clock.monotonic()))
        return folded and exported and delivered and not self.journal.buffered

    def shutdown(self, timeout: float, *, keep_journal: bool = False) -> None:
        """Fold and export within `timeout` seconds, and let go of all files and threads.

        With `keep_journal` the journal's lock is held on, for runs still open: they are not dead.
        """
        until = _clock.monotonic() + timeout
        working = timeout - min(_LAST_SECONDS, timeout / 8)
        delivering_until = _clock.monotonic() + working
        self.keeper.stop()
        if not keep_journal:
            self.journal.close()
        if timeout > 0:
            self.keeper.fold_now(working, punctual=True)
            self._tell_tokens()
        with guarded("deliveries.end"):
            self.deliveries.end(delivering_until)
        self.pipeline.shutdown(max(0.0, until - _clock.monotonic()))
        with guarded("ledger.close"), contextlib.suppress(BusyLedgerError):
            self.ledger.close()  # while the keeper folds on, the end of the process closes it

    def health(self) -> Health:
        """Return how tracking itself is doing."""
        reasons = guard.counts()
        dropped = self.journal.dropped + sum(self.pipeline.dropped.values())
        if self.journal.trouble:
            reasons[f"journal: {self.journal.trouble}"] = self.journal.buffered
        for reason, count in self.pipeline.dropped.items():
            reasons[f"spans: {reason}"] = count
        pending = self.journal.buffered + self.pipeline.pending() + self.deliveries.waiting()
        return Health(
            ok=not reasons and not dropped,
            errors=sum(guard.counts().values()),
            dropped=dropped,
            pending=pending,
            last_error=guard.last_error or self.journal.trouble,
            reasons=reasons,
        )


def _built_in_redactor(known: Sequence[str]) -> Callable[[str], str]:
    from jobspan.model.redact import Redactor, secret_values  # its patterns take 6 ms: not at import

    return Redactor([*secret_values(os.environ), *known])
