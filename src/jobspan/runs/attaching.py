"""`attach`: go on with a run that was opened in another process, on another host, or left open here."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace

from jobspan import _clock
from jobspan._composition import Runtime
from jobspan._guard import guard, guarded
from jobspan._runtime import runtime
from jobspan.exceptions import LedgerError, UsageError
from jobspan.ledger.reading import PartPlace
from jobspan.runs.delivered import DeliveredJob
from jobspan.runs.elsewhere import revived_job
from jobspan.runs.kinds import ClientRun, JobRun
from jobspan.runs.naming import key_of, line_of
from jobspan.runs.opening import inert_client_run
from jobspan.runs.option import name_of
from jobspan.runs.scope import Scope
from jobspan.runs.token import DETACHED, Address, read_token

_READ_SECONDS = 2.0


def attach(
    *,
    external_id: object = None,
    token: str | None = None,
    run_id: str | None = None,
    part: str | None = None,
) -> Attachment:
    """Go on with a run that was opened elsewhere: ``with attach(external_id=…) as run:``.

    Give one of `external_id`, `token` and `run_id`. The block is a part of that run of its own, and how it
    is left says how a detached run ended. A block for the same detached run again is another attempt of
    the same part: its results count once, its tokens and costs each time; the run is what its best attempt
    is. So are, in a detached job, the client runs entered in it, one by one. Whoever comes first after the
    deadline of a detached run adds numbers, and no longer changes its status. In the block `detach` may
    leave the run open once more.

    Where no such run is found, or the ledger cannot be read within 2 s, the block gets a run that records
    nothing, and `health()` counts it. With a token the ledger need not know the run; then several blocks
    for one token are attempts, too: workers that add up there take a token each, or a `part` each.

    Args:
        external_id: What the run was detached with.
        token: The `token` of a run. One of an operation means the client run or job it stands in.
        run_id: The id of a job or client run, as people see it. Client runs entered in a job add up.
        part: Deliveries that are not the same again, but different parts of the work, have different
            names: their results add up.

    Raises:
        UsageError: Not exactly one of the three was given, or one is no text.
    """
    given = [value for value in (external_id, token, run_id) if value is not None]
    if len(given) != 1:
        raise UsageError("attach() takes one of external_id=, token= and run_id=")
    for name, value in (("token", token), ("run_id", run_id)):
        if value is not None and not isinstance(value, str):
            raise UsageError(f"attach({name}=…) takes a text, not {type(value).__name__}")
    return Attachment(external_id, token, run_id, "" if part is None else name_of(part, "a part"))


class Attachment(Scope[JobRun | ClientRun]):
    """What `attach` returns: for ``with`` and ``async with``; each entry is a part of its own."""

    __slots__ = ("_external_id", "_part", "_run_id", "_token")

    def __init__(self, external_id: object, token: str | None, run_id: str | None, part: str) -> None:
        self._external_id = external_id
        self._token = token
        self._run_id = run_id
        self._part = part

    def __repr__(self) -> str:
        return f"attach(run_id={self._run_id!r})" if self._run_id else "attach(…)"

    def new_run(self) -> JobRun | ClientRun:
        """Return a run that opens one more part of the run meant; an inert one if there is none."""
        return self._run_at(self.find())

    def run_for(self, function_name: str) -> JobRun | ClientRun:
        """Return a run for one call of a decorated function."""
        return self.new_run()

    async def __aenter__(self) -> JobRun | ClientRun:
        import asyncio

        found = await asyncio.to_thread(self.find)  # it reads the ledger
        return self.enter_run(self._run_at(found))

    def find(self) -> tuple[Runtime, Address] | None:
        """Find the run; None, and a count in health, where there is none."""
        with guarded("attach"):
            owner = runtime()
            if not owner.enabled:
                return None
            if self._token is not None:
                address = _named(owner, read_token(owner, self._token))
            else:
                address = _found(owner, self._external_id, self._run_id)
            return None if address is None else (owner, address)
        return None

    def _run_at(self, found: tuple[Runtime, Address] | None) -> JobRun | ClientRun:
        with guarded("attach"):
            if found is not None:
                return _attached(*found, self._part)
        return inert_client_run()


def _named(owner: Runtime, address: Address | None) -> Address | None:
    """Return the address in a token, without its delivery where it means nothing: a live job of this ledger.

    Of a client run that follows when the ledger is folded; what is done in a job needs to know at once.
    """
    if address is None or address.client or address.delivery in ("", DETACHED):
        return address
    with suppress(LedgerError), owner.reading(_READ_SECONDS) as reader:
        state = reader.part_state(address.job if address.kind == "o" else address.part)
        if state is not None:
            return replace(address, delivery=DETACHED if state.is_detached else "")
    return address


def _found(owner: Runtime, external_id: object, run_id: str | None) -> Address | None:
    key = "" if external_id is None else key_of(owner, external_id)
    try:
        with owner.reading(_READ_SECONDS) as reader:
            place = reader.linked(key) if run_id is None else reader.place_of(run_id)
    except LedgerError as error:
        guard.note("attach", f"nothing was recorded: {error}")
        return None
    if place is None:
        what = f"run_id={run_id}" if run_id is not None else f"external_id={key}"
        guard.note(
            "attach",
            f"there is no run with {line_of(owner, what)}; nothing was recorded",
            key="attach: not found",
        )
        return None
    found = address_at(place)
    return found if run_id is not None or place.client else replace(found, delivery=DETACHED)


def address_at(place: PartPlace) -> Address:
    """Return the address of what a reader found."""
    kind = "c" if place.client else "j"
    return Address(kind, place.part, place.job, place.run_id, place.job_type, place.start_ns, place.client)


def _attached(owner: Runtime, address: Address, part: str) -> JobRun | ClientRun:
    _tell_of_job(owner, address)
    if address.client:
        run = ClientRun(owner, address.client, revived_job(owner, _job_of(address)), None)
        run.attach_to(address.client_part or address.part, part, address.delivery)
        return run
    of = address.part if address.kind == "j" else address.job
    job = JobRun(owner, address.job_type, None)
    job.take_id(address.run_id, address.start_ns)
    job.attach_to(address.job, of, part, address.delivery)
    if address.delivery:
        job.delivered = DeliveredJob(of, address.delivery, part)
    return job


def _job_of(address: Address) -> Address:
    return Address("j", address.job, address.job, address.run_id, address.job_type, address.start_ns)


def _tell_of_job(owner: Runtime, address: Address) -> None:
    """Write what a ledger that has never heard of the job needs to know of it, and where to show it.

    A job opened without a destination is shown where the first process is that goes on with it; the
    writer's name begins with the instant, so that of equal starts the one that attached first counts.
    """
    now_ns = _clock.now_ns()
    started_ns = address.start_ns or now_ns
    to = list(owner.deliveries.destinations)
    part = ".".join([f"{address.job}#attached", *to])
    owner.emit(
        {
            **{"e": "open", "w": f"{part}.{now_ns:020d}.{os.urandom(8).hex()}", "q": 0, "t": started_ns},
            **{"p": part, "kind": "j", "job": address.job, "name": address.job_type},
            **{"id": address.run_id, "free": 1, "passive": 1},
            **({"to": to} if to else {}),
        }
    )
