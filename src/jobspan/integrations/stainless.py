"""Clients of openai, anthropic and those made by the same generator: all calls go through `request`."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

from jobspan._guard import guarded
from jobspan.integrations.patch import is_patched, patch, unpatch
from jobspan.integrations.stream import StreamBooking
from jobspan.model.usage.response import Reading, read_response
from jobspan.runs.usage import book_reading, home_of_call
from jobspan.spans.roster import Home

_SEEING = guarded("instrument")
_CALLS = re.compile(
    r"(?:^|/)(?:chat/completions|completions|responses|embeddings|messages|complete|images/generations)/?(?:\?.*)?$"
)
"""The paths of calls of a model; others (files, models, token counting, batches) are not."""


def takes(client: Any) -> bool:
    """Tell whether this is such a client."""
    return all(callable(getattr(client, name, None)) for name in ("request", "post", "with_options"))


def instrument(client: Any) -> None:
    """Wrap the one method all calls of a client go through."""
    if not is_patched(client, "request"):
        is_async = inspect.iscoroutinefunction(client.request)
        patch(client, "request", _asked_async if is_async else _asked)


def uninstrument(client: Any) -> None:
    """Undo `instrument`."""
    unpatch(client, "request")


def _asked(method: Any, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    home, by = _home(args, kwargs)
    result = method(*args, **kwargs)
    if home is not None:
        with _SEEING:
            _see(result, home, by)
    return result


async def _asked_async(method: Any, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    home, by = _home(args, kwargs)
    result = await method(*args, **kwargs)
    if home is not None:
        with _SEEING:
            _see(result, home, by)
    return result


def _home(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Home | None, str]:
    """Return the run this request belongs to, if it asks a model."""
    with _SEEING:
        options = kwargs["options"] if "options" in kwargs else args[1]
        if str(options.method).lower() == "post" and _CALLS.search(str(options.url)):
            return home_of_call()
    return None, ""


def _see(result: Any, home: Home, by: str) -> None:
    if _is_stream(result):
        _read_along(result, home, by)
    elif hasattr(result, "http_response") and hasattr(result, "parse"):
        _see_raw(result, home, by)
    else:
        _book(result, home, by)


def _is_stream(result: Any) -> bool:
    return hasattr(result, "_decoder") and (hasattr(result, "__next__") or hasattr(result, "__anext__"))


def _read_along(stream: Any, home: Home, by: str) -> None:
    """Read a stream along from within: the object the caller holds stays the SDK's own."""
    booking = StreamBooking(home, by)
    chunks = stream._iterator
    along: Any = booking.along_async if hasattr(chunks, "__anext__") else booking.along
    stream._iterator = along(chunks)


def _book(response: Any, home: Home, by: str) -> None:
    reading = read_response(response)
    book_reading(home, Reading() if reading is None else reading, by)


# --- raw responses: with_raw_response has read the body, with_streaming_response has not


def _see_raw(result: Any, home: Home, by: str) -> None:
    answer = result.http_response
    if hasattr(answer, "_content") and not _is_event_stream(answer):
        _book(_json(answer), home, by)
        return
    once = _Once(home, by, answer)
    patch(result, "parse", once.parsed_async if inspect.iscoroutinefunction(result.parse) else once.parsed)
    if callable(getattr(result, "close", None)):
        is_async = inspect.iscoroutinefunction(result.close)
        patch(result, "close", once.closed_async if is_async else once.closed)


def _is_event_stream(answer: Any) -> bool:
    return "text/event-stream" in str(answer.headers.get("content-type", ""))


def _json(answer: Any) -> object:
    try:
        return answer.json()
    except (ValueError, RuntimeError):  # no JSON, or nobody has read it
        return None


class _Once:
    """Books one raw response once: as the stream it is parsed to, or by its body when it is closed."""

    def __init__(self, home: Home, by: str, answer: Any) -> None:
        self._home = home
        self._by = by
        self._answer = answer
        self._streams = False

    def parsed(self, method: Any, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._seen(method(*args, **kwargs))

    async def parsed_async(self, method: Any, owner: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
        return self._seen(await method(*args, **kwargs))

    def closed(self, method: Any, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self._end()
        return method(*args, **kwargs)

    async def closed_async(self, method: Any, owner: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
        self._end()
        return await method(*args, **kwargs)

    def _seen(self, parsed: Any) -> Any:
        with _SEEING:
            if not self._streams and _is_stream(parsed):
                self._streams = True
                _read_along(parsed, self._home, self._by)
        return parsed

    def _end(self) -> None:
        if self._streams:
            return
        self._streams = True
        with _SEEING:
            loaded = hasattr(self._answer, "_content")
            _book(_body(self._answer) if loaded else None, self._home, self._by)


def _body(answer: Any) -> object:
    """Return the answer in a body that was read: JSON, or the last event with usage of a stream."""
    if not _is_event_stream(answer):
        return _json(answer)
    found: object = None
    for line in answer.text.splitlines():
        if line.startswith("data:") and '"usage"' in line:
            found = json.loads(line[5:])
    return found
