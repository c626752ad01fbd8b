"""Starting actor runs: waited for in an operation, or detached, to be ended by their webhook."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import Any

from jobspan._guard import guarded
from jobspan.integrations.apify.booking import book, name_run
from jobspan.integrations.apify.reading import error_of, read_run, status_of
from jobspan.integrations.apify.resource import start_of
from jobspan.model.status import Status
from jobspan.runs.deadline import first_deadline, seconds_left
from jobspan.runs.detaching import deadline_after
from jobspan.runs.kinds import Operation
from jobspan.runs.opening import owner_of
from jobspan.runs.option import Duration
from jobspan.runs.recording import current_run
from jobspan.runs.scope import OperationScope

_SLICE_SECONDS = 30
"""How long one request waits for a run to end; between two a cancel or a deadline is seen."""


def run_actor(client: Any, actor_id: Any = None, run_input: Any = None, **options: Any) -> Any:
    """Start an actor or task, wait for its run to end, and return the run; an operation ``apify <actor id>``.

    Like the client's own ``call`` it returns the run whatever its status, None if it is gone; the operation
    tells how it ended. Its id is recorded at once, its cost at the end and again when it is final.

    Args:
        client: An `ApifyClient`; or the client of an actor or task: ``run_actor(client.task(…), run_input)``.
        actor_id: The actor, as for ``client.actor(…)``, or the client of an actor or task.
        run_input: What it is started with; it is not recorded.
        **options: Further options of the client's ``start``.

    Raises:
        RunCanceled: The run it is called in was canceled meanwhile; the actor goes on.
        DeadlineExceeded: Its deadline has passed; the actor goes on.
        UsageError: No actor is named.
    """
    start = start_of(client, actor_id, run_input, options)
    with OperationScope(start.name) as operation:
        found: Any = start.resource.start(**start.options)
        run_id = _started(operation, found)
        asked = start.client.run(run_id)
        while not _has_ended(found):
            operation.checkpoint()
            found = asked.wait_for_finish(**_waiting(asked, operation))
        _ended(operation, found, run_id, client)
    return found


async def arun_actor(client: Any, actor_id: Any = None, run_input: Any = None, **options: Any) -> Any:
    """Do what `run_actor` does, with an `ApifyClientAsync`."""
    start = start_of(client, actor_id, run_input, options)
    async with OperationScope(start.name) as operation:
        found: Any = await start.resource.start(**start.options)
        run_id = _started(operation, found)
        asked = start.client.run(run_id)
        while not _has_ended(found):
            operation.checkpoint()
            found = await asked.wait_for_finish(**_waiting(asked, operation))
        _ended(operation, found, run_id, client)
    return found


def start_actor(
    client: Any,
    actor_id: Any = None,
    run_input: Any = None,
    *,
    deadline: Duration | None = None,
    **options: Any,
) -> Any:
    """Start an actor or task and detach the current client run or job: its webhook ends it; return the run.

    See `handle_webhook`. Without a webhook by the deadline (default 24 h) it is Timed_out. Outside of a run
    the actor is started, and nothing recorded.

    Args:
        client: As for `run_actor`.
        actor_id: As for `run_actor`.
        run_input: What it is started with; it is not recorded.
        deadline: From now.
        **options: Further options of the client's ``start``, say ``webhooks=``.

    Raises:
        UsageError: The deadline is no duration, or no actor is named.
    """
    deadline_after(deadline)  # a bad one is told before anything is started
    start = start_of(client, actor_id, run_input, options)
    found = start.resource.start(**start.options)
    _detach(found, deadline)
    return found


async def astart_actor(
    client: Any,
    actor_id: Any = None,
    run_input: Any = None,
    *,
    deadline: Duration | None = None,
    **options: Any,
) -> Any:
    """Do what `start_actor` does, with an `ApifyClientAsync`."""
    deadline_after(deadline)
    start = start_of(client, actor_id, run_input, options)
    found = await start.resource.start(**start.options)
    _detach(found, deadline)
    return found


def _detach(found: Any, deadline: Duration | None) -> None:
    owner = owner_of(current_run())
    if owner is not None and owner.uid:
        run_id = read_run(found).id
        owner.detach(external_id=run_id, deadline=deadline)
        with guarded("apify.record"):
            name_run(owner, run_id)


def _started(operation: Operation, found: Any) -> str:
    run = read_run(found)
    with guarded("apify.record"):
        name_run(operation, run.id)
        operation.note(f"Apify run {run.id} was started")
    return run.id


def _has_ended(found: Any) -> bool:
    return found is None or status_of(read_run(found).status) is not Status.RUNNING


def _waiting(asked: Any, operation: Operation) -> dict[str, Any]:
    """Return how long to wait, in the words of this version of the client."""
    first = first_deadline(operation)
    seconds = _SLICE_SECONDS if first is None else min(_SLICE_SECONDS, max(1, round(seconds_left(first))))
    if "wait_duration" in inspect.signature(asked.wait_for_finish).parameters:
        return {"wait_duration": timedelta(seconds=seconds)}
    return {"wait_secs": seconds}


def _ended(operation: Operation, found: Any, run_id: str, client: Any) -> None:
    with guarded("apify.record"):
        if found is None:
            operation.note(f"Apify run {run_id} is gone: how it ended is not known")
            return
        run = read_run(found)
        book(operation, run, client)
        error = error_of(run)
        if error is not None:
            operation.finish(error)
