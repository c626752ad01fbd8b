"""Keeps a process on the loopback: any other connection is refused and written down."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

Function = Callable[..., Any]

REFUSED = "refused-hosts.txt"  # in the working directory of the process


def is_loopback(host: object) -> bool:
    text = host.decode(errors="replace") if isinstance(host, bytes) else host
    if text in (None, "", "localhost", "0.0.0.0", "::"):
        return True
    try:
        return ipaddress.ip_address(str(text).partition("%")[0]).is_loopback
    except ValueError:
        return False


def install(folder: Path) -> None:
    """Patch the socket module for good; nothing outside of network calls gets slower by it.

    Connections made by C libraries of their own (gRPC) don't pass here.
    """

    def check(host: object) -> None:
        if is_loopback(host):
            return
        with (folder / REFUSED).open("a") as file:
            file.write(f"{host}\n")
        raise ConnectionRefusedError(f"only the loopback may be reached, not {host}")

    for name, position in (("connect", 0), ("connect_ex", 0), ("sendto", -1)):
        setattr(socket.socket, name, _by_address(getattr(socket.socket, name), position, check))
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        setattr(socket, name, _by_name(getattr(socket, name), check))


def _by_address(original: Function, position: int, check: Callable[[object], None]) -> Function:
    def guarded(self: socket.socket, *arguments: Any) -> Any:
        address: Any = arguments[position]
        if isinstance(address, tuple):  # not the path of a local socket
            check(cast(tuple[object, ...], address)[0])
        return original(self, *arguments)

    return guarded


def _by_name(original: Function, check: Callable[[object], None]) -> Function:
    own_name = socket.gethostname()

    def guarded(host: Any, *arguments: Any, **keywords: Any) -> Any:
        if host != own_name:
            check(host)
        return original(host, *arguments, **keywords)

    return guarded
