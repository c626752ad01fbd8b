"""The clients of apify-client: the whole one, and those of one actor or task."""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

from jobspan.exceptions import UsageError


class Start(NamedTuple):
    """How a run is started.

    Attributes:
        name: Of the operation: ``apify <actor id>``, ``apify task <task id>``.
        resource: The client of the actor or task.
        options: What its ``start`` is given.
        client: What gives the clients of runs.
    """

    name: str
    resource: Any
    options: dict[str, Any]
    client: Any


def start_of(client: Any, actor: Any, run_input: Any, options: dict[str, Any]) -> Start:
    """Return how a run is started; `client` or `actor` may be the client of an actor or task.

    Raises:
        UsageError: No actor is named.
    """
    if _is_resource(client):
        given = [each for each in (actor, run_input) if each is not None]
        if len(given) > 1:
            raise UsageError(
                "with the client of an actor or task only its input is given: (client, run_input)"
            )
        resource, run_input = client, given[0] if given else None
    elif _is_resource(actor):
        resource = actor
    elif isinstance(actor, str) and actor:
        resource = client.actor(actor)
    else:
        raise UsageError(f"an actor is named by its id, or its client, not by {actor!r}")
    is_task = "task_input" in inspect.signature(resource.start).parameters
    name = actor if isinstance(actor, str) else str(getattr(resource, "resource_id", None) or "")
    more = {"task_input" if is_task else "run_input": run_input, **options}
    return Start(f"apify {'task ' if is_task else ''}{name}", resource, more, client_of(client))


def client_of(client: Any) -> Any:
    """Return what gives the clients of runs: the client itself, or what an actor's or task's is made with."""
    return _Runs(client) if _is_resource(client) else client


def _is_resource(client: Any) -> bool:
    return all(callable(getattr(client, name, None)) for name in ("start", "call"))


class _Runs:
    """Gives the clients of runs, as the client of an actor or task makes them for its ``call``."""

    def __init__(self, resource: Any) -> None:
        self._resource = resource

    def run(self, run_id: str) -> Any:
        """Return the client of a run."""
        made = self._resource
        root = getattr(made, "root_client", None)  # 1.x, 2.x
        if root is not None:
            return root.run(run_id)
        registry, http = made._client_registry, made._http_client
        return registry.run_client(
            resource_id=run_id,
            base_url=made._base_url,
            public_base_url=made._public_base_url,
            http_client=http,
            client_registry=registry,
        )
