"""Streams of model answers: read along while the business code iterates, and booked on the last chunk."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

import wrapt

from jobspan._guard import guarded
from jobspan.model.usage.response import Reading, read_response
from jobspan.model.usage.shape import field
from jobspan.model.usage.stream import StreamReading
from jobspan.runs.usage import book_reading, home_of_call
from jobspan.spans.roster import Home

S = TypeVar("S")

if TYPE_CHECKING:

    class _ObjectProxy:
        """What is used of wrapt's proxy here; its own types leave most of it unknown."""

        __wrapped__: Any

        def __init__(self, wrapped: Any) -> None: ...
else:
    _ObjectProxy = wrapt.ObjectProxy

_READING = guarded("stream.read")
_BOOKING = guarded("stream.book")
_SNAPSHOTS = ("current_message_snapshot", "current_completion_snapshot")


class StreamBooking:
    """Collects what one stream says of its usage, and books it once."""

    __slots__ = ("_by", "_done", "_home", "_reading")

    def __init__(self, home: Home, by: str) -> None:
        self._home = home
        self._by = by
        self._reading = StreamReading()
        self._done = False

    def feed(self, chunk: object) -> None:
        """Take one chunk; nothing of its content is kept."""
        with _READING:
            self._reading.feed(chunk)

    def end(self, *, ended: bool, source: object = None) -> None:
        """Book what was seen. `ended`: the stream was read to its end; later calls do nothing.

        Args:
            ended: Whether all there was has been read.
            source: The stream, where it may have put together an answer without its chunks passing here.
        """
        if self._done:
            return
        self._done = True
        with _BOOKING:
            reading = self._reading.reading(ended=ended)
            if reading.prompt is None and source is not None:
                reading = _snapshot(source) or reading
            book_reading(self._home, reading, self._by)

    def leave(self) -> None:
        """Book what was seen of a stream that was left."""
        self.end(ended=False)

    def along(self, chunks: Iterator[Any]) -> Iterator[Any]:
        """Yield the chunks of a stream, reading along."""
        try:
            for chunk in chunks:
                self.feed(chunk)
                yield chunk
            self.end(ended=True)
        finally:
            self.leave()

    async def along_async(self, chunks: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """Yield the chunks of an asynchronous stream, reading along."""
        try:
            async for chunk in chunks:
                self.feed(chunk)
                yield chunk
            self.end(ended=True)
        finally:
            self.leave()


def _snapshot(source: object) -> Reading | None:
    """Return the usage of the answer that an SDK's helper has put together so far."""
    found = field(source, *_SNAPSHOTS)
    reading = None if found is None else read_response(found)
    return reading if reading is not None and reading.prompt is not None else None


class _TrackedStream(_ObjectProxy):
    """A stream that is in every way the one it wraps, but is read along."""

    def __init__(self, stream: Any, booking: StreamBooking) -> None:
        super().__init__(stream)
        self._self_booking = booking
        self._self_chunks: Any = None
        weakref.finalize(self, booking.leave)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._self_chunks is None:
            self._self_chunks = iter(self.__wrapped__)
        try:
            chunk = next(self._self_chunks)
        except BaseException as error:
            self._self_booking.end(ended=isinstance(error, StopIteration), source=self.__wrapped__)
            raise
        self._self_booking.feed(chunk)
        return chunk

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if self._self_chunks is None:
            self._self_chunks = self.__wrapped__.__aiter__()
        try:
            chunk = await self._self_chunks.__anext__()
        except BaseException as error:
            self._self_booking.end(ended=isinstance(error, StopAsyncIteration), source=self.__wrapped__)
            raise
        self._self_booking.feed(chunk)
        return chunk

    def __await__(self) -> Any:
        return self._self_awaited().__await__()

    async def _self_awaited(self) -> Any:
        return self._self_inside(await self.__wrapped__)

    def __enter__(self) -> Any:
        return self._self_inside(self.__wrapped__.__enter__())

    def __exit__(self, *left: Any) -> Any:
        try:
            return self.__wrapped__.__exit__(*left)
        finally:
            self._self_booking.end(ended=False, source=self.__wrapped__)

    async def __aenter__(self) -> Any:
        return self._self_inside(await self.__wrapped__.__aenter__())

    async def __aexit__(self, *left: Any) -> Any:
        try:
            return await self.__wrapped__.__aexit__(*left)
        finally:
            self._self_booking.end(ended=False, source=self.__wrapped__)

    def close(self) -> Any:
        try:
            return self.__wrapped__.close()
        finally:
            self._self_booking.end(ended=False, source=self.__wrapped__)

    async def aclose(self) -> Any:
        try:
            return await self.__wrapped__.aclose()
        finally:
            self._self_booking.end(ended=False, source=self.__wrapped__)

    def _self_inside(self, entered: Any) -> Any:
        """Return what a block gives: this stream, or the one its manager opened, read along as well."""
        if entered is self.__wrapped__:
            return self
        self._self_source = entered
        return _Entered(entered, self._self_booking)


class _Entered(_TrackedStream):
    """What a stream's context manager gave: its end is told by the manager, too."""

    def __init__(self, stream: Any, booking: StreamBooking) -> None:
        super().__init__(stream, booking)


def track_stream(stream: S) -> S:
    """Return a stream that books its usage on the current run when its last chunk is read.

    Takes what the SDKs give for ``stream=True``: iterators, asynchronous iterators and context managers,
    and what has to be awaited first. The stream behaves as before; chunks pass unchanged. Of a stream
    that is left before its end, what was seen is booked, and the call counts as unmetered. Outside of
    all runs the stream itself is returned.

    Example:
        for chunk in track_stream(client.chat.completions.create(..., stream=True)): ...
    """
    home, by = home_of_call()
    if home is None:
        return stream
    return cast("S", _TrackedStream(stream, StreamBooking(home, by)))
