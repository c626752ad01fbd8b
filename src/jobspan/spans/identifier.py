"""Span and trace ids from a random source of our own.

The SDK takes its ids from the global `random`: a program that seeds it repeats its trace ids, and every
span disturbs the program's own sequence. Ours is seeded by the operating system, and anew in a forked
child: by the fork hook, and, because a fork made in C (uWSGI) runs no hooks, by looking at the pid
before each id.

Span ids go up by one from a random start: no likelier to meet another process's than if each were random
(OpenTelemetry asks randomness of trace ids alone), and the ledger, which knows a run's parts by them, writes
the next one beside the last. With random ones each of a million client runs was a page of its index.

Safe in any thread and signal handler: drawing is one C call and takes no lock.
"""

from __future__ import annotations

import os
import random
from itertools import count

from jobspan.journal.process import pid, told

_pid = pid()
_draw_bits = random.Random(os.urandom(32)).getrandbits
_next_span = count(1 + _draw_bits(63)).__next__


def reseed() -> None:
    """Take a new random sequence from the operating system."""
    global _pid, _draw_bits, _next_span
    _draw_bits = random.Random(os.urandom(32)).getrandbits
    _next_span = count(1 + _draw_bits(63)).__next__
    _pid = pid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=reseed)


def new_span_id() -> int:
    """Return a 64-bit id this process has not given before, never 0 (OpenTelemetry's invalid id)."""
    if told[0] != _pid:
        reseed()
    return _next_span()


def new_trace_id() -> int:
    """Return a random 128-bit id, never 0 (OpenTelemetry's invalid id)."""
    if pid() != _pid:
        reseed()
    return _draw_bits(128) or new_trace_id()
