"""The process is told right also where a fork ran no hook."""

from __future__ import annotations

import ctypes
import os
import sys

import pytest

from jobspan.journal import process


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.parametrize("in_c", [False, True], ids=["os.fork", "fork of the C library"])
def test_a_forked_child_and_its_child_know_their_own_ids(in_c: bool) -> None:
    fork = ctypes.PyDLL(None).fork if in_c else os.fork
    assert process.pid() == os.getpid()
    child = fork()
    if child == 0:
        right = process.pid() == os.getpid() and process.pid() == os.getpid()
        grandchild = fork()
        if grandchild == 0:
            os._exit(0 if process.pid() == os.getpid() else 1)
        _, status = os.waitpid(grandchild, 0)
        os._exit(0 if right and status == 0 else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert process.pid() == os.getpid()
