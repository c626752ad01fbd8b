"""Puts destination, outbox and relay together from settings; loads Airtable's libraries only to send."""

from __future__ import annotations

from jobspan.airtable.settings import AirtableSettings
from jobspan.ledger.ledger import Ledger
from jobspan.ledger.outbox import Outbox, ledger_id, request_cancel
from jobspan.relay.destination import Destination
from jobspan.relay.pace import Timing
from jobspan.relay.worker import Relay


def make_outbox(ledger: Ledger, settings: AirtableSettings) -> Outbox:
    """Return the outbox of the base that is set."""
    return Outbox(ledger, settings.destination, settings.project)


def make_relay(ledger: Ledger, settings: AirtableSettings, timing: Timing) -> Relay:
    """Return the relay of the base that is set; nothing is sent before it is started."""

    def make(outbox: Outbox) -> Destination:
        from jobspan.airtable.destination import AirtableDestination  # 0.3 s: pyairtable and requests

        return AirtableDestination(settings, outbox, ledger_id(ledger))

    return Relay(
        ledger,
        make_outbox(ledger, settings),
        make,
        timing=timing,
        budget=settings.monthly_calls,
        cancel_poll=settings.cancel_poll,
        cancel=lambda job: request_cancel(ledger, job, settings.destination),
    )
