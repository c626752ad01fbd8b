"""What commands about Airtable work on: settings, the folded ledger, the outbox of the base, a relay."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import click

from jobspan import _clock
from jobspan._delivery import BY_A_PERSON, make_destination, make_outbox, timing
from jobspan._guard import guard, guarded
from jobspan._settings import Settings
from jobspan.airtable.settings import AirtableSettings, airtable_settings
from jobspan.cli.opening import open_ledger
from jobspan.exceptions import LedgerError, SettingsError
from jobspan.ledger.cancel import request_cancel
from jobspan.ledger.ledger import Ledger
from jobspan.ledger.outbox import Outbox
from jobspan.relay.worker import Relay

_FOLD_SECONDS = 600.0
_SLICE_SECONDS = 3.0
_ROUND_SECONDS = 0.5
_PATIENCE_SECONDS = 20.0
"""Without --wait, a delivery that gets no row further for so long is given up."""


@dataclass(frozen=True, slots=True)
class Delivering:
    """The base that is set, as this ledger sees it."""

    settings: Settings
    airtable: AirtableSettings
    ledger: Ledger
    outbox: Outbox


@contextmanager
def folded(settings: Settings) -> Generator[Ledger]:
    """Give the ledger after folding what the journals hold; close it in the end.

    Raises:
        LedgerError: It cannot be used.
    """
    ledger = open_ledger(settings)
    try:
        ledger.fold(seconds=_FOLD_SECONDS, busy_seconds=10.0)
        yield ledger
    finally:
        ledger.close()
        if guard.last_error is not None:
            click.echo(f"jobspan: note: {guard.last_error}", err=True)


@contextmanager
def delivering(settings: Settings) -> Generator[Delivering]:
    """Give what a command that sends needs.

    Raises:
        SettingsError: No base or no token is set, or this process is not to send.
        LedgerError: The ledger cannot be used.
    """
    airtable = needed_airtable(settings)
    with folded(settings) as ledger:
        yield Delivering(settings, airtable, ledger, make_outbox(ledger, airtable))


def needed_airtable(settings: Settings) -> AirtableSettings:
    """Return what is set about Airtable.

    Raises:
        SettingsError: Not enough to send; the text says what to set.
    """
    if settings.mode != "online":
        raise SettingsError(
            f"JOBSPAN_MODE is {settings.mode}: nothing is sent; unset it, or set it to online"
        )
    airtable = airtable_settings(settings.airtable)
    if airtable is None:
        raise SettingsError("no base is set; set AIRTABLE_BASE_ID (app…) and AIRTABLE_API_KEY (pat…)")
    if airtable.api_key is None:
        raise SettingsError("no token is set; set AIRTABLE_API_KEY to a personal access token (pat…)")
    return airtable


def make_relay(place: Delivering) -> Relay:
    """Return a relay for the base that is set."""
    airtable, ledger, outbox = place.airtable, place.ledger, place.outbox
    return Relay(
        ledger,
        outbox,
        lambda pace: make_destination(ledger, airtable, outbox, pace),
        timing=timing(),
        budget=airtable.monthly_calls,
        cancel_poll=airtable.cancel_poll,
        cancel=lambda job: request_cancel(ledger, job, BY_A_PERSON),
        adopts=airtable.adopt == "all",
        shared=place.settings.token_key is not None,
    )


@contextmanager
def kept_alive(relay: Relay, ledger: Ledger) -> Generator[None]:
    """Twice a second: fold what processes have written, and keep the relay's lease while a request hangs."""
    stopped = threading.Event()

    def work() -> None:
        while not stopped.wait(_ROUND_SECONDS):
            relay.renew()
            with guarded("relay.fold"):
                try:
                    ledger.fold(seconds=_ROUND_SECONDS / 2)
                except LedgerError:
                    continue  # busy, or away: in half a second again

    thread = threading.Thread(target=work, name="jobspan-fold", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(5.0)


def deliver(place: Delivering, *, wait: bool) -> bool:
    """Deliver what waits and say on stderr what could not be delivered; True iff nothing is left.

    Args:
        place: Where from and where to.
        wait: Also wait for an outage, a lock-out or another sender; not for a token that is refused.
    """
    relay = make_relay(place)
    try:
        with kept_alive(relay, place.ledger):
            relay.start()
            done = _deliver(relay, place.outbox, wait)
    finally:
        relay.stop()
        trouble = relay.trouble
        relay.end(0.5)  # its lease is given back meanwhile
    if not done:
        _tell_what_is_left(place.outbox, trouble)
    return done


def _deliver(relay: Relay, outbox: Outbox, wait: bool) -> bool:
    least, idle = 2**62, 0.0
    while True:
        if relay.flush(_SLICE_SECONDS):
            return True
        waiting = outbox.waiting()
        if waiting.rows == waiting.parked or relay.trouble is not None:
            return waiting.rows == 0
        idle = 0.0 if waiting.rows < least else idle + _ROUND_SECONDS
        least = min(least, waiting.rows)
        if not wait and (idle >= _PATIENCE_SECONDS / _SLICE_SECONDS * _ROUND_SECONDS or _is_away(outbox)):
            return False
        threading.Event().wait(_ROUND_SECONDS)


def _is_away(outbox: Outbox) -> bool:
    """Whether nobody is to send for longer than a person waits."""
    return outbox.blocked()[0] - _clock.now_ns() > _PATIENCE_SECONDS * 1e9


def _tell_what_is_left(outbox: Outbox, trouble: str | None) -> None:
    waiting = outbox.waiting()
    reason = trouble or outbox.last_trouble() or outbox.blocked()[1]
    text = f"jobspan: not delivered: {waiting.rows:,} rows wait"
    if waiting.parked:
        text += f", {waiting.parked:,} of them were refused"
    click.echo(f"{text}: {reason}" if reason else text, err=True)
    click.echo("jobspan: `jobspan doctor` looks for what is wrong", err=True)
