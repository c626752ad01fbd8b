"""Clients of google-genai: every HTTP call is counted, also those of automatic function calling.

The SDK's own result tells only the usage of the last of these calls.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

from jobspan._guard import guarded
from jobspan.integrations.patch import patch, unpatch
from jobspan.integrations.stream import StreamBooking
from jobspan.model.usage.response import Reading, read_response
from jobspan.runs.usage import book_reading, home_of_call
from jobspan.spans.roster import Home

_SEEING = guarded("instrument")
_CALLS = re.compile(r":(?:generateContent|streamGenerateContent|embedContent|batchEmbedContents|predict)\b")
_METHODS = ("request", "request_streamed", "async_request", "async_request_streamed")


def takes(client: Any) -> bool:
    """Tell whether this is such a client."""
    return hasattr(getattr(client, "_api_client", None), "async_request_streamed")


def instrument(client: Any) -> None:
    """Wrap the methods that make the HTTP calls of a client."""
    wrappers = (_asked, _asked_stream, _asked_async, _asked_async_stream)
    for name, wrapper in zip(_METHODS, wrappers, strict=True):
        patch(client._api_client, name, wrapper)


def uninstrument(client: Any) -> None:
    """Undo `instrument`."""
    for name in _METHODS:
        unpatch(client._api_client, name)


def _home(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Home | None, str]:
    with _SEEING:
        path = kwargs["path"] if "path" in kwargs else args[1]
        if _CALLS.search(str(path)):
            return home_of_call()
    return None, ""


def _asked(method: Any, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    home, by = _home(args, kwargs)
    answer = method(*args, **kwargs)
    if home is not None:
        _book(answer, home, by)
    return answer


async def _asked_async(method: Any, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    home, by = _home(args, kwargs)
    answer = await method(*args, **kwargs)
    if home is not None:
        _book(answer, home, by)
    return answer


def _asked_stream(method: Any, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    home, by = _home(args, kwargs)
    answers = method(*args, **kwargs)
    return answers if home is None else _along(answers, StreamBooking(home, by))


async def _asked_async_stream(method: Any, client: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
    home, by = _home(args, kwargs)
    answers = await method(*args, **kwargs)
    return answers if home is None else _along_async(answers, StreamBooking(home, by))


def _along(answers: Iterator[Any], booking: StreamBooking) -> Iterator[Any]:
    try:
        for answer in answers:
            booking.feed(_json(answer))
            yield answer
        booking.end(ended=True)
    finally:
        booking.leave()


async def _along_async(answers: AsyncIterator[Any], booking: StreamBooking) -> AsyncIterator[Any]:
    try:
        async for answer in answers:
            booking.feed(_json(answer))
            yield answer
        booking.end(ended=True)
    finally:
        booking.leave()


def _book(answer: Any, home: Home, by: str) -> None:
    with _SEEING:
        reading = read_response(_json(answer))
        book_reading(home, Reading(provider="google") if reading is None else reading, by)


def _json(answer: Any) -> Any:
    body = getattr(answer, "body", None)
    try:
        return json.loads(body) if isinstance(body, str | bytes) else body
    except ValueError:
        return None
