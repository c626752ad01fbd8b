"""Connections on which a whole answer is bound in time: who drips a byte a second holds nobody up.

The read time-out of requests counts from one byte to the next, and it has no other. And the one place
that knows when a request leaves: connected, written down whole, and only to be put on the wire.
"""

from __future__ import annotations

import http.client
import io
import socket
from functools import partial
from typing import Any, Protocol

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from jobspan import _clock
from jobspan._ending import ending


class _Bounded(io.RawIOBase):
    """Reads a socket until the time of the whole answer is over."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, seconds: float) -> None:
        super().__init__()
        self._raw = raw
        self._sock = sock
        self._until = _clock.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        left = self._until - _clock.monotonic()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        self._sock.settimeout(left)
        with ending.waiting():
            return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    """An answer whose head and body together take no longer than the read time-out."""

    def __init__(self, sock: socket.socket, *args: Any, **more: Any) -> None:
        super().__init__(sock, *args, **more)
        seconds = sock.gettimeout()
        if seconds is not None:
            raw = self.fp.detach()
            self.fp = io.BufferedReader(_Bounded(raw, sock, seconds))


class Gate(Protocol):
    """Where a request waits when it is ready to leave."""

    def leave(self) -> None:
        """Hold the request back until its moment."""
        ...

    def left(self) -> None:
        """Take note that the whole request has left."""
        ...


class _Open:
    def leave(self) -> None: ...

    def left(self) -> None: ...


OPEN: Gate = _Open()
"""Holds nothing back."""


class _Held:
    """A connection whose requests wait for their moment when everything else is done."""

    sock: Any

    def __init__(self, *args: Any, gate: Gate, **more: Any) -> None:
        super().__init__(*args, **more)
        self._gate = gate

    def connect(self) -> None:
        """Connect, and agree on TLS."""
        on: Any = super()
        with ending.waiting():
            on.connect()

    def send(self, data: Any) -> None:
        """Put a piece of the request on the wire."""
        on: Any = super()
        with ending.waiting():
            on.send(data)

    def endheaders(self, *args: Any, **more: Any) -> None:
        """Begin to put the request on the wire."""
        on: Any = super()
        if self.sock is None:
            self.connect()
        self._gate.leave()
        on.endheaders(*args, **more)

    def getresponse(self, *args: Any, **more: Any) -> Any:
        """Wait for the answer to the request, which has left."""
        self._gate.left()
        on: Any = super()
        return on.getresponse(*args, **more)


class _Plain(_Held, HTTPConnection):
    response_class = _Answer


class _Secure(_Held, HTTPSConnection):
    response_class = _Answer


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Plain  # pyright: ignore[reportAssignmentType]


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Secure  # pyright: ignore[reportAssignmentType]


class BoundedAdapter(HTTPAdapter):
    """Makes requests on such connections, by way of a proxy, too.

    Args:
        gate: Where requests wait for their moment.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        super().__init__()

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        """Make the pools."""
        super().init_poolmanager(*args, **more)
        self._bind(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **more: Any) -> Any:
        """Make the pools of a proxy."""
        found = super().proxy_manager_for(*args, **more)
        self._bind(found)
        return found

    def _bind(self, manager: Any) -> None:
        pools = {"http": _PlainPool, "https": _SecurePool}
        manager.pool_classes_by_scheme = {
            scheme: partial(pool, gate=self._gate) for scheme, pool in pools.items()
        }
