"""`jobspan status`: what waits to be shown in Airtable, and why."""

from __future__ import annotations

from typing import Any

import click

from jobspan import _clock
from jobspan._settings import Settings
from jobspan.airtable.settings import AirtableSettings, airtable_settings
from jobspan.cli import words
from jobspan.cli.delivering import folded
from jobspan.cli.json_text import write_object
from jobspan.cli.opening import ledger_option, settings_of_command
from jobspan.ledger.ledger import Ledger
from jobspan.ledger.outbox import Outbox
from jobspan.ledger.standing import count_without_destination, delivered_ns, destinations
from jobspan.model.record import instant, instant_text

TABLES = {"j": "jobs", "c": "client runs"}


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@ledger_option(hidden=True)
def command(as_json: bool) -> None:
    """Show what waits to be delivered to each base, since when, and why."""
    settings = settings_of_command()
    airtable = airtable_settings(settings.airtable) if settings.mode == "online" else None
    with folded(settings) as ledger:
        state = _state(ledger, settings, airtable)
    if as_json:
        write_object(state)
    else:
        _show(state)


def _state(ledger: Ledger, settings: Settings, airtable: AirtableSettings | None) -> dict[str, Any]:
    names = destinations(ledger)
    if airtable is not None and airtable.destination not in names:
        names.append(airtable.destination)
    return {
        "ledger": str(settings.ledger),
        "mode": settings.mode,
        "jobs_without_destination": count_without_destination(ledger),
        "destinations": [_destination(ledger, name, airtable) for name in names],
    }


def _destination(ledger: Ledger, name: str, airtable: AirtableSettings | None) -> dict[str, Any]:
    is_set = airtable is not None and airtable.destination == name
    outbox = Outbox(ledger, name, airtable.project if is_set and airtable is not None else "all")
    waiting, now_ns = outbox.waiting(), _clock.now_ns()
    blocked_ns, reason = outbox.blocked()
    lag = 0.0 if waiting.oldest_ns is None else max(0.0, (now_ns - waiting.oldest_ns) / 1e9)
    return {
        "destination": name,
        "is_set": is_set,
        "has_token": is_set and airtable is not None and airtable.api_key is not None,
        "pending": waiting.rows,
        "refused": waiting.parked,
        "oldest": instant_text(instant(waiting.oldest_ns)),
        "lag_seconds": round(lag, 3),
        "last_delivery": instant_text(instant(delivered_ns(ledger, name))),
        "last_error": (outbox.last_trouble() or reason) if waiting.rows else None,
        "blocked_until": instant_text(instant(blocked_ns)) if blocked_ns > now_ns else None,
        "calls_this_month": outbox.calls(),
        "monthly_calls": airtable.monthly_calls if is_set and airtable is not None else None,
        "quarantined": [
            {
                "table": TABLES.get(each.place, each.place),
                "field": each.field,
                "reason": each.reason,
                "since": instant_text(instant(each.since_ns)),
            }
            for each in outbox.quarantined()
        ],
    }


def _show(state: dict[str, Any]) -> None:
    from jobspan.cli.table import heading, pairs, show

    if not state["destinations"]:
        click.echo("No base is set: set AIRTABLE_BASE_ID and AIRTABLE_API_KEY, then run: jobspan doctor")
    for each in state["destinations"]:
        show(heading(each["destination"]), pairs(_facts(each)))
    if state["jobs_without_destination"]:
        count = state["jobs_without_destination"]
        click.echo(f"\n{count:,} jobs are to be shown nowhere (made offline): jobspan sync --assign")


def _facts(each: dict[str, Any]) -> list[tuple[str, str]]:
    budget = f" of {each['monthly_calls']:,}" if each["monthly_calls"] else ""
    refused = f", {each['refused']:,} of them refused" if each["refused"] else ""
    facts = [
        ("Waiting", f"{each['pending']:,} rows{refused}"),
        ("Oldest", f"{each['oldest']}  (lag {_lag(each['lag_seconds'])})" if each["oldest"] else ""),
        ("Last delivery", each["last_delivery"] or words.NONE),
        ("Last error", each["last_error"] or ""),
        ("Left alone until", each["blocked_until"] or ""),
        ("Calls this month", f"{each['calls_this_month']:,}{budget}"),
        ("Token", _token(each)),
    ]
    return facts + [(f"Not shown ({q['table']})", q["reason"]) for q in each["quarantined"]]


def _token(each: dict[str, Any]) -> str:
    if each["has_token"]:
        return "set"
    return "not set: AIRTABLE_API_KEY" if each["is_set"] else "another base; not set here"


def _lag(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
    )
