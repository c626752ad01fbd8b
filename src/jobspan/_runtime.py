"""The composition root: builds the parts of a running jobspan, owns them, and lets them go.

One `Runtime` per process, made at the first use or by `configure`. A handle keeps the runtime it was
opened with, so that a second `configure` never tears a run apart.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter

from jobspan import _clock, _signals
from jobspan._delivery import Deliveries
from jobspan._describe import describe
from jobspan._guard import guard, guarded
from jobspan._health import Health
from jobspan._keeper import Keeper
from jobspan._live import LiveRuns
from jobspan._metrics import Metrics
from jobspan._settings import Settings, load
from jobspan._unwritten import Backlog, header
from jobspan.exceptions import SettingsError, UsageError
from jobspan.journal.claim import RunIdClaims, next_provisional
from jobspan.journal.identity import current as current_process
from jobspan.journal.place import Place
from jobspan.journal.writer import JournalWriter
from jobspan.ledger.ledger import Ledger
from jobspan.ledger.reading import LedgerReader
from jobspan.ledger.trouble import BusyLedgerError
from jobspan.model.event import write_event
from jobspan.model.run_id import format_run_id, provisional_run_id
from jobspan.spans.pipeline import SpanPipeline
from jobspan.spans.usage import usage_processor

_CLAIMS_KEPT_SECONDS = 2 * 24 * 3600


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
        self.journal = JournalWriter(place, header, **sizes)
        self.append = self.journal.append
        self.live = LiveRuns()
        """Jobs and client runs open in this process, by the names of their parts."""
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
        self._provider: object = None
        if tracer_provider is not None and not usage_processor.attach(tracer_provider):
            raise UsageError(
                f"tracer_provider={tracer_provider!r}: give a TracerProvider of the OpenTelemetry SDK"
            )
        self._prefix = (0, "")
        self.metrics = Metrics()
        self.keeper = Keeper(
            self.ledger,
            self.journal,
            also=self.deliveries.each_round,
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

    def watch_spans(self) -> None:
        """Have the global tracer provider tell of LLM calls, if there is one; it may be set at any time."""
        provider = getattr(trace, "_TRACER_PROVIDER", self)  # the public function takes a microsecond
        if provider is self:
            provider = trace.get_tracer_provider()
        if provider is not None and provider is not self._provider:
            self._provider = provider
            usage_processor.attach(provider)

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
        self.keeper.stop()
        if not keep_journal:
            self.journal.close()
        if timeout > 0:
            self.keeper.fold_now(timeout)
            self._tell_tokens()
        with guarded("deliveries.end"):
            self.deliveries.end(until)
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


# --- the one runtime of this process

_lock = threading.RLock()
_runtime: Runtime | None = None
_former: weakref.WeakSet[Runtime] = weakref.WeakSet()
"""Runtimes replaced by `configure` that open runs still hold."""


def _renew_lock() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)  # another thread may have held it in the parent


def runtime() -> Runtime:
    """Return the runtime of this process, built from environment and files at the first use."""
    return _runtime or _build()


def is_unset() -> bool:
    """Tell whether this process has no runtime yet."""
    return _runtime is None


def _build() -> Runtime:
    global _runtime
    with _lock:
        if _runtime is None:
            bad: list[SettingsError] = []
            settings = load({}, on_bad=bad.append)
            try:
                _install(Runtime(settings))
            except SettingsError as unusable:
                bad.append(unusable)
                _install(Runtime(replace(settings, airtable={})))
            if settings.handle_signals:
                _signals.watch(_terminated)
            for error in bad:
                guard.note("settings", str(error))
        assert _runtime is not None
        return _runtime


def _install(new: Runtime) -> None:
    global _runtime
    guard.strict = new.settings.strict
    guard.describe = new.describe_own
    _runtime = new


def configure(
    *,
    exporters: Sequence[SpanExporter] = (),
    span_processors: Sequence[SpanProcessor] = (),
    resource_attributes: Mapping[str, Any] | None = None,
    redactor: Callable[[str], str] | None = None,
    segment_bytes: int | None = None,
    tracer_provider: object = None,
    **settings: object,
) -> None:
    """Set jobspan up; optional, and best done once, before the first run.

    A second call flushes what there is and builds everything anew; runs still open go on where they were.

    Args:
        exporters: OpenTelemetry exporters that get every ended run as a span, in the background.
        span_processors: OpenTelemetry span processors, called on the thread that opens or closes a run.
        resource_attributes: Added to the resource of these spans.
        redactor: Takes secrets out of texts, in the place of the built-in one.
        segment_bytes: Size of one journal file before the next is begun.
        tracer_provider: A tracer provider of the OpenTelemetry SDK whose spans tell of LLM calls; the
            global one is found by itself.
        **settings: The settings of `jobspan._settings.Settings`: ledger, mode, strict, timezone,
            durability, exit_flush, relay, airtable, handle_signals, token_key.

    Raises:
        UsageError: An unknown setting.
        SettingsError: An unusable value.
    """
    new = Runtime(
        load(settings),
        exporters=exporters,
        span_processors=span_processors,
        resource_attributes=resource_attributes,
        redactor=redactor,
        segment_bytes=segment_bytes,
        tracer_provider=tracer_provider,
    )
    with _lock:
        old = _runtime
        _install(new)
    if new.settings.handle_signals:
        _signals.watch(_terminated)
    if old is not None:
        with guarded("configure"):
            _former.add(old)
            old.shutdown(old.settings.exit_flush, keep_journal=True)


def run_relay(until_empty: bool = False) -> bool:
    """Fold and deliver on the calling thread: a relay as a process of its own.

    Args:
        until_empty: Return when nothing is left that can be delivered now; else go on until interrupted.

    Returns:
        True iff nothing waits.

    Raises:
        SettingsError: No base or no token is set, or the mode is not online.
        LedgerError: The ledger cannot be used.
    """
    own = runtime()
    relay = own.deliveries.relay
    if relay is None:
        raise SettingsError(
            "nothing to deliver to: set AIRTABLE_API_KEY and AIRTABLE_BASE_ID, and the mode to online"
        )
    own.keeper.start()
    own.keeper.fold_now(10.0)
    return relay.run(until_empty=until_empty)


def flush(timeout: float = 10.0) -> bool:
    """Bring everything of this process into the ledger, to the exporters and to the destination.

    Args:
        timeout: Seconds it may take.

    Returns:
        True iff all of it is there.
    """
    with guarded("flush"):
        return runtime().flush(timeout)
    return False


def shutdown(timeout: float | None = None) -> None:
    """Flush within `timeout` seconds (default: the setting exit_flush) and let go of files and threads.

    Called by itself at exit. Runs opened later are still recorded, and folded by the next process.
    """
    current = _runtime
    if current is not None:
        with guarded("shutdown"):
            current.shutdown(current.settings.exit_flush if timeout is None else timeout)


def health() -> Health:
    """Return how tracking itself is doing: what failed, was dropped or waits, and why."""
    return runtime().health()


def _terminated(name: str) -> None:
    """Close what is open, as the process is told to end."""
    current = _runtime
    if current is not None and current.settings.handle_signals:
        for one in (current, *_former):
            one.live.close_canceled(f"the process was ended by {name}")
        with guarded("flush"):
            current.flush(current.settings.exit_flush)


def _at_exit() -> None:
    current = _runtime
    until = _clock.monotonic() + (0.0 if current is None else current.settings.exit_flush)
    shutdown()
    for old in list(_former):
        with guarded("shutdown"):
            old.shutdown(max(0.0, until - _clock.monotonic()))


atexit.register(_at_exit)
