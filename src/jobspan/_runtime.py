"""The one runtime of this process: made at the first use or by `configure`, let go of at exit.

A handle keeps the runtime it was opened with, so that a second `configure` never tears a run apart.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from jobspan import _clock, _signals
from jobspan._composition import Runtime
from jobspan._ending import ending, stay_interrupted
from jobspan._guard import guard, guarded
from jobspan._health import Health
from jobspan._settings import load
from jobspan.exceptions import SettingsError
from jobspan.ledger.gate import fork_gate

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.export import SpanExporter

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
    with _lock, fork_gate.held():  # it loads modules: a child forked meanwhile could never load them
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
            durability, journal, exit_flush, relay, airtable, handle_signals, token_key.

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
    ending.settle()
    stay_interrupted()


atexit.register(_at_exit)
