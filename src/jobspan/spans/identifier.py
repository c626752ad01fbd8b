"""Span and trace ids from a random source of our own.

The SDK takes its ids from the global `random`: a program that seeds it repeats its trace ids, and every
span disturbs the program's own sequence. Ours is seeded by the operating system, and anew in a forked
child: by the fork hook, and, because a fork made in C (uWSGI) runs no hooks, by looking at the pid
before each id.

Safe in any thread and signal handler: drawing is one C call and takes no lock.
"""

from __future__ import annotations

import os
import random

from jobspan.journal.process import pid, told

_pid = pid()
_draw_bits = random.Random(os.urandom(32)).getrandbits


def reseed() -> None:
    """Take a new random sequence from the operating system."""
    global _pid, _draw_bits
    _draw_bits = random.Random(os.urandom(32)).getrandbits
    _pid = pid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=reseed)


def new_span_id() -> int:
    """Return a random 64-bit id, never 0 (OpenTelemetry's invalid id)."""
    if told[0] != _pid:
        reseed()
    return _draw_bits(64) or new_span_id()


def new_trace_id() -> int:
    """Return a random 128-bit id, never 0 (OpenTelemetry's invalid id)."""
    if pid() != _pid:
        reseed()
    return _draw_bits(128) or new_trace_id()
