"""Puts settings, outbox, destination and relay together; loads Airtable's libraries only to send."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from jobspan import _clock
from jobspan._settings import Settings
from jobspan.ledger.ledger import Ledger

if TYPE_CHECKING:
    from jobspan.airtable.settings import AirtableSettings
    from jobspan.ledger.outbox import Outbox
    from jobspan.relay.destination import Destination
    from jobspan.relay.pace import Pace, Timing
    from jobspan.relay.worker import Relay

TIMING: Timing | None = None
"""All waits of relays made from here on, where tests compress them."""

_MOST_OWN = 500
BY_A_PERSON = "canceled by a person (Airtable)"
"""Why a job was canceled whose row somebody set to Canceled."""


class Deliveries:
    """What one process has to do with destinations: none, or one base of Airtable.

    Args:
        settings: The process's.
        ledger: Where outbox and lease are.

    Raises:
        SettingsError: What is set about Airtable cannot be used.
    """

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._ledger = ledger
        self._has_thread = settings.relay == "thread"
        self._has_shared_key = settings.token_key is not None
        self.airtable = _airtable_of(settings)
        """What is set about Airtable; None where nothing is to be shown anywhere."""
        names = [] if self.airtable is None else [self.airtable.destination]
        self.destinations = tuple(names)
        """The destinations that runs opened here are shown at."""
        self.opening = f',"to":{json.dumps(names)}' if names else ""
        """The end of a job's open event: its destinations, as JSON text."""
        self.relay = self._make_relay()
        """None where no base or no token is set."""
        self._own: set[str] | None = set()
        """The jobs of this process; None: too many, or not known."""

    def secrets(self) -> list[str]:
        """Return the texts that must never be recorded."""
        token = None if self.airtable is None else self.airtable.api_key
        return [] if token is None else [token.reveal()]

    def _make_relay(self) -> Relay | None:
        settings = self.airtable
        if settings is None or settings.api_key is None:
            return None
        from jobspan.ledger.cancel import request_cancel
        from jobspan.relay.worker import Relay

        outbox = make_outbox(self._ledger, settings)
        return Relay(
            self._ledger,
            outbox,
            lambda pace: make_destination(self._ledger, settings, outbox, pace),
            timing=timing(),
            budget=settings.monthly_calls,
            cancel_poll=settings.cancel_poll,
            cancel=lambda job: request_cancel(self._ledger, job, BY_A_PERSON),
            adopts=settings.adopt == "all",
            shared=self._has_shared_key,
        )

    def job_opened(self, uid: str) -> None:
        """Take note of a live job that is to be shown."""
        if self._own is not None:
            self._own.add(uid)
            if len(self._own) > _MOST_OWN:
                self._own = None
        self.start()

    def wrote_outside(self) -> None:
        """Take note that this process writes about runs that are no jobs of its own."""
        self._own = None

    def start(self) -> None:
        """Start the relay's thread unless this process has it or is not to have one."""
        if self.relay is not None and self._has_thread:
            self.relay.start()

    def each_round(self) -> None:
        """Twice a second: keep relay and lease alive."""
        self.start()
        if self.relay is not None:
            self.relay.renew()

    def flush(self, until: float) -> bool:
        """Have everything delivered by `until` (of the monotonic clock); True iff it was."""
        if self.relay is None:
            return True
        self.start()
        return self.relay.flush(max(0.0, until - _clock.monotonic()), self._own or None)

    def end(self, until: float) -> None:
        """Deliver what can be delivered by `until`, say what is left, and let go."""
        if self.relay is not None:
            self.relay.end(max(0.0, until - _clock.monotonic()), self._own)

    def waiting(self) -> int:
        """Return how many rows are not as the ledger says."""
        return 0 if self.relay is None else self.relay.rows_waiting()


def timing() -> Timing:
    """Return all waits of a relay made now."""
    from jobspan.relay.pace import Timing

    return TIMING or Timing()


def _airtable_of(settings: Settings) -> AirtableSettings | None:
    if settings.mode != "online" or not settings.airtable:
        return None
    from jobspan.airtable.settings import airtable_settings

    return airtable_settings(settings.airtable)


def make_outbox(ledger: Ledger, settings: AirtableSettings) -> Outbox:
    """Return the outbox of the base that is set."""
    from jobspan.ledger.outbox import Outbox

    return Outbox(ledger, settings.destination, settings.project)


def make_destination(ledger: Ledger, settings: AirtableSettings, outbox: Outbox, pace: Pace) -> Destination:
    """Return the base that is set, ready to be sent to; loads pyairtable and requests (0.3 s).

    Args:
        ledger: What is shown.
        settings: Which base.
        outbox: The base's.
        pace: At which its requests leave.
    """
    from jobspan.airtable.destination import AirtableDestination
    from jobspan.ledger.identity import ledger_id

    return AirtableDestination(settings, outbox, ledger_id(ledger), gate=pace)
