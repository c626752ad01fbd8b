"""Books the runs of one `ApifyClient` where they are made: ``jobspan.instrument(client)``."""

from __future__ import annotations

import inspect
from typing import Any

from jobspan._guard import guarded
from jobspan.integrations.apify.booking import book
from jobspan.integrations.apify.reading import error_of, read_run
from jobspan.integrations.patch import patch, unpatch
from jobspan.runs.handle import RunHandle
from jobspan.runs.recording import current_run

_SEEING = guarded("apify.instrument")
_MADE = {"actor": ("start", "call"), "task": ("start", "call"), "run": ("wait_for_finish", "get")}
"""What of the clients that a client makes is wrapped."""
_MOST = 1_000
_started: dict[str, RunHandle] = {}
"""Where runs were started; the oldest are forgotten."""


def instrument(client: Any) -> None:
    """Wrap what makes the clients of actors, tasks and runs."""
    for name in _MADE:
        patch(client, name, _making)


def uninstrument(client: Any) -> None:
    """Undo `instrument`; clients it has made meanwhile go on."""
    for name in _MADE:
        unpatch(client, name)


def _making(method: Any, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    made = method(*args, **kwargs)
    with _SEEING:
        for name in _MADE[method.__name__]:
            patch(made, name, _asking(client, name))
    return made


def _asking(client: Any, name: str) -> Any:
    def asked(method: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if inspect.iscoroutinefunction(method):
            return awaited(method, args, kwargs)
        found = method(*args, **kwargs)
        with _SEEING:
            _see(client, name, found)
        return found

    async def awaited(method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        found = await method(*args, **kwargs)
        with _SEEING:
            _see(client, name, found)
        return found

    return asked


def _see(client: Any, name: str, found: Any) -> None:
    run = read_run(found)
    home = None if name == "start" else _started.get(run.id)
    if home is None:
        if name == "get":  # looked at from anywhere: it may be another job's
            return
        home = current_run()
        if home.uid and run.id:
            while len(_started) >= _MOST:
                _started.pop(next(iter(_started)))
            _started[run.id] = home
    book(home, run, client)
    error = error_of(run)
    if error is not None and name != "get":
        home.note(str(error))
