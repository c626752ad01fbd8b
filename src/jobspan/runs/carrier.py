"""Carriers: the current run and trace, carried in HTTP headers, message headers or an environment.

Two entries: W3C ``traceparent``, and ``jobspan-run`` with the inside names of the run, signed as tokens are.
Neither holds a name: what the run is called stands in the ledger of whoever reads it. A carrier that is
bad, forged or too long is ignored and counted, and nothing in it is trusted but these ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, TypeVar, cast

from opentelemetry.context import Context
from opentelemetry.trace import set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from jobspan._composition import Runtime
from jobspan._guard import guard, guarded
from jobspan._runtime import runtime
from jobspan.exceptions import LedgerError
from jobspan.runs.attaching import Attachment, address_at
from jobspan.runs.current import live_run
from jobspan.runs.elsewhere import address_of
from jobspan.runs.kinds import ClientRun, JobRun
from jobspan.runs.token import Address, read_reference, write_token

RUN = "jobspan-run"
TRACE = "traceparent"
_NAMES = {"jobspan-run": RUN, "jobspan_run": RUN, "traceparent": TRACE}
_READ_SECONDS = 2.0
_MAX_ENTRIES = 10_000

Carrier = TypeVar("Carrier", bound=MutableMapping[str, str])


def inject(headers: Carrier) -> Carrier:
    """Put the current run and its trace into `headers`, and return them; outside of a run, nothing.

    ``requests.post(url, headers=jobspan.inject({}))``. They are read by `extract`.
    """
    with guarded("inject"):
        for name, value in _entries().items():
            headers[name] = value
    return headers


def propagate(env: Carrier) -> Carrier:
    """Put the current run and its trace into an environment, and return it; outside of a run, nothing.

    ``subprocess.run(command, env=jobspan.propagate(dict(os.environ)))``. The process started reads it by
    ``jobspan.extract(os.environ)``.
    """
    with guarded("propagate"):
        for name, value in _entries().items():
            env[name.upper().replace("-", "_")] = value
    return env


def extract(headers: Mapping[str, Any]) -> CarriedAttachment:
    """Go on with the run carried in headers or an environment: ``with jobspan.extract(headers) as run:``.

    The block is a part of that run, as with `attach`; spans in it belong to the trace carried. Where nothing
    is carried, the block gets a run that records nothing; so it does where what is carried is bad or the
    ledger does not know the run, which `health()` counts.
    """
    found: dict[str, object] = {}
    with guarded("extract"):
        for number, (name, value) in enumerate(cast("Iterable[tuple[object, object]]", headers.items())):
            known = _NAMES.get(name.lower()) if isinstance(name, str) else None
            if known is not None:
                found[known] = value
            if number >= _MAX_ENTRIES:
                break
    return CarriedAttachment(found.get(RUN), found.get(TRACE))


class CarriedAttachment(Attachment):
    """What `extract` returns: for ``with`` and ``async with``."""

    __slots__ = ("_reference", "_trace")

    def __init__(self, reference: object, trace: object) -> None:
        super().__init__(None, None, None, "")
        self._reference = reference
        self._trace = trace

    def __repr__(self) -> str:
        return "extract(…)"

    def find(self) -> tuple[Runtime, Address] | None:
        """Find the run carried; None where there is none."""
        with guarded("extract"):
            owner = runtime()
            if not owner.enabled or self._reference is None:
                return None
            part = read_reference(owner, self._reference)
            found = None if part is None else _known(owner, part)
            return None if found is None else (owner, found)
        return None

    def _run_at(self, found: tuple[Runtime, Address] | None) -> JobRun | ClientRun:
        """Return the run, its span in the trace carried."""
        run = super()._run_at(found)
        with guarded("extract"):
            if isinstance(self._trace, str) and len(self._trace) < 100:
                run.under = TraceContextTextMapPropagator().extract({TRACE: self._trace}, Context())
        return run


def _entries() -> dict[str, str]:
    """Return what carries the current run."""
    run = live_run()
    address = None if run is None else address_of(run)
    if run is None or address is None:
        return {}
    nameless = Address("r", address.client_part or address.part, address.job, "", "", 0)
    entries = {RUN: write_token(run.owner_runtime, nameless)}
    TraceContextTextMapPropagator().inject(entries, set_span_in_context(run.span))
    return {name: value for name, value in entries.items() if name in (RUN, TRACE)}


def _known(owner: Runtime, part: str) -> Address | None:
    try:
        with owner.reading(_READ_SECONDS) as reader:
            place = reader.part_place(part)
    except LedgerError as error:
        guard.note("carrier", f"nothing was recorded: {error}")
        return None
    if place is None:
        guard.note("carrier", "the ledger does not know the run carried; use run.token between ledgers")
        return None
    return address_at(place)
