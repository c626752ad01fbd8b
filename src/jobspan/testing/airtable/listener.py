"""A loopback port that can refuse, reset and come back, and the connections it holds."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import weakref
from collections.abc import Callable

HOST = "127.0.0.1"
_ACCEPT_SECONDS = 0.5
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER with 0 s: close() sends RST


_listeners: weakref.WeakSet[Listener] = weakref.WeakSet()


def _leave_to_parent() -> None:
    """Close the sockets a forked child has inherited: held there, no reset would reach a client."""
    for listener in list(_listeners):
        listener.close_inherited()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


def abort_on_close(connection: socket.socket) -> None:
    """Make the next close of `connection` send a reset instead of an orderly end."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)


def _bound(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((HOST, port))
    except OSError:
        bound.close()
        raise
    return bound


def _check_free(port: int) -> None:
    """Raise OSError if `port` is taken: the shared binding below would not notice it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((HOST, port))


class Listener:
    """Accepts connections and gives each to `serve` in a thread of its own.

    A second, bound socket that never listens keeps the port ours while connections are refused.
    """

    def __init__(self, port: int, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        if port:
            _check_free(port)
        self._reserved = _bound(port)
        self.port = int(self._reserved.getsockname()[1])
        self.stopping = threading.Event()
        self.is_down = False
        self._resets = False
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._listening: socket.socket | None = None
        self._open()
        _listeners.add(self)

    def close_inherited(self) -> None:
        """Close this process's copies of the sockets; those of the server's process stay as they are."""
        listening = [] if self._listening is None else [self._listening]
        for each in [*self._connections, self._reserved, *listening]:  # no lock: its holder is not here
            with contextlib.suppress(OSError):
                os.close(each.detach())

    def _open(self) -> None:
        listening = _bound(self.port)
        listening.listen(128)
        listening.settimeout(_ACCEPT_SECONDS)
        self._listening = listening
        thread = threading.Thread(target=self._accept, args=(listening,), name="airtable-accept", daemon=True)
        thread.start()

    def _accept(self, listening: socket.socket) -> None:
        while not self.stopping.is_set() and self._listening is listening:
            try:
                connection, _ = listening.accept()
            except TimeoutError:
                continue
            except OSError:  # closed by go_down or stop
                return
            connection.settimeout(None)
            thread = threading.Thread(
                target=self._hold, args=(connection,), name="airtable-serve", daemon=True
            )
            with self._lock:
                is_welcome = self._listening is listening and not self._resets
                if is_welcome:
                    self._connections.add(connection)
                    self._threads.add(thread)
                    thread.start()
            if not is_welcome:
                abort_on_close(connection)
                connection.close()

    def _hold(self, connection: socket.socket) -> None:
        try:
            self._serve(connection)
        except OSError:  # the client went away, or a fault broke the connection
            pass
        finally:
            with self._lock:
                self._connections.discard(connection)
                self._threads.discard(threading.current_thread())
            if self.is_down:
                abort_on_close(connection)
            with contextlib.suppress(OSError):
                os.close(connection.detach())

    def go_down(self, *, resets: bool = False) -> None:
        """Refuse connections (or accept and reset them), and reset those that are open."""
        with self._lock:
            self.is_down = True
            self._resets = resets
        if not resets:
            self._close_listening()
        self._break_connections()

    def come_back(self) -> None:
        """Accept connections again."""
        with self._lock:
            was_down, self.is_down, self._resets = self.is_down, False, False
        if was_down and self._listening is None and not self.stopping.is_set():
            self._open()

    def stop(self) -> None:
        """Close everything and wait shortly for the threads."""
        self.stopping.set()
        self._close_listening()
        self._break_connections()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(2.0)
        self._reserved.close()

    def _close_listening(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()

    def _break_connections(self) -> None:
        with self._lock:
            for connection in self._connections:
                abort_on_close(connection)
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)  # wakes its thread, which closes it: a reset
