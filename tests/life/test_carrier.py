"""The run and trace carried in headers and environments."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from typing import Any

import pytest

import jobspan
from jobspan import client_run, current_run, job
from tests.conftest import Fresh

CHILD = """
import os, jobspan
with jobspan.extract(os.environ) as run:
    run.add(leads=2)
    context = run.span.get_span_context()
    print(run.run_id, f"{context.trace_id:032x}")
"""


def test_a_run_goes_on_in_a_subprocess_in_the_same_trace(fresh: Fresh) -> None:
    with job("a") as j, j.client("Guy-Wilson") as run:
        run.add(leads=1)
        with run.operation("call"):
            env = jobspan.propagate(fresh.env)
            done = subprocess.run([sys.executable, "-c", CHILD], env=env, capture_output=True, text=True)
        trace_id = f"{run.span.get_span_context().trace_id:032x}"
    assert done.stdout.split() == [run.run_id, trace_id], done.stderr
    assert (fresh.client("Guy-Wilson").counts, fresh.client("Guy-Wilson").status) == (
        {"leads": 3},
        "Completed",
    )


def test_a_carrier_holds_no_names(fresh: Fresh) -> None:
    with job("secret_project") as j, j.client("Guy-Wilson"):
        headers = jobspan.inject({})
    assert sorted(headers) == ["jobspan-run", "traceparent"]
    value = headers["jobspan-run"]
    raw = base64.urlsafe_b64decode(value[1:] + "=" * (-len(value[1:]) % 4))
    assert b"secret_project" not in raw
    assert b"Wilson" not in raw
    assert len(value) < 160


def test_headers_of_any_case_are_read(fresh: Fresh) -> None:
    with job("a") as j:
        headers = {name.title(): value for name, value in jobspan.inject({}).items()}
    with jobspan.extract(headers) as run, client_run("x"):
        assert run.run_id == j.run_id
    assert len(fresh.job().client_runs) == 1


def test_outside_of_a_run_nothing_is_carried_and_nothing_counted(fresh: Fresh) -> None:
    assert jobspan.inject({"a": "b"}) == {"a": "b"}
    assert jobspan.propagate({}) == {}
    with jobspan.extract({"Accept": "text/html"}) as run:
        run.add(leads=1)
    assert jobspan.health().ok
    assert fresh.jobs() == []


@pytest.mark.parametrize("value", ["", "1", "x" * 100_000, "1" + "A" * 90, 17, None, b"1abc", "1\x00é"])
def test_a_bad_carrier_is_ignored_and_counted(fresh: Fresh, value: Any) -> None:
    with jobspan.extract({"jobspan-run": value, "traceparent": value}) as run:
        run.add(leads=1)
        with client_run("x") as own:
            own.add(leads=1)
    assert jobspan.health().reasons == ({} if value is None else {"carrier": 1})
    assert fresh.client("x").counts == {"leads": 1}


def test_a_forged_carrier_is_ignored(fresh: Fresh) -> None:
    with job("a"):
        headers = jobspan.inject({})
    headers["jobspan-run"] = (
        "1" + base64.urlsafe_b64encode(os.urandom(16) + b'["r","p","j","","",0]').decode()
    )
    with jobspan.extract(headers) as run:
        assert run.run_id == ""
    assert jobspan.health().reasons == {"carrier": 1}


def test_a_token_is_no_carrier_and_a_carrier_is_no_token(fresh: Fresh) -> None:
    with job("a") as j:
        headers = jobspan.inject({})
    with (
        jobspan.attach(token=headers["jobspan-run"]) as one,
        jobspan.extract({"jobspan-run": j.token}) as other,
    ):
        assert (one.run_id, other.run_id) == ("", "")
    assert jobspan.health().reasons == {"token": 1, "carrier": 1}


def test_a_carrier_that_fails_when_read_does_no_harm(fresh: Fresh) -> None:
    fresh.configure(strict=False)

    class Bad(dict[str, str]):
        def items(self) -> Any:
            raise OSError("gone")

        def __setitem__(self, name: str, value: str) -> None:
            raise OSError("gone")

    with job("a"):
        jobspan.inject(Bad())
    with jobspan.extract(Bad()):
        assert current_run().run_id == ""
    assert jobspan.health().errors == 2
