"""The webhook of an Apify run: checked, read, and applied to the run that waits for it.

Apify signs nothing: a secret of your own in a header says who calls. The body is a hint; with a client
the run is read again. Apify delivers again what was not answered with 2xx, and sometimes twice.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from jobspan import _clock
from jobspan._guard import guard, guarded
from jobspan._runtime import runtime
from jobspan.exceptions import JobspanError, LedgerError, UsageError
from jobspan.integrations.apify.asking import link
from jobspan.integrations.apify.booking import book
from jobspan.integrations.apify.reading import ApifyRun, error_of, read_run, run_id_of, status_of
from jobspan.ledger.reading import PartPlace
from jobspan.model.part import Part
from jobspan.model.status import Status
from jobspan.runs.attaching import address_at, attach
from jobspan.runs.elsewhere import revived
from jobspan.runs.kinds import ClientRun, JobRun
from jobspan.runs.leaving import left_by

SECRET_HEADER = "X-Jobspan-Secret"
_DISPATCH_HEADER = "x-apify-webhook-dispatch-id"
_MOST_BYTES = 64 * 1024
_MOST_DEPTH = 32
_READ_SECONDS = 2.0
_RESURRECTED = "ACTOR.RUN.RESURRECTED"

Work = Callable[[JobRun | ClientRun, Any], object]


class WebhookRefused(JobspanError, PermissionError):
    """A webhook that is not to be trusted or cannot be read: answer 4xx. The text holds nothing of it."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """What a webhook says.

    Attributes:
        event_type: ``ACTOR.RUN.SUCCEEDED`` and the like; empty if the template leaves it out.
        run_id: The Apify run.
        dispatch_id: Apify's id of this delivery; empty if there is none.
        resource: The run as it was at the trigger; empty if the template leaves it out.
    """

    event_type: str
    run_id: str
    dispatch_id: str = ""
    resource: Mapping[str, Any] = field(default_factory=dict[str, Any])


def read_webhook(
    headers: Mapping[str, str], body: bytes | str, *, secret: str, header: str = SECRET_HEADER
) -> Webhook | None:
    """Check and read a webhook; None for Apify's test event.

    Args:
        headers: Of the request; names in any case.
        body: Of the request, at most 64 KiB of JSON: the default template, or one with a flat ``runId``.
        secret: What `header` must hold; set it in the webhook's headers template, not in its URL.
        header: The name of that header.

    Raises:
        WebhookRefused: The secret is wrong or missing, or the body is no webhook of a run.
        UsageError: No secret was given.
    """
    if not secret:
        raise UsageError("read_webhook() needs the secret that the webhook's header holds")
    given = {str(name).lower(): value for name, value in headers.items()}
    told = str(given.get(header.lower(), ""))
    if not hmac.compare_digest(told.encode("utf-8", "replace"), secret.encode("utf-8", "replace")):
        raise WebhookRefused(f"the header {header} does not hold the secret")
    found = _object(_parsed(body))
    event_type = found.get("eventType")
    if event_type == "TEST":
        return None
    resource, data = _object(found.get("resource")), _object(found.get("eventData"))
    ids = (data.get("actorRunId"), resource.get("id"), found.get("runId"))
    run_id = next((found_id for each in ids if (found_id := run_id_of(each))), "")
    if not run_id:
        raise WebhookRefused("the body names no Apify run")
    event = event_type if isinstance(event_type, str) else ""
    return Webhook(event[:60], run_id, str(given.get(_DISPATCH_HEADER, ""))[:100], resource)


def handle_webhook(
    headers: Mapping[str, str],
    body: bytes | str,
    *,
    secret: str,
    header: str = SECRET_HEADER,
    client: Any = None,
    work: Work | None = None,
) -> Status | None:
    """Apply a webhook to the run that `start_actor` left open; return how the Apify run stands, as ours.

    A run that has ended ends it: Completed, Failed, Timed_out or Canceled. A second delivery, told by
    Apify's dispatch id or by what it says, changes nothing, but may correct the cost. A run that was
    resurrected is Running again, whatever earlier deliveries still come.

    Args:
        headers: As for `read_webhook`.
        body: As for `read_webhook`.
        secret: As for `read_webhook`.
        header: As for `read_webhook`.
        client: An `ApifyClient`: the run is read again, and its cost once more when it is final.
        work: Called with our run and Apify's, once, where it succeeded; what it raises is an error of the
            run, and passes.

    Returns:
        None for a test event, an unknown status, and a run nobody here waits for.

    Raises:
        WebhookRefused: See `read_webhook`.
    """
    webhook = read_webhook(headers, body, secret=secret, header=header)
    if webhook is None:
        return None
    found: Any = None if client is None else client.run(webhook.run_id).get()
    found = webhook.resource if found is None else found
    run = _run(webhook, found)
    waiting = _waiting(webhook)
    if waiting is None:
        return None
    place, attempts, is_known = waiting
    status = status_of(run.status)
    if webhook.event_type == _RESURRECTED and status in (Status.RUNNING, None):
        if not is_known:
            _reopen(webhook.run_id)
            _remember(place, webhook)
        return Status.RUNNING
    if status in (None, Status.RUNNING) or is_known or _has_ended_so(attempts, run):
        _only_book(place, run, client)
    else:
        _end(attempts, run, found, client, work)
        _remember(place, webhook)
    return status


def _run(webhook: Webhook, found: Any) -> ApifyRun:
    """Return the run a webhook is about; a template without the run says how it stands by its event."""
    run = read_run(found)
    told = webhook.event_type.removeprefix("ACTOR.RUN.").replace("_", "-")
    return ApifyRun(webhook.run_id, run.status or told, run.cost_usd, run.message)


def _waiting(webhook: Webhook) -> tuple[PartPlace, list[Part], bool] | None:
    """Return the part that waits for a run, what was attached to it, and if this delivery was applied."""
    run_id = webhook.run_id
    try:
        with runtime().reading(_READ_SECONDS) as reader:
            place = reader.linked(run_id)
            if place is not None:
                is_known = bool(webhook.dispatch_id) and reader.linked(_key(webhook)) is not None
                return place, reader.attempts_of(place.part), is_known
    except LedgerError as error:
        guard.note("apify.webhook", f"nothing was recorded: {error}")
        return None
    guard.note("apify.webhook", f"no run waits for Apify run {run_id}", key="attach: not found")
    return None


def _key(webhook: Webhook) -> str:
    return f"apify dispatch {webhook.dispatch_id} {webhook.event_type} {webhook.run_id}"


def _remember(place: PartPlace, webhook: Webhook) -> None:
    """Keep that a delivery was applied: one that comes again much later must not end what runs by then."""
    with guarded("apify.webhook"):
        if webhook.dispatch_id:
            link(runtime(), place.part, _key(webhook))


def _has_ended_so(attempts: list[Part], run: ApifyRun) -> bool:
    """Whether an earlier delivery has said it; one whose work failed or died has not."""
    how = left_by(error_of(run))
    ends = [part.end.how for part in attempts if part.end is not None]
    return how in ends and not any(part.end is None and part.is_detached for part in attempts)


def _only_book(place: PartPlace, run: ApifyRun, client: Any) -> None:
    with guarded("apify.webhook"):
        book(revived(runtime(), address_at(place)), run, client)


def _reopen(run_id: str) -> None:
    with attach(external_id=run_id) as run:
        run.note(f"Apify run {run_id} was resurrected")
        run.detach()


def _end(attempts: list[Part], run: ApifyRun, found: Any, client: Any, work: Work | None) -> None:
    error = error_of(run)
    with attach(external_id=run.id) as ours:
        with guarded("apify.webhook"):
            book(ours, run, client)
            _end_reopened(attempts, error)
        if error is not None:
            ours.finish(error)
        elif work is not None:
            work(ours, found)


def _end_reopened(attempts: list[Part], error: BaseException | None) -> None:
    """End the attempts a resurrection has opened as the run ends."""
    for part in attempts:
        if part.end is None and part.is_detached:
            stamp = {"w": f"{part.uid}.{os.urandom(8).hex()}", "p": part.uid, "q": 0, "t": _clock.now_ns()}
            how = {"how": left_by(error).value, "type": "" if error is None else type(error).__name__}
            runtime().emit({**stamp, "e": "close", **how, "message": "" if error is None else str(error)})


def _parsed(body: bytes | str) -> object:
    raw = body if isinstance(body, bytes) else body.encode("utf-8", "replace")
    if len(raw) > _MOST_BYTES:
        raise WebhookRefused("the body is longer than 64 KiB")
    if _depth(raw) > _MOST_DEPTH:
        raise WebhookRefused("the body is nested too deeply")
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise WebhookRefused("the body is no JSON") from None


def _depth(raw: bytes) -> int:
    """Return how deep brackets are nested, those in texts included: a bound, not the depth."""
    depth = deepest = 0
    for byte in raw:
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _object(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}
