"""SIGTERM, for those who ask for it: what is ours is done first, then what was set up before."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from jobspan._guard import guard

_former: list[Any] = []


def watch(on_end: Callable[[str], None]) -> None:
    """Call `on_end` when SIGTERM comes, then the handler there was before; once for all.

    Only the main thread may do so: from another one nothing is set up, and `health()` says so.
    """
    if threading.current_thread() is not threading.main_thread():
        guard.note("signals", "handle_signals needs configure() on the main thread; SIGTERM is not handled")
        return
    if _former:
        return

    def handle(number: int, frame: FrameType | None) -> None:
        former = _former[0]
        if former is not signal.SIG_IGN:
            on_end(signal.Signals(number).name)
        if callable(former):
            former(number, frame)
        elif former is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    _former.append(signal.getsignal(signal.SIGTERM))
    signal.signal(signal.SIGTERM, handle)
